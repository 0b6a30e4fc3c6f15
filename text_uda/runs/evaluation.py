"""Evaluation of a classifier: error, scores of each class, confusion."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from text_uda.data import Rows
from text_uda.data.texts import distinct_places
from text_uda.errors import DataError, SettingsError
from text_uda.fusion.fitted_columns import ColumnRows
from text_uda.model.tokenized import ModelRows, OnProgress, TokenRows
from text_uda.runs.intervals import wilson_interval
from text_uda.runs.per_class import ClassScores, class_scores, named
from text_uda.runs.prediction import TrainedClassifier, probabilities
from text_uda.runs.seen_texts import seen_in_training

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

    @property
    def errors(self) -> int:
        """Rows whose most probable class is not the label."""
        return self.rows - sum(row[index] for index, row in enumerate(self.confusion))

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


def evaluate(run: str | Path, rows: Rows, *, progress: OnProgress | None = None) -> dict[str, Any]:
    """Evaluate a finished run on labeled rows, whose labels index the classes of the run.

    Repeated texts count as often as they occur.

    Returns:
        run, rows, repeated_rows (rows whose text occurs before), seen_rows (rows whose text the run was trained on or
        selected by: `labeled`, `dev`, `unlabeled`; None for a run of an earlier version), test_error, test_macro_f1,
        test_balanced_error (percent), test_error_interval (95%, Wilson), per_class (class, precision, recall, f1 in
        percent, support), confusion (true class by predicted class), seconds.
    Raises:
        DataError: there is no row.
        SettingsError: the run is not finished, a label is not one of its classes, or the rows lack the columns that the
            run reads beside the text.
    """
    started = time.monotonic()
    if not rows.labels:
        raise DataError("there is no labeled row to evaluate; use rows with labels, or `text-uda predict` without them")
    classifier = TrainedClassifier.open(run)
    classes = classifier.classes
    if max(rows.labels) >= len(classes):
        raise SettingsError(f"label {max(rows.labels)} is outside the run's {len(classes)} classes")
    tokens: ModelRows = TokenRows(rows.texts, classifier.tokenizer, max_tokens=classifier.max_tokens)
    if classifier.columns is not None:
        tokens = ColumnRows(tokens, classifier.columns.encode(rows.texts))
    evaluation = score(probabilities(classifier.model, tokens, progress=progress), np.asarray(rows.labels))
    seen = seen_in_training(Path(run), rows.texts)
    return {
        "run": str(run),
        "rows": evaluation.rows,
        "repeated_rows": evaluation.rows - len(distinct_places(rows.texts)),
        "seen_rows": None if seen is None else {use: int(rows_of_use.sum()) for use, rows_of_use in seen.items()},
        **evaluation.figures("test"),
        "test_error_interval": list(wilson_interval(evaluation.errors, evaluation.rows)),
        "per_class": named(evaluation.per_class, classes),
        "confusion": evaluation.confusion,
        "seconds": time.monotonic() - started,
    }
