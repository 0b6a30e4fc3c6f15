"""What a run tells of itself while it trains: metrics.jsonl, and warnings in words."""

import json
import logging
import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from torch import Tensor

from text_uda.evaluate import Evaluation
from text_uda.run import RunDirectory

log = logging.getLogger("text_uda")

COLLAPSED_SHARE = 0.9  # of the development rows predicted as one class, above which the trainer warns


class Metrics:
    """Appends to a run's metrics.jsonl, a line each logged step and each look at the development split."""

    def __init__(self, directory: RunDirectory) -> None:
        self._file = directory.metrics.open("a", encoding="utf-8")
        self._collapse_told = False

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def step(self, done: int, *, loss: Tensor, terms: Mapping[str, Tensor | float]) -> None:
        record = {name: round(float(value), 6) for name, value in terms.items()}
        self._append({"kind": "train", "step": done, "loss": round(float(loss), 6)} | record)

    def look(self, done: int, evaluation: Evaluation) -> None:
        share = evaluation.largest_class_share
        self._append({"kind": "dev", "step": done, "error": evaluation.error, "largest_class_share": share})
        if share > COLLAPSED_SHARE and not self._collapse_told:
            self._collapse_told = True
            log.warning(_collapse_words(done, share))

    def held_out(self, done: int, *, loss: float) -> None:
        """Of a language model, nats a masked token."""
        self._append({"kind": "dev", "step": done, "loss": loss, "perplexity": math.exp(min(loss, 700.0))})

    def _append(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def warnings_of(directory: RunDirectory) -> list[str]:
    """From the metrics, so that a run that was stopped and went on warns of the same."""
    looks = [record for record in directory.read_metrics() if record["kind"] == "dev"]
    collapsed = [look for look in looks if look["largest_class_share"] > COLLAPSED_SHARE]
    return [_collapse_words(look["step"], look["largest_class_share"]) for look in collapsed[:1]]


def _collapse_words(step: int, share: float) -> str:
    return (
        f"step {step:,}: {share:.0%} of the development rows are predicted as one class: the model has collapsed. "
        "Lower the weight of the unlabeled loss or the learning rate, or ramp the weight up over more steps; where the "
        "method has them, raise the confidence threshold or the temperature, or align the distribution"
    )
