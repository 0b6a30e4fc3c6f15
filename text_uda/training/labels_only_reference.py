"""Logistic regression on the labels alone: the reference for a run that also reads unlabeled texts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.fusion.fused_model import FittedFusion
from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.frozen_encoder import FrozenEncoder, encoder_of
from text_uda.model.pretrained import load_classifier
from text_uda.objectives.logistic_regression import LogisticRegression
from text_uda.training.baseline_inputs import baseline_inputs, scales_of, text_width
from text_uda.training.settings import TrainSettings

log = logging.getLogger("text_uda")

MAX_LABELS = 5000  # with more labels the regression takes minutes, and labels are no longer few


@dataclass(frozen=True)
class RegressionReference:
    """Predictions of logistic regression for the development rows."""

    predicted: Sequence[int]
    dev_error: float  # percent
    method: str = "logistic regression"

    def record(self) -> dict[str, Any]:
        """For result.json."""
        return {"method": self.method, "dev_error": self.dev_error}


def fit_reference(
    split: Split,
    settings: TrainSettings,
    device: torch.device,
    frozen: FrozenEncoder | None,
    fusion: FittedFusion | None = None,
) -> RegressionReference | None:
    """Fit logistic regression on the frozen encoder's features, and on the columns that the run reads (see
    `baseline_inputs`). Encoding the labeled and development rows takes about a second.

    Args:
        frozen: an encoder that may have these features already.
        fusion: of the run; None where it reads no columns.
    Returns:
        None without development rows, with more than 5,000 labels, for an encoder whose head cannot be separated, and
        where memory does not suffice for another encoder: the run itself finishes in any case.
    """
    if not len(split.dev) or len(split.labeled) > MAX_LABELS:
        return None

    def fit() -> list[int] | None:
        try:
            encoder = frozen_encoder(split, settings, device) if frozen is None else frozen
        except SettingsError:
            return None
        width = text_width(encoder.width, fusion and fusion.settings)
        features, dev = (
            baseline_inputs(encoder.rows(rows.texts).values, fusion and fusion.columns.encode(rows.texts), width=width)
            for rows in (split.labeled, split.dev)
        )
        if fusion is not None:
            scales = scales_of(features, width=width)
            features, dev = features / scales, dev / scales
        labels, classes = np.asarray(split.labeled.labels), len(split.classes)
        if len(np.unique(labels)) < classes:
            return None
        linear = LogisticRegression().fit(features, labels, features[:0], classes=classes, seed=settings.seed)
        return linear.probabilities(dev).argmax(axis=-1).tolist()

    def fit_within_memory() -> list[int] | None:
        try:
            return fit()
        except (torch.OutOfMemoryError, MemoryError) as error:
            log.warning("the run has no logistic-regression reference: out of memory (%s)", error)
            return None

    predicted = distributed.on_main(fit_within_memory)
    if predicted is None:
        return None
    wrong = np.asarray(predicted) != np.asarray(split.dev.labels)
    columns = "" if fusion is None else f", {'columns alone' if fusion.settings.name == 'columns' else 'late fusion'}"
    return RegressionReference(predicted, 100.0 * float(wrong.mean()), f"logistic regression{columns}")


def frozen_encoder(split: Split, settings: TrainSettings, device: torch.device) -> FrozenEncoder:
    """The pretrained encoder of these settings.

    Raises:
        SettingsError: there is no such encoder, or the input of its head is not known.
    """
    classifier = load_classifier(settings.encoder, split.classes, seed=settings.seed, linear_head=True)
    model = classifier.model.to(device)  # pyright: ignore[reportArgumentType]
    check_head_is_separable(model)
    return encoder_of(model, classifier.tokenizer, settings)


def worse_than(reference: RegressionReference, probabilities: np.ndarray, labels: Sequence[int]) -> str | None:
    """A warning where the run errs on more development rows than the reference, by more than one standard error.

    Of b rows that only the run gets wrong and c rows that only the reference gets wrong, b - c has the standard error
    sqrt(b + c) where neither is better (McNemar 1947).

    Args:
        probabilities: of the run on the development rows, (N, C).
        labels: (N,).
    """
    expected = np.asarray(labels)
    run_wrong = probabilities.argmax(axis=-1) != expected
    reference_wrong = np.asarray(reference.predicted) != expected
    only_run, only_reference = int((run_wrong & ~reference_wrong).sum()), int((reference_wrong & ~run_wrong).sum())
    standard_error = (only_run + only_reference) ** 0.5
    if only_run - only_reference <= standard_error:
        return None
    return (
        f"dev error {100 * run_wrong.mean():.1f}% is above {reference.dev_error:.1f}% of {reference.method} on the "
        f"labels alone ({len(expected):,} dev rows, {(only_run - only_reference) / standard_error:.1f} standard "
        "errors): the unlabeled texts make the model worse. Lower the weight of the unlabeled loss or ramp it up over "
        "more steps, choose another augmentation, or train on the labels alone"
    )
