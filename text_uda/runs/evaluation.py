"""Evaluation and predictions of a classifier: error, scores of each class, confusion, probabilities."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from text_uda import distributed
from text_uda.data import Rows
from text_uda.data.texts import distinct_places
from text_uda.errors import SettingsError
from text_uda.model.averaging_layer import restore_averaging_layer
from text_uda.model.classifier import class_names, logits, number_of_classes
from text_uda.model.packing import pack
from text_uda.model.precision import ResolvedPrecision, autocast
from text_uda.model.tokenized import TOKENS_PER_BATCH, ModelRows, OnProgress, TokenRows, batches_by_tokens
from text_uda.runs.directory import RunDirectory
from text_uda.runs.per_class import ClassScores, class_scores, named

FIGURES = ("error", "macro_f1", "balanced_error")

SelectBy = Literal["error", "macro-f1", "balanced-error", "last"]


@dataclass(frozen=True)
class Evaluation:
    """N rows, C classes."""

    error: float
    """Percent of the rows whose most probable class is not the label."""
    macro_f1: float
    """Percent; see `class_scores`, as for `balanced_error` and `per_class`."""
    balanced_error: float
    per_class: tuple[ClassScores, ...]
    confusion: list[list[int]]
    """C x C counts, true class by predicted class."""

    @property
    def rows(self) -> int:
        return sum(map(sum, self.confusion))

    def figures(self, prefix: str) -> dict[str, float]:
        """error, macro_f1 and balanced_error, with `prefix_` before each name."""
        return {f"{prefix}_{name}": getattr(self, name) for name in FIGURES}

    def record(self) -> dict[str, float]:
        """A line of metrics.jsonl: the figures, and the shares that show a collapse."""
        return {name: getattr(self, name) for name in FIGURES} | self.shares()

    def shares(self) -> dict[str, float]:
        """Counts and shares that show a collapse of the predictions.

        Returns:
            rows; classes: the number of classes with rows; majority_share: share of the most frequent label;
            largest_class_share: share of the class predicted most often; label_share_of_it: the share of that class
            among the labels; never_predicted, share_never_predicted: number and share of rows of the classes that have
            rows and are never predicted.
        """
        support, predicted = np.sum(self.confusion, axis=1), np.sum(self.confusion, axis=0)  # (C,)
        most = predicted.max()
        never = (predicted == 0) & (support > 0)
        return {
            "rows": self.rows,
            "classes": int((support > 0).sum()),
            "largest_class_share": float(most / self.rows),
            "label_share_of_it": float(support[predicted == most].max() / self.rows),
            "majority_share": float(support.max() / self.rows),
            "never_predicted": int(never.sum()),
            "share_never_predicted": float(support[never].sum() / self.rows),
        }

    def criterion(self, select_by: SelectBy) -> float:
        """The criterion that chooses weights; lower is better."""
        by = {"error": self.error, "macro-f1": 100.0 - self.macro_f1, "balanced-error": self.balanced_error}
        return by.get(select_by, 0.0)  # "last" compares no weights


def probabilities(
    model: PreTrainedModel,
    rows: ModelRows,
    *,
    max_tokens_per_batch: int = TOKENS_PER_BATCH,
    precision: ResolvedPrecision = "fp32",
    progress: OnProgress | None = None,
) -> np.ndarray:
    """Class probabilities in evaluation mode, (N, C) float32; the mode of the model is restored.

    Args:
        max_tokens_per_batch: including padding; a batch has rows of similar length.
        precision: of the forward pass; the softmax is in float32.
    """
    was_training = model.training
    model.eval()
    result = np.zeros((len(rows), number_of_classes(model)), dtype=np.float32)
    done = 0
    if progress is not None:
        progress(done, len(rows))
    with torch.inference_mode(), autocast(model.device, precision):
        batches = batches_by_tokens(rows, max_tokens_per_batch)
        for indices in batches[distributed.rank() :: distributed.processes()]:  # other rows stay 0 here
            result[indices] = logits(model, rows.batch(indices).to(model.device)).float().softmax(dim=-1).cpu().numpy()
            done += len(indices)
            if progress is not None:
                progress(done, len(rows))
    model.train(was_training)
    return distributed.summed(torch.from_numpy(result)).numpy()


def score(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Evaluate predicted probabilities (N, C) against labels (N,)."""
    predicted = probabilities.argmax(axis=-1)
    classes = probabilities.shape[-1]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    scores = class_scores(confusion.tolist())
    return Evaluation(
        error=100.0 * float((predicted != labels).mean()),
        macro_f1=scores.macro_f1,
        balanced_error=scores.balanced_error,
        per_class=scores.per_class,
        confusion=confusion.tolist(),
    )


def open_model(run: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The trained model of a run and its tokenizer, on the GPU where there is one.

    Raises:
        SettingsError: the run is not finished, or the folder is not a run.
    """
    directory = RunDirectory(run)
    directory.check_holds_no_pretraining()
    if directory.result() is None:
        exists = directory.path.is_dir()
        state = "is not finished: rerun the same `text-uda train` command" if exists else "does not exist"
        raise SettingsError(f"the run {run} {state}")
    model = AutoModelForSequenceClassification.from_pretrained(directory.model)
    restore_averaging_layer(model)
    pack(model)
    tokenizer = AutoTokenizer.from_pretrained(directory.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), tokenizer


def evaluate(run: str | Path, rows: Rows, *, progress: OnProgress | None = None) -> dict[str, Any]:
    """Evaluate a finished run on labeled rows, whose labels index the classes of the run.

    Repeated texts count as often as they occur.

    Returns:
        run, rows, repeated_rows (rows whose text occurs before), test_error, test_macro_f1, test_balanced_error
        (percent), per_class (class, precision, recall, f1 in percent, support), confusion (true class by predicted
        class), seconds.
    """
    started = time.monotonic()
    model, tokenizer = open_model(Path(run))
    classes = number_of_classes(model)
    if rows.labels and max(rows.labels) >= classes:
        raise SettingsError(f"label {max(rows.labels)} is outside the run's {classes} classes")
    max_tokens = int(RunDirectory(Path(run)).config()["settings"]["max_tokens"])
    tokens = TokenRows(rows.texts, tokenizer, max_tokens=max_tokens)
    evaluation = score(probabilities(model, tokens, progress=progress), np.asarray(rows.labels))
    return {
        "run": str(run),
        "rows": len(rows.texts),
        "repeated_rows": len(rows.texts) - len(distinct_places(rows.texts)),
        **evaluation.figures("test"),
        "per_class": named(evaluation.per_class, class_names(model)),
        "confusion": evaluation.confusion,
        "seconds": time.monotonic() - started,
    }


def predict(run: str | Path, texts: Iterable[str], *, batch_size: int = 32) -> Iterator[dict[str, Any]]:
    """Label, probability and probabilities by class name for each text, in order, in batches as texts arrive."""
    model, tokenizer = open_model(Path(run))
    max_tokens = int(RunDirectory(Path(run)).config()["settings"]["max_tokens"])
    names = class_names(model)
    iterator = iter(texts)
    while batch := list(islice(iterator, batch_size)):
        tokens = TokenRows(batch, tokenizer, max_tokens=max_tokens)
        for row in probabilities(model, tokens):
            best = int(row.argmax())
            by_class = {name: float(value) for name, value in zip(names, row, strict=True)}
            yield {"label": names[best], "probability": float(row[best]), "probabilities": by_class}
