"""What the labels alone are worth: logistic regression beside a run that also reads unlabeled texts."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.frozen_encoder import FrozenEncoder, encoder_of
from text_uda.model.pretrained import load_classifier
from text_uda.objectives.logistic_regression import LogisticRegression
from text_uda.training.settings import TrainSettings

log = logging.getLogger("text_uda")

MOST_LABELS = 5000  # of more the regression takes minutes, and labels are no longer few


@dataclass(frozen=True)
class LabelsAlone:
    """What logistic regression on the labeled rows says of the development rows."""

    predicted: Sequence[int]
    dev_error: float  # percent

    def record(self) -> dict[str, Any]:
        """For result.json."""
        return {"method": "logistic regression", "dev_error": self.dev_error}


def labels_alone(
    split: Split, settings: TrainSettings, device: torch.device, frozen: FrozenEncoder | None
) -> LabelsAlone | None:
    """Fit it on the frozen encoder's features; labeled and development rows are encoded, a second or so.

    Args:
        frozen: an encoder that has them already.
    Returns:
        None without development rows, of more than 5,000 labels, of an encoder whose head cannot be trained apart, and
        where there is no memory for another encoder: the run that it stands beside is finished all the same.
    """
    if not len(split.dev) or len(split.labeled) > MOST_LABELS:
        return None

    def fit() -> list[int] | None:
        try:
            encoder = frozen_encoder(split, settings, device) if frozen is None else frozen
        except SettingsError:
            return None
        features, dev = (encoder.rows(rows.texts).values.numpy() for rows in (split.labeled, split.dev))
        labels, classes = np.asarray(split.labeled.labels), len(split.classes)
        if len(np.unique(labels)) < classes:
            return None
        linear = LogisticRegression().fit(features, labels, features[:0], classes=classes, seed=settings.seed)
        return linear.probabilities(dev).argmax(axis=-1).tolist()

    def fit_if_it_fits() -> list[int] | None:
        try:
            return fit()
        except (torch.OutOfMemoryError, MemoryError) as error:
            log.warning("no memory left to fit logistic regression beside the run, which goes without: %s", error)
            return None

    predicted = distributed.on_main(fit_if_it_fits)
    if predicted is None:
        return None
    wrong = np.asarray(predicted) != np.asarray(split.dev.labels)
    return LabelsAlone(predicted, 100.0 * float(wrong.mean()))


def frozen_encoder(split: Split, settings: TrainSettings, device: torch.device) -> FrozenEncoder:
    """The encoder of these settings as it was pretrained.

    Raises:
        SettingsError: what its head reads is not known, or there is no such encoder.
    """
    made = load_classifier(settings.encoder, split.classes, seed=settings.seed, linear_head=True)
    model = made.model.to(device)  # pyright: ignore[reportArgumentType]
    check_head_is_separable(model)
    return encoder_of(model, made.tokenizer, settings)


def worse_than(alone: LabelsAlone, probabilities: np.ndarray, labels: Sequence[int]) -> str | None:
    """Words where the run errs on more development rows than the labels alone, by more than one standard error.

    Of b rows that the run alone has wrong and c that the regression alone has wrong, b - c has the standard error
    sqrt(b + c) where neither is better (McNemar 1947): one row more is none.

    Args:
        probabilities: of the run on the development rows, (N, C).
        labels: (N,).
    """
    right = np.asarray(labels)
    own, base = probabilities.argmax(axis=-1) != right, np.asarray(alone.predicted) != right
    only_own, only_base = int((own & ~base).sum()), int((base & ~own).sum())
    error = (only_own + only_base) ** 0.5
    if only_own - only_base <= error:
        return None
    return (
        f"dev error {100 * own.mean():.1f}% is above {alone.dev_error:.1f}% of logistic regression on the labels alone "
        f"({len(right):,} dev rows, {(only_own - only_base) / error:.1f} standard errors): the unlabeled texts do not "
        "help here as they are used. Lower the weight of the unlabeled loss or ramp it up over more steps, take "
        "another augmentation, or train on the labels alone"
    )
