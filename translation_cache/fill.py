"""Make what a cache lacks, and commit it as it is made: a kill costs only what was made since the last commit."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import groupby, islice
from multiprocessing import get_context

from translation_cache.errors import CacheError
from translation_cache.job import OK, Job, Paraphrase
from translation_cache.shard import Row
from translation_cache.store import Cache

OnProgress = Callable[[int, int], None]  # (done, total), in rows
_Batch = tuple[list[str], int]  # sources, sample


@dataclass(frozen=True)
class FillReport:
    """What a call of `fill` found and did, in rows."""

    requested: int
    present: int
    """There before."""
    made: int
    rejected: dict[str, int] = field(default_factory=dict)
    """Of those made, by reason."""
    seconds: float = 0.0


def fill(
    cache: Cache,
    job: Job,
    sources: Sequence[str],
    *,
    samples: int = 1,
    batch_size: int = 256,
    workers: int = 1,
    commit_every_s: float = 20.0,
    commit_bytes: int = 32 << 20,
    progress: OnProgress | None = None,
) -> FillReport:
    """Make the paraphrases of `sources` that the cache lacks; when this returns they are all on disk.

    Stopped in the middle (Ctrl-C, an error of the job), it commits what is made and lets the exception go on; after a
    kill the last `commit_every_s` seconds of work are to be made again. What is made does not depend on `workers`.

    Args:
        sources: texts; what stands there twice counts once.
        samples: paraphrases of each.
        batch_size: sources that the job is given at once.
        workers: processes. With more than one, the job is sent to each.
        commit_every_s, commit_bytes: a shard is written after that time or that much text.
        progress: called with (done, total).
    Raises:
        CacheError: the cache is damaged, cannot be written (a full disk), or a worker died.
    """
    started = time.monotonic()
    requested = len(dict.fromkeys(sources)) * samples
    missing = cache.missing(job.settings(), sources, samples=samples)
    present = requested - len(missing)
    done = present
    if progress is not None:
        progress(done, requested)
    rejected: Counter[str] = Counter()
    writer = _Writer(cache, job, commit_every_s, commit_bytes)
    try:
        for (batch, sample), made in _made(job, _batches(missing, batch_size), workers):
            writer.add([(source, sample, each) for source, each in zip(batch, made, strict=True)])
            rejected.update(each.status for each in made if each.status != OK)
            done += len(made)
            if progress is not None:
                progress(done, requested)
    except BaseException:
        if not writer.failed:
            writer.commit()
        raise
    writer.commit()
    return FillReport(requested, present, len(missing), dict(rejected), time.monotonic() - started)


class _Writer:
    """Rows on their way to disk."""

    def __init__(self, cache: Cache, job: Job, every_s: float, bytes_: int) -> None:
        self._cache, self._settings = cache, job.settings()
        self._every_s, self._limit = every_s, bytes_
        self._rows: list[Row] = []
        self._bytes, self._since = 0, time.monotonic()
        self.failed = False  # a disk that is full takes no more

    def add(self, rows: list[Row]) -> None:
        self._rows += rows
        self._bytes += sum(len(source) + len(made.text or "") + len(made.pivot or "") for source, _, made in rows)
        if self._bytes >= self._limit or time.monotonic() - self._since >= self._every_s:
            self.commit()

    def commit(self) -> None:
        rows, self._rows = self._rows, []
        try:
            self._cache.add(self._settings, rows)
        except CacheError:
            self.failed = True
            raise
        self._bytes, self._since = 0, time.monotonic()


def _batches(missing: list[tuple[str, int]], batch_size: int) -> Iterator[_Batch]:
    for sample, rows in groupby(sorted(missing, key=lambda row: row[1]), key=lambda row: row[1]):
        while batch := [source for source, _ in islice(rows, batch_size)]:
            yield batch, sample


def _made(job: Job, batches: Iterator[_Batch], workers: int) -> Iterator[tuple[_Batch, list[Paraphrase]]]:
    if workers == 1:
        for sources, sample in batches:
            yield (sources, sample), job(sources, sample)
        return
    # Spawned, not forked: a fork copies the threads' locks of torch and Arrow in whatever state they are.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(job,))
    try:
        ahead: dict[Future[list[Paraphrase]], _Batch] = {}
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


def _finished(ahead: dict[Future[list[Paraphrase]], _Batch]) -> Iterator[tuple[_Batch, list[Paraphrase]]]:
    for future in wait(ahead, return_when=FIRST_COMPLETED).done:
        yield ahead.pop(future), future.result()


_job: Job | None = None  # of this worker process


def _start_worker(job: Job) -> None:
    global _job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    _job = job


def _work(sources: list[str], sample: int) -> list[Paraphrase]:
    assert _job is not None, "the pool's initializer has not run"
    return _job(sources, sample)
