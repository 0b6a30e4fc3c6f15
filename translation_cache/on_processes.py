"""The local engine: one process or several compute the rows, and this process writes them."""

from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import get_context
from typing import TYPE_CHECKING

from translation_cache.errors import CacheError
from translation_cache.job import Batch, Job, Paraphrase
from translation_cache.lifeline import Lifeline, leave_signals_to_parent, signals_delayed
from translation_cache.writer import Writer

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


def make(job: Job, batches: Iterator[Batch], writer: Writer, *, workers: int) -> Generator[Counter[str]]:
    """Compute the batches and pass the rows to the writer. Yields the statuses of each batch."""
    results = _in_process(job, batches) if workers == 1 else _in_workers(job, batches, workers)
    with writer, closing(results):  # the workers end before the commit, which needs a core
        for (sources, samples), paraphrases in results:
            writer.add(list(zip(sources, samples, paraphrases, strict=True)))
            yield Counter(paraphrase.status for paraphrase in paraphrases)


def _in_process(job: Job, batches: Iterator[Batch]) -> Generator[tuple[Batch, list[Paraphrase]]]:
    yield from job.stream(batches)


def _in_workers(job: Job, batches: Iterator[Batch], workers: int) -> Generator[tuple[Batch, list[Paraphrase]]]:
    # Spawn, because a fork copies locks that threads of torch and Arrow hold.
    context = get_context("spawn")
    lifeline = Lifeline(context)
    with signals_delayed():
        started = context.Value("i", 0)  # workers so far; each worker takes the count as its number
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(lifeline, job, started, workers)
    )
    try:
        pending: dict[Future[list[Paraphrase]], Batch] = {}
        for batch in batches:
            with signals_delayed():  # the first batch starts the workers
                future = pool.submit(_work, *batch)
            pending[future] = batch
            if len(pending) >= 2 * workers:  # keeps all workers busy and little unfinished work
                yield from _finished(pending)
        while pending:
            yield from _finished(pending)
    except BrokenProcessPool as error:
        lifeline.close()  # the pool waits for its workers, which ignore the SIGTERM that it sends them
        raise CacheError(
            "a worker process died (out of memory?); try fewer --workers; the finished rows are kept"
        ) from error
    except BaseException:  # Ctrl-C: nobody waits for the batches that are at work, which a rerun makes again
        lifeline.close()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        lifeline.close()


def _finished(pending: dict[Future[list[Paraphrase]], Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending.pop(future), future.result()


_job: Job | None = None  # set once in each worker process, by the initializer of its pool


def _start_worker(_lifeline: Lifeline, job: Job, started: "Synchronized[int]", workers: int) -> None:
    global _job
    leave_signals_to_parent()
    with started.get_lock():
        worker = started.value
        started.value += 1
    job.start_worker(worker, workers)
    _job = job


def _work(sources: list[str], samples: list[int]) -> list[Paraphrase]:
    assert _job is not None, "the pool's initializer has not run"
    return _job(sources, samples)
