"""The engine on Ray Data: actors compute blocks and commit them to the cache; a dying actor loses only its block.

The driver receives only the counts of a block, never its rows.
"""

import gc
import logging
import os
import shutil
import signal
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

_STORE_BYTES = 200 << 20  # object store of a cluster that we start; it holds sources and counts
_RESULT = pa.schema(
    {
        "counts": pa.list_(pa.struct({"status": pa.string(), "rows": pa.int64()})),
        "cache_error": pa.string(),
        "job_error": pa.string(),
    }
)
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's future default; Ray warns until it is set
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # else a thread that outlives the cluster starts another cluster
}


def make_on_ray(
    location: str, job: Job, blocks: Iterable[pa.Table], *, batch_size: int, workers: int
) -> Generator[Counter[str]]:
    """Compute the blocks; each is one commit. Yields the statuses of each block.

    Args:
        location: of the cache, valid on every node of the cluster.
        blocks: tables of (source, sample) with disjoint sources; a block whose worker dies is computed again.
        batch_size: rows per call of the job, see `fill`.
        workers: the maximum number of actors. Each uses one CPU of the cluster and, if the job `uses_gpu`, a share of
            its GPUs. Without a cluster (no ray.init, no RAY_ADDRESS) a local one is started and stopped.
    Raises:
        CacheError: Ray is not installed, or it failed.
        WorkerError: the job raised an exception; the finished blocks are kept.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # Ray reads them at import
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns about its own settings
        try:
            import ray
            import ray.data
            from ray.exceptions import RayError
        except ImportError as error:
            raise CacheError("the engine `ray` needs Ray Data: pip install 'text-uda[ray]'") from error
        with _cluster(ray, workers):
            try:
                yield from _results(ray, location, job, list(blocks), batch_size, workers)
            except RayError as error:
                reason = " ".join(str(error).split())
                raise CacheError(f"Ray failed ({reason:.300}); the finished rows are kept") from error


def _results(
    ray: Any, location: str, job: Job, blocks: list[pa.Table], batch_size: int, workers: int
) -> Iterator[Counter[str]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    gpus = int(ray.cluster_resources().get("GPU", 0)) if job.uses_gpu else 0
    share = {"num_gpus": _gpu_share(gpus, workers)} if gpus else {}
    # A function, because with `num_gpus` Ray requires a batch size and would combine blocks.
    on_gpu = {"ray_remote_args_fn": lambda: share} if gpus else {}
    results = ray.data.from_arrow(blocks).map_batches(
        _Commit,
        fn_constructor_kwargs={"location": location, "job": job, "batch_size": batch_size},
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        **on_gpu,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=1),
    )
    rows = iter(results.iter_rows())
    try:
        for row in rows:
            if row["cache_error"] is not None:
                raise CacheError(row["cache_error"])
            if row["job_error"] is not None:
                raise WorkerError(row["job_error"])
            yield Counter({count["status"]: count["rows"] for count in row["counts"]})
    finally:
        if hasattr(rows, "close"):
            rows.close()
        del rows, results
        gc.collect()  # ends the thread that drives the actors; it must not outlive the cluster
        for thread in threading.enumerate():
            if thread.name.startswith("StreamingExecutor"):
                thread.join(20)


def _gpu_share(gpus: int, workers: int) -> float:
    """The GPU share of each worker: a whole GPU, or the share that lets the fewest workers use one GPU."""
    workers_per_gpu = -(-workers // gpus)
    return (10_000 // workers_per_gpu or 1) / 10_000  # Ray counts in 1/10,000; rounding up would leave a worker out


class _Commit:
    """The actor: computes a block and commits it."""

    def __init__(self, location: str, job: Job, batch_size: int) -> None:
        self._job, self._batch_size = job, batch_size
        self._writer = Writer(Cache(location), job.settings(), every_s=0, max_bytes=0)  # one commit per block

    def __call__(self, block: pa.Table) -> pa.Table:
        counts, cache_error, job_error = Counter(), None, None
        try:
            counts = self._compute(block)
        except CacheError as error:
            cache_error = str(error)
        except BaseException as error:  # Ray loses the exception, and retries forever after a SystemExit
            job_error = "".join(traceback.format_exception_only(error)).strip()
        rows = [{"status": status, "rows": count} for status, count in counts.items()]
        return pa.Table.from_pylist(
            [{"counts": rows, "cache_error": cache_error, "job_error": job_error}], schema=_RESULT
        )

    def _compute(self, block: pa.Table) -> Counter[str]:
        rows = []
        for sources, samples in batches(block, self._batch_size):
            rows += zip(sources, samples, self._job(sources, samples), strict=True)
        self._writer.add(rows)
        return Counter(paraphrase.status for _, _, paraphrase in rows)


@contextmanager
def _kept_handler(number: int) -> Iterator[None]:
    """The handler of a signal is the same after the block, which may set another."""
    handler = signal.getsignal(number)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)


@contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """The running cluster, or a local one for the duration of the block."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    folder = None
    if not os.environ.get("RAY_ADDRESS"):
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short path: Ray creates sockets in it
        options |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
        # One logical CPU more than actors; without it the tasks that read the blocks starve.
        options |= {"num_cpus": workers + 1, "object_store_memory": _STORE_BYTES}
        # Actors import from the path of this process, which has the job's module.
        options |= {"runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}}
    try:
        try:
            with _kept_handler(signal.SIGTERM):  # Ray's exits without a word
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise CacheError(f"cannot connect to Ray or start it: {' '.join(str(error).split()):.300}") from error
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
