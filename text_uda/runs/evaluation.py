"""What a trained classifier is worth, and what it says: error, scores of each class, confusion, predictions."""

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
    """Percent, as in `class_scores`; so are the two below."""
    balanced_error: float
    per_class: tuple[ClassScores, ...]
    confusion: list[list[int]]
    """C x C counts, true class by predicted class."""

    @property
    def rows(self) -> int:
        return sum(map(sum, self.confusion))

    def figures(self, prefix: str) -> dict[str, float]:
        """error, macro_f1 and balanced_error under names that begin with `prefix_`."""
        return {f"{prefix}_{name}": getattr(self, name) for name in FIGURES}

    def shares(self) -> dict[str, float]:
        """What tells a collapse, as counts and as shares of the rows.

        Returns:
            rows, and classes, those that have rows; majority_share: of the most frequent label; largest_class_share: of
            the class predicted most often; label_share_of_it: how frequent that class is among the labels;
            never_predicted, share_never_predicted: of the classes that have rows and are never predicted.
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
        """What weights are chosen by: the lower, the better."""
        by = {"error": self.error, "macro-f1": 100.0 - self.macro_f1, "balanced-error": self.balanced_error}
        return by.get(select_by, 0.0)  # "last" tells no weights from others


def probabilities(
    model: PreTrainedModel,
    rows: ModelRows,
    *,
    max_tokens_per_batch: int = TOKENS_PER_BATCH,
    numbers: ResolvedPrecision = "fp32",
    progress: OnProgress | None = None,
) -> np.ndarray:
    """Class probabilities in evaluation mode, (N, C) float32; the model's mode is put back.

    Args:
        max_tokens_per_batch: places of a batch, padding counted; rows of similar length go together.
        numbers: of the forward pass; the softmax is in float32.
    """
    was_training = model.training
    model.eval()
    result = np.zeros((len(rows), number_of_classes(model)), dtype=np.float32)
    done = 0
    if progress is not None:
        progress(done, len(rows))
    with torch.inference_mode(), autocast(model.device, numbers):
        batches = batches_by_tokens(rows, max_tokens_per_batch)
        for indices in batches[distributed.rank() :: distributed.processes()]:  # the others have zeros elsewhere
            result[indices] = logits(model, rows.batch(indices).to(model.device)).float().softmax(dim=-1).cpu().numpy()
            done += len(indices)
            if progress is not None:
                progress(done, len(rows))
    model.train(was_training)
    return distributed.summed(torch.from_numpy(result)).numpy()


def score(probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """What predicted probabilities (N, C) are worth against labels (N,)."""
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
        SettingsError: the run is not finished, or is no run.
    """
    directory = RunDirectory(run)
    directory.check_holds_no_pretraining()
    if directory.result() is None:
        what = "is not finished: run the same `text-uda train` again" if directory.path.is_dir() else "does not exist"
        raise SettingsError(f"the run {run} {what}")
    model = AutoModelForSequenceClassification.from_pretrained(directory.model)
    restore_averaging_layer(model)
    pack(model)
    tokenizer = AutoTokenizer.from_pretrained(directory.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), tokenizer


def evaluate(run: str | Path, rows: Rows, *, progress: OnProgress | None = None) -> dict[str, Any]:
    """The error of a finished run on labeled rows, whose labels index the run's classes.

    Each row counts as it stands: a text that stands three times counts three times, as it will in use.

    Returns:
        run, rows, repeated_rows (those of them whose text stands before), test_error, test_macro_f1,
        test_balanced_error (percent), per_class (class, precision, recall, f1 in percent, support), confusion (true
        class by predicted class), seconds.
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
    """For each text, in order and as they come: label, probability, and the probabilities by class name."""
    model, tokenizer = open_model(Path(run))
    max_tokens = int(RunDirectory(Path(run)).config()["settings"]["max_tokens"])
    names = class_names(model)
    remaining = iter(texts)
    while chunk := list(islice(remaining, batch_size)):
        tokens = TokenRows(chunk, tokenizer, max_tokens=max_tokens)
        for row in probabilities(model, tokens):
            best = int(row.argmax())
            by_class = {name: float(value) for name, value in zip(names, row, strict=True)}
            yield {"label": names[best], "probability": float(row[best]), "probabilities": by_class}
