"""The expected share of each class: uniform, the share among the labeled rows, or shares set by the user."""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from text_uda.errors import SettingsError

Prior = Literal["uniform", "labels"] | tuple[float, ...]
"""Equal shares; the shares among the labeled rows; or the share of each class, in the order of the classes.

"labels" describes the unlabeled texts only if the labeled rows are a proportional sample of them. A class-balanced
sample of skewed data has a uniform marginal, which carries no information on the data: sample in proportion
(`--label-sampling proportional`), or set the shares.
"""

_ROUNDING = 1e-3  # shares rounded to three digits need not sum to exactly 1


def check_prior(prior: Any, name: str, *, words: tuple[str, ...] = ("uniform", "labels")) -> None:
    """Raise SettingsError unless the prior is one of the words or a distribution."""
    if isinstance(prior, str) and prior in words:
        return
    if not isinstance(prior, tuple) or not all(isinstance(share, int | float) for share in prior):
        raise SettingsError(
            f"{name}={prior!r}: choose {', '.join(words)}, or give the share of each class as a tuple of numbers, in "
            "the order of the classes"
        )
    if not all(share > 0 for share in prior):
        raise SettingsError(f"{name}={prior}: give each class a share above 0")
    if abs(math.fsum(prior) - 1) > _ROUNDING:
        raise SettingsError(f"{name}={prior}: the shares sum to {math.fsum(prior):g}: give shares that sum to 1")


def class_distribution(prior: Prior, label_share: Float[Tensor, " C"], name: str) -> Float[Tensor, " C"]:
    """The share of each class, float32.

    Args:
        label_share: the share of each class among the labeled rows.
        name: of the setting, for errors.
    Raises:
        SettingsError: the prior has another number of classes, or is "labels" and a class has no labeled row.
    """
    classes = len(label_share)
    if prior == "uniform":
        return torch.full((classes,), 1 / classes)
    if prior == "labels":
        check_all_classes_are_labeled(label_share, f'{name}="labels"')
        return label_share.clone()
    assert not isinstance(prior, str), "check_prior rejects other words"
    if len(prior) != classes:
        raise SettingsError(f"{name} has {len(prior)} shares and the data {classes} classes: give one for each class")
    shares = torch.tensor(prior, dtype=torch.float64)
    return (shares / shares.sum()).float()


def expects_label_shares(objective: Any) -> bool:
    """Whether the objective expects of unlabeled texts the class shares of the labeled rows, of the data or a batch."""
    priors = (getattr(objective, name, None) for name in ("alignment", "prior"))
    return any(isinstance(prior, str) and prior in ("labels", "predictions") for prior in priors)


def check_all_classes_are_labeled(label_share: Float[Tensor, " C"], setting: str) -> None:
    """Raise SettingsError if a class has no labeled row."""
    missing = [number for number, share in enumerate(label_share.tolist()) if share == 0]
    if missing:
        raise SettingsError(
            f"{setting} needs a labeled row of each class, and there is none of class "
            f"{', '.join(map(str, missing))} (counted from 0): use more labels, or give a number for each class"
        )


def alignment_state(alignment: Prior | None, label_share: Float[Tensor, " C"]) -> dict[str, Tensor]:
    """The state of an alignment to a prior: the prior, and the running mean of the predictions; {} without alignment.

    The mean starts at the prior, so that the first targets stay as they are. From a uniform start, a skewed prior would
    itself skew the targets.
    """
    if alignment is None:
        return {}
    prior = class_distribution(alignment, label_share, "alignment")
    return {"prior": prior, "mean_prediction": prior.clone()}
