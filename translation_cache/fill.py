"""Make what a cache lacks, and commit it as it is made: a kill costs only what was made since the last commit."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, get_args

from translation_cache.blocks import batches, blocks_of_whole_sources
from translation_cache.compact import tidy
from translation_cache.errors import CacheError
from translation_cache.job import OK, Job, check_job
from translation_cache.key import fingerprint
from translation_cache.lookup import Texts, missing
from translation_cache.on_processes import make
from translation_cache.store import Cache
from translation_cache.writer import Writer

OnProgress = Callable[[int, int], None]  # (done, total), in rows
Engine = Literal["local", "ray"]
_RAY_BLOCK_ROWS = 4096  # at most: what a worker that dies costs


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
    sources: Texts,
    *,
    samples: int = 1,
    batch_size: int = 256,
    engine: Engine = "local",
    workers: int = 1,
    commit_every_s: float = 20.0,
    commit_bytes: int = 32 << 20,
    progress: OnProgress | None = None,
) -> FillReport:
    """Make the paraphrases of `sources` that the cache lacks; when this returns they are all on disk.

    Stopped in the middle (Ctrl-C, an error of the job), it commits what is made and lets the exception go on; after a
    kill the last `commit_every_s` seconds of work are to be made again. What is made does not depend on the engine, on
    `workers` or on `batch_size`. Damaged shards are set aside and their rows made again. Small shards are put together
    once they are many.

    Args:
        sources: texts, or an Arrow column of them; what stands there twice counts once.
        samples: paraphrases of each.
        batch_size: rows (source, sample) that the job is given at once. The samples of a source are not separated: a
            batch may have fewer rows, and more only where one source has.
        engine: processes of this machine, or `ray`: actors of a Ray cluster (of this machine where there is none), of
            which each commits its own blocks. The job is sent to each.
        workers: processes or actors.
        commit_every_s, commit_bytes: a local shard is written after that time or that much text.
        progress: called with (done, total).
    Raises:
        CacheError: the cache cannot be written (a full disk), or a worker died.
    """
    if engine not in get_args(Engine):
        raise CacheError(f"no engine {engine!r}; take one of {', '.join(get_args(Engine))}")
    check_job(job)
    started = time.monotonic()
    settings = job.settings()
    todo, requested = missing(cache, settings, sources, samples=samples)
    cache.set_damage_aside(settings)
    done = present = requested - len(todo)
    if progress is not None:
        progress(done, requested)
    if not len(todo):
        made = (each for each in ())
    elif engine == "ray":
        from translation_cache.on_ray import make_on_ray

        rows = min(max(batch_size, _RAY_BLOCK_ROWS), -(-len(todo) // (4 * workers)))
        blocks = blocks_of_whole_sources(todo, max(1, rows))
        made = make_on_ray(cache.address, job, blocks, batch_size=batch_size, workers=workers)
    else:
        writer = Writer(cache, settings, every_s=commit_every_s, max_bytes=commit_bytes)
        made = make(job, batches(todo, batch_size), writer, workers=workers)
    statuses: Counter[str] = Counter()
    with closing(made):  # whatever ends this block, what was made is committed before it is left
        for counts in made:
            statuses.update(counts)
            done += counts.total()
            if progress is not None:
                progress(done, requested)
    if engine == "ray" and (lost := len(missing(cache, settings, sources, samples=samples).rows)):
        raise CacheError(f"{lost:,} rows that Ray's workers made are not in {cache}: name a folder that all nodes have")
    if len(todo):
        tidy(cache, settings, fingerprint(settings))
    rejected = {status: count for status, count in statuses.items() if status != OK}
    return FillReport(requested, present, statuses.total(), rejected, time.monotonic() - started)
