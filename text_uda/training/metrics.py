"""What a run tells of itself while it trains: metrics.jsonl, trackers, and warnings in words."""

import json
import logging
import math
import resource
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
from text_uda.runs.evaluation import FIGURES, Evaluation
from text_uda.training.run_warnings import Watch
from text_uda.training.step import Sum

OF_THE_MACHINE = ("rows_per_s", "tokens_per_s", "peak_memory_gb")  # the same run has others elsewhere

log = logging.getLogger("text_uda")


class Pace:
    """How fast a run goes: rows and tokens of all processes since they were last told, waiting for rows counted."""

    def __enter__(self) -> "Pace":
        self._rows = 0
        self._traffic = TokenCounts()
        self._since = time.monotonic()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def add(self, rows: int, traffic: TokenCounts) -> None:
        """Of one step.

        Args:
            rows: of all processes.
            traffic: of this process.
        """
        self._rows += rows
        self._traffic.add(traffic.tokens, traffic.positions)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that is not the steps'."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began

    def told(self, device: torch.device) -> dict[str, float]:
        """Rows and tokens a second, the share of padding, and the most memory that any process had, in GB."""
        now = time.monotonic()
        seconds, rows, traffic = now - self._since, self._rows, self._traffic
        self._since, self._rows, self._traffic = now, 0, TokenCounts()
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated()
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {
            "rows_per_s": rows / seconds,
            "tokens_per_s": distributed.processes() * traffic.tokens / seconds,
            "padding": traffic.padding,
            "peak_memory_gb": distributed.largest(memory / 1e9),
        }


class Metrics:
    """Appends to a run's metrics.jsonl, a line each logged step and each look at the development split.

    Of several processes the main one writes, the mean over all.

    Args:
        accelerator: whose trackers get the same; None for none.
        steps: of the run.
    """

    def __init__(self, directory: RunDirectory, accelerator: Accelerator | None = None, *, steps: int) -> None:
        self._accelerator, self._watch = accelerator, Watch(steps)
        self._file: IO[str] | None = None
        if distributed.is_main():
            for record in directory.read_metrics():
                list(self._watch.see(record))  # what was told is not told again
            self._file = directory.metrics.open("a", encoding="utf-8")

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def step(self, done: int, result: Sum, terms: Mapping[str, float]) -> None:
        """Of the step that made it `done` steps.

        Args:
            terms: what the step itself does not know: learning rate, speed.
        """
        own: dict[str, Tensor | float] = {"loss": result.loss, **result.terms, **terms}
        if result.unlabeled is not None:
            own["unlabeled_loss"] = result.unlabeled
        self.train(done, distributed.mean_of(own))

    def train(self, done: int, terms: Mapping[str, float]) -> None:
        self._append({"kind": "train", "step": done} | {name: float(f"{value:.6g}") for name, value in terms.items()})

    def look(self, done: int, evaluation: Evaluation) -> None:
        figures = {name: getattr(evaluation, name) for name in FIGURES}
        self._append({"kind": "dev", "step": done} | figures | evaluation.shares())

    def held_out(self, done: int, *, loss: float) -> None:
        """Of a language model, nats a masked token."""
        self._append({"kind": "dev", "step": done, "loss": loss, "perplexity": math.exp(min(loss, 700.0))})

    def _append(self, record: dict[str, Any]) -> None:
        if self._accelerator is not None and self._accelerator.trackers:
            values = {f"{record['kind']}/{name}": v for name, v in record.items() if name not in ("kind", "step")}
            self._accelerator.log(values, step=record["step"])
        if self._file is None:
            return
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for words in self._watch.see(record):
            log.warning(words)
