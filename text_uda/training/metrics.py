"""The metrics of a run while it trains: metrics.jsonl, trackers and warnings."""

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any

import torch
from accelerate import Accelerator
from torch import Tensor

from text_uda import distributed
from text_uda.model.classifier import TokenCounts
from text_uda.runs.directory import RunDirectory
from text_uda.training.run_warnings import RunWarnings
from translation_cache.atomic import sync

MACHINE_METRICS = ("rows_per_s", "tokens_per_s", "peak_memory_gb")  # they differ between machines for the same run

log = logging.getLogger("text_uda")


class Throughput:
    """Rows and tokens of all processes a second since the last reading; waiting for rows counts."""

    def __init__(self) -> None:
        self._rows, self._token_counts, self._since = 0, TokenCounts(), time.monotonic()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def add(self, rows: int, token_counts: TokenCounts) -> None:
        """Count one step.

        Args:
            rows: of all processes.
            token_counts: of this process.
        """
        self._rows += rows
        self._token_counts.add(token_counts.tokens, token_counts.positions)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in this block does not count."""
        paused_at = time.monotonic()
        yield
        self._since += time.monotonic() - paused_at

    def read(self, device: torch.device) -> dict[str, float]:
        """Rows and tokens a second, the share of padding, and the largest memory of any process in GB."""
        now = time.monotonic()
        seconds, rows, token_counts = now - self._since, self._rows, self._token_counts
        self._since, self._rows, self._token_counts = now, 0, TokenCounts()
        memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else _peak_memory()
        return {
            "rows_per_s": rows / seconds,
            "tokens_per_s": distributed.processes() * token_counts.tokens / seconds,
            "padding": token_counts.padding,
            "peak_memory_gb": distributed.largest(memory / 1e9),
        }


def _peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil  # a dependency of accelerate

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Metrics:
    """Appends one line to metrics.jsonl for each logged step and each evaluation on the development rows.

    Of several processes the main one writes. The file is appended to and flushed, not written whole like the others: it
    grows with the run. It is synced before each checkpoint. A resumed run drops the lines after its checkpoint, also
    one that a kill cut short.

    Args:
        accelerator: its trackers receive the same values.
        steps: of the run.
    """

    def __init__(self, directory: RunDirectory, accelerator: Accelerator, *, steps: int) -> None:
        self._accelerator, self._warnings = accelerator, RunWarnings(steps)
        self._file: IO[str] | None = None
        if distributed.is_main():
            for record in directory.read_metrics():
                list(self._warnings.read(record))  # they were logged before the run stopped
            self._file = directory.metrics.open("a", encoding="utf-8")
        self._path = directory.metrics

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def train(self, done: int, terms: Mapping[str, Tensor | float]) -> None:
        """Log the step after which `done` steps are done, as the mean over the processes, to 6 digits."""
        means = distributed.mean_of(terms)
        self._append({"kind": "train", "step": done} | {name: float(f"{mean:.6g}") for name, mean in means.items()})

    def evaluation(self, done: int, figures: Mapping[str, float]) -> None:
        self._append({"kind": "dev", "step": done} | dict(figures))

    def sync(self) -> None:
        """Make the lines so far durable."""
        if self._file is not None:
            sync(self._path)

    def _append(self, record: dict[str, Any]) -> None:
        if self._accelerator.trackers:
            values = {f"{record['kind']}/{name}": v for name, v in record.items() if name not in ("kind", "step")}
            self._accelerator.log(values, step=record["step"])
        if self._file is None:
            return
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for warning in self._warnings.read(record):
            log.warning(warning)
