"""What a run tells of itself while it trains: metrics.jsonl, trackers, and warnings in words."""

import json
import logging
import math
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

from accelerate import Accelerator
from torch import Tensor

from text_uda import distributed
from text_uda.evaluate import Evaluation
from text_uda.objectives import Supervised
from text_uda.run import RunDirectory
from text_uda.step import Sum
from text_uda.watch import Watch

OF_THE_MACHINE = ("rows_per_s", "tokens_per_s", "peak_memory_gb")  # the same run has others elsewhere

log = logging.getLogger("text_uda")


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
        unlabeled = [part for name, part in result.parts.items() if name != Supervised.__name__]
        own: dict[str, Tensor | float] = {"loss": result.loss, **result.terms, **terms}
        if unlabeled:
            own["unlabeled_loss"] = sum(unlabeled)
        self.train(done, distributed.mean_of(own))

    def train(self, done: int, terms: Mapping[str, float]) -> None:
        self._append({"kind": "train", "step": done} | {name: float(f"{value:.6g}") for name, value in terms.items()})

    def look(self, done: int, evaluation: Evaluation) -> None:
        share = evaluation.largest_class_share
        self._append({"kind": "dev", "step": done, "error": evaluation.error, "largest_class_share": share})

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
