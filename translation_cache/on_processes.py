"""The local engine: this process, or several, make the rows; this one writes them."""

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
    """Make what the batches ask for, and hand it to the writer. For each batch, its rows by status."""
    made = _alone(job, batches) if workers == 1 else _together(job, batches, workers)
    with writer:
        for (sources, samples), paraphrases in made:
            writer.add(list(zip(sources, samples, paraphrases, strict=True)))
            yield Counter(each.status for each in paraphrases)


def _alone(job: Job, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    for sources, samples in batches:
        yield (sources, samples), job(sources, samples)


def _together(job: Job, batches: Iterator[Batch], workers: int) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    # Spawned, not forked: a fork copies the threads' locks of torch and Arrow in whatever state they are.
    context = get_context("spawn")
    started = context.Value("i", 0)  # workers so far: each takes it for its number
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job, started, workers))
    try:
        ahead: dict[Future[list[Paraphrase]], Batch] = {}
        for batch in batches:
            ahead[pool.submit(_work, *batch)] = batch
            if len(ahead) >= 2 * workers:  # enough to keep all busy, little to lose
                yield from _finished(ahead)
        while ahead:
            yield from _finished(ahead)
    except BrokenProcessPool as error:
        raise CacheError(
            "a worker process died (out of memory?); try fewer --workers; what was made is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(ahead: dict[Future[list[Paraphrase]], Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
    for future in wait(ahead, return_when=FIRST_COMPLETED).done:
        yield ahead.pop(future), future.result()


_job: Job | None = None  # of this worker process


def _start_worker(job: Job, started: "Synchronized[int]", workers: int) -> None:
    global _job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    with started.get_lock():
        worker = started.value
        started.value += 1
    job.start_worker(worker, workers)
    _job = job


def _work(sources: list[str], samples: list[int]) -> list[Paraphrase]:
    assert _job is not None, "the pool's initializer has not run"
    return _job(sources, samples)
