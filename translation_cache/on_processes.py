"""The local engine: one process or several compute the rows, and this process writes them."""

import signal
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING

from translation_cache.blocks import Batch
from translation_cache.errors import CacheError
from translation_cache.job import Job, Paraphrase
from translation_cache.writer import Writer

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


def make(job: Job, batches: Iterator[Batch], writer: Writer, *, workers: int) -> Generator[Counter[str]]:
    """Compute the batches and pass the rows to the writer. Yields the statuses of each batch."""
    results = _in_process(job, batches) if workers == 1 else _in_workers(job, batches, workers)
    with writer:
        for (sources, samples), paraphrases in results:
            writer.add(list(zip(sources, samples, paraphrases, strict=True)))
            yield Counter(paraphrase.status for paraphrase in paraphrases)


def _in_process(job: Job, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    for sources, samples in batches:
        yield (sources, samples), job(sources, samples)


def _in_workers(job: Job, batches: Iterator[Batch], workers: int) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    # Spawn, because a fork copies locks that threads of torch and Arrow hold.
    context = get_context("spawn")
    started = context.Value("i", 0)  # workers so far; each worker takes the count as its number
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job, started, workers))
    try:
        pending: dict[Future[list[Paraphrase]], Batch] = {}
        for batch in batches:
            pending[pool.submit(_work, *batch)] = batch
            if len(pending) >= 2 * workers:  # keeps all workers busy and little unfinished work
                yield from _finished(pending)
        while pending:
            yield from _finished(pending)
    except BrokenProcessPool as error:
        raise CacheError(
            "a worker process died (out of memory?); try fewer --workers; the finished rows are kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(pending: dict[Future[list[Paraphrase]], Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending.pop(future), future.result()


_job: Job | None = None  # set once in each worker process, by the initializer of its pool


def _start_worker(job: Job, started: "Synchronized[int]", workers: int) -> None:
    global _job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent stops them
    with started.get_lock():
        worker = started.value
        started.value += 1
    job.start_worker(worker, workers)
    _job = job


def _work(sources: list[str], samples: list[int]) -> list[Paraphrase]:
    assert _job is not None, "the pool's initializer has not run"
    return _job(sources, samples)
