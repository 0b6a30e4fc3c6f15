"""How often each class is expected: uniform, as among the labeled rows, or a distribution that is given."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from text_uda.errors import SettingsError

Prior = Literal["uniform", "labels"] | tuple[float, ...]
"""Each class as often as the others; as often as among the labeled rows; or its share, in the order of the classes.

"labels" stands for the unlabeled texts only where the labeled rows were drawn from them in proportion. Labeled rows
that were drawn class-balanced from skewed data have a uniform marginal, which says nothing of the data: draw them in
proportion (`--label-sampling proportional`), or give the shares.
"""

_ROUNDING = 1e-3  # shares that were rounded to three digits need not sum to 1 exactly


def check_prior(prior: Any, name: str, *, words: tuple[str, ...] = ("uniform", "labels")) -> None:
    """Raise SettingsError where this is neither one of the words nor a distribution."""
    if isinstance(prior, str) and prior in words:
        return
    if not isinstance(prior, tuple) or not all(isinstance(share, int | float) for share in prior):
        raise SettingsError(
            f"{name}={prior!r}: choose {', '.join(words)}, or give the share of each class as a tuple of numbers, in "
            "the order of the classes"
        )
    if not all(share > 0 for share in prior):
        raise SettingsError(f"{name}={prior}: the share of each class has to be above 0")
    if abs(math.fsum(prior) - 1) > _ROUNDING:
        raise SettingsError(f"{name}={prior}: the shares sum to {math.fsum(prior):g}: give shares that sum to 1")


def distribution(prior: Prior, label_share: Tensor, name: str) -> Tensor:
    """The share of each class, (C,) float32.

    Args:
        label_share: of each class among the labeled rows, (C,).
        name: of the setting, for errors.
    Raises:
        SettingsError: shares of another number of classes, or "labels" where a class has no labeled row.
    """
    classes = len(label_share)
    if prior == "uniform":
        return torch.full((classes,), 1 / classes)
    if prior == "labels":
        check_each_class_is_labeled(label_share, f'{name}="labels"')
        return label_share.clone()
    assert not isinstance(prior, str), "check_prior refuses other words"
    if len(prior) != classes:
        raise SettingsError(f"{name} has {len(prior)} shares and the data {classes} classes: give one for each class")
    shares = torch.tensor(prior, dtype=torch.float64)
    return (shares / shares.sum()).float()


def goes_by_the_labels(objective: Any) -> bool:
    """Whether what it expects of unlabeled texts is what the labeled rows of the data, or of the batch, have."""
    priors = (getattr(objective, name, None) for name in ("alignment", "prior"))
    return any(isinstance(prior, str) and prior in ("labels", "predictions") for prior in priors)


def check_each_class_is_labeled(label_share: Tensor, what: str) -> None:
    """Raise SettingsError where a class has no labeled row; `what` needs one of each."""
    missing = [number for number, share in enumerate(label_share.tolist()) if share == 0]
    if missing:
        raise SettingsError(
            f"{what} needs a labeled row of each class, and there is none of class {', '.join(map(str, missing))} "
            "(counted from 0): take more labels, or give a number for each class"
        )


def alignment_state(alignment: Prior | None, label_share: Tensor) -> dict[str, Tensor]:
    """What the alignment to a prior remembers: the prior, and the running mean of the predictions, which starts there.

    The mean starts at the prior, so that nothing is aligned before something was seen. From a uniform start a skewed
    prior would itself skew the targets.

    Returns:
        {} without an alignment.
    """
    if alignment is None:
        return {}
    prior = distribution(alignment, label_share, "alignment")
    return {"prior": prior, "mean_prediction": prior.clone()}
