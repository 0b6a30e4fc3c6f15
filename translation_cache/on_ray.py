"""The engine on Ray Data: actors make the rows and commit their own blocks; one that dies costs its block.

The rows of a block go from its actor straight to the cache; to the driver only counts return.
"""

import gc
import logging
import os
import shutil
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from translation_cache.blocks import batches
from translation_cache.errors import CacheError, WorkerError
from translation_cache.job import Job
from translation_cache.store import Cache
from translation_cache.writer import Writer

_STORE_BYTES = 200 << 20  # of Ray's object store where we start it: what passes through it is sources and counts
_ANSWER = pa.schema(
    {
        "counts": pa.list_(pa.struct({"status": pa.string(), "rows": pa.int64()})),
        "cache_error": pa.string(),
        "job_error": pa.string(),
    }
)
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as Ray will have it; until then it warns
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # else a thread that outlives the cluster starts a second one
}


def make_on_ray(
    location: str, job: Job, blocks: Iterable[pa.Table], *, batch_size: int, workers: int
) -> Generator[Counter[str]]:
    """Make what the blocks ask for, each a commit of its own. For each block, its rows by status.

    Args:
        location: of the cache, as every node of the cluster has it.
        blocks: (source, sample), no source in two of them; those that are at work when a worker dies are made again.
        batch_size: rows of a block that the job is given at once, as `fill` has it.
        workers: actors at most, each on one CPU of the cluster, and with a share of its GPUs where it has some and the
            job `uses_gpu`. Where no cluster runs (ray.init was not called and
            RAY_ADDRESS is not set), one of this machine is started and ended.
    Raises:
        CacheError: Ray is not installed, or it gave up.
        WorkerError: the job raised an exception; the blocks that were finished are kept.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # Ray reads them when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns of its own settings
        try:
            import ray
            import ray.data
            from ray.exceptions import RayError
        except ImportError as error:
            raise CacheError("the engine `ray` needs Ray Data: pip install 'text-uda[ray]'") from error
        with _cluster(ray, workers):
            try:
                yield from _made(ray, location, job, list(blocks), batch_size, workers)
            except RayError as error:
                reason = " ".join(str(error).split())
                raise CacheError(f"Ray gave up ({reason:.300}); what was made is kept") from error


def _made(
    ray: Any, location: str, job: Job, blocks: list[pa.Table], batch_size: int, workers: int
) -> Iterator[Counter[str]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    gpus = int(ray.cluster_resources().get("GPU", 0)) if job.uses_gpu else 0
    share = {"num_gpus": _gpu_share(gpus, workers)} if gpus else {}
    # By a function: given as `num_gpus`, Ray wants a batch size, by which it would put blocks together.
    on_gpu = {"ray_remote_args_fn": lambda: share} if gpus else {}
    made = ray.data.from_arrow(blocks).map_batches(
        _Commit,
        fn_constructor_kwargs={"location": location, "job": job, "batch_size": batch_size},
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        **on_gpu,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=1),
    )
    rows = iter(made.iter_rows())
    try:
        for row in rows:
            if row["cache_error"] is not None:
                raise CacheError(row["cache_error"])
            if row["job_error"] is not None:
                raise WorkerError(row["job_error"])
            yield Counter({each["status"]: each["rows"] for each in row["counts"]})
    finally:
        if hasattr(rows, "close"):
            rows.close()
        del rows, made
        gc.collect()  # ends the thread that drives the actors, which may not outlive the cluster
        for thread in threading.enumerate():
            if thread.name.startswith("StreamingExecutor"):
                thread.join(20)


def _gpu_share(gpus: int, workers: int) -> float:
    """Of a GPU, for each of the workers: a whole one, or what lets as few of them as possible share one."""
    sharing = -(-workers // gpus)
    return (10_000 // sharing or 1) / 10_000  # Ray counts ten-thousandths; rounded up, the last would find no room


class _Commit:
    """What an actor does with a block."""

    def __init__(self, location: str, job: Job, batch_size: int) -> None:
        self._job, self._batch_size = job, batch_size
        self._writer = Writer(Cache(location), job.settings(), every_s=0, max_bytes=0)  # each block is a commit

    def __call__(self, block: pa.Table) -> pa.Table:
        counts, told, failure = Counter(), None, None
        try:
            counts = self._make(block)
        except CacheError as error:
            told = str(error)
        except BaseException as error:  # Ray would lose what it was, and try again for ever after a SystemExit
            failure = "".join(traceback.format_exception_only(error)).strip()
        rows = [{"status": status, "rows": count} for status, count in counts.items()]
        return pa.Table.from_pylist([{"counts": rows, "cache_error": told, "job_error": failure}], schema=_ANSWER)

    def _make(self, block: pa.Table) -> Counter[str]:
        rows = []
        for sources, samples in batches(block, self._batch_size):
            rows += zip(sources, samples, self._job(sources, samples), strict=True)
        self._writer.add(rows)
        return Counter(made.status for _, _, made in rows)


@contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """The cluster that is running, or one of this machine for a while."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    folder = None
    if not os.environ.get("RAY_ADDRESS"):
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: Ray puts sockets there, whose paths have a limit
        options |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
        # One logical CPU more than there are actors, which would starve the tasks that read the blocks.
        options |= {"num_cpus": workers + 1, "object_store_memory": _STORE_BYTES}
        # Actors find the modules that this process has found, the job's among them.
        options |= {"runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}}
    try:
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise CacheError(f"Ray cannot be reached or started: {' '.join(str(error).split()):.300}") from error
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
