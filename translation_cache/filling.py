"""Compute the rows that a cache lacks, and commit them regularly: a kill loses only the work since the last commit."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, get_args

from translation_cache.blocks import batches, blocks_of_whole_sources
from translation_cache.compaction import compact_small
from translation_cache.errors import CacheError
from translation_cache.job import OK, Job, check_job
from translation_cache.key import fingerprint
from translation_cache.on_processes import make
from translation_cache.queries import Texts, missing
from translation_cache.store import Cache
from translation_cache.writer import Writer

OnProgress = Callable[[int, int], None]  # (done, total), in rows
Engine = Literal["local", "ray"]
_RAY_BLOCK_ROWS = 4096  # most rows that are lost with a worker


@dataclass(frozen=True)
class FillReport:
    """The result of `fill`; all counts are rows."""

    requested: int
    present: int
    """Rows that the cache had before the call."""
    computed: int
    """Rows that the job computed."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Computed rows by the reason of their rejection."""
    seconds: float = 0.0


def fill(
    cache: Cache,
    job: Job,
    sources: Texts,
    *,
    samples: int = 1,
    batch_size: int = 256,
    engine: Engine = "local",
    workers: int = 1,
    commit_every_s: float | None = None,
    commit_bytes: int = 32 << 20,
    progress: OnProgress | None = None,
) -> FillReport:
    """Compute the paraphrases of `sources` that the cache lacks; on return all of them are durable.

    If it is interrupted (Ctrl-C, an error in the job), it commits the finished rows and re-raises the exception. A kill
    loses at most the last `commit_every_s` seconds of work. The rows do not depend on the engine, on `workers` or on
    `batch_size`. Damaged shards are set aside and their rows computed again. Small shards are compacted when there are
    many.

    Args:
        sources: texts, or an Arrow column of texts; duplicates count once.
        samples: paraphrases per source.
        batch_size: rows (source, sample) per call of the job. The samples of a source stay in one batch, so a batch can
            have fewer rows; it has more only if one source has more.
        engine: `local` is processes of this machine. `ray` is actors of a Ray cluster (by default a cluster on this
            machine); each actor receives the job and commits its own blocks.
        workers: processes or actors.
        commit_every_s, commit_bytes: a local shard is written after that time or that much text; None takes the time
            of the job.
        progress: called with (done, total).
    Raises:
        CacheError: the cache cannot be written (a full disk), or a worker died.
    """
    if engine not in get_args(Engine):
        raise CacheError(f"unknown engine {engine!r}; choose one of {', '.join(get_args(Engine))}")
    check_job(job)
    started = time.monotonic()
    settings = job.settings()
    todo, requested = missing(cache, settings, sources, samples=samples)
    cache.set_damage_aside(settings)
    done = present = requested - len(todo)
    if present:
        cache.make_durable(fingerprint(settings))
    if progress is not None:
        progress(done, requested)
    if not len(todo):
        finished = (counts for counts in ())
    elif engine == "ray":
        from translation_cache.on_ray import make_on_ray

        rows = min(max(batch_size, _RAY_BLOCK_ROWS), -(-len(todo) // (4 * workers)))
        blocks = blocks_of_whole_sources(todo, max(1, rows))
        finished = make_on_ray(cache.address, job, blocks, batch_size=batch_size, workers=workers)
    else:
        every_s = job.commit_every_s if commit_every_s is None else commit_every_s
        writer = Writer(cache, settings, every_s=every_s, max_bytes=commit_bytes)
        finished = make(job, batches(todo, batch_size), writer, workers=workers)
    statuses: Counter[str] = Counter()
    with closing(finished):  # commits the finished rows, however the block ends
        for counts in finished:
            statuses.update(counts)
            done += counts.total()
            if progress is not None:
                progress(done, requested)
    if engine == "ray" and (lost := len(missing(cache, settings, sources, samples=samples).rows)):
        raise CacheError(f"{lost:,} rows of Ray's workers are missing from {cache}: name a folder that all nodes share")
    if len(todo):
        compact_small(cache, settings, fingerprint(settings))
    rejected = {status: count for status, count in statuses.items() if status != OK}
    return FillReport(requested, present, statuses.total(), rejected, time.monotonic() - started)
