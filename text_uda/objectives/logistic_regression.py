"""Logistic regression on the features of a frozen encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_generator, keyed_seed
from text_uda.objectives.baseline import Linear
from text_uda.objectives.needs import Needs

STRENGTHS = (1.0, 10.0, 100.0)  # candidates for C, the strongest penalty first

MOST_IN_FOLDS = 5000  # labeled rows; of more so many are drawn to choose C

WITHOUT_FOLDS = 10.0  # C where a class has one label, so that no fold can be held out


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """minimise  |W|^2 / 2  +  C sum_i -log softmax(W x_i + b)[y_i],   x = f / scale

    f are the features of the frozen encoder, scale the mean length of those of the labeled rows. The encoders' last
    layer norm gives all features nearly one length, so x are the L2-normalised features, and the model stays one linear
    layer on f. scikit-learn fits it (L-BFGS). C has the fewest errors in cross-validation within the labeled rows (of
    more than 5,000 within so many of them), the smallest of several that have; no development row is read.
    """

    C: float | None = None
    """The inverse strength of the penalty; None for cross-validation over 1, 10 and 100."""

    folds: int = 5
    """Of the cross-validation, stratified; no more than the rarest class has labels. Where that is 1, C is 10."""

    needs: ClassVar[Needs] = Needs(rows=("labeled",))

    def __post_init__(self) -> None:
        if self.C is not None and not self.C > 0:
            raise SettingsError(f"C={self.C}: give a number above 0, or None for cross-validation")
        if self.folds < 2:
            raise SettingsError(f"folds={self.folds}: give 2 or more")

    def fit(
        self, features: np.ndarray, labels: np.ndarray, unlabeled: np.ndarray, *, classes: int, seed: int
    ) -> Linear:
        x, scale = scaled(features)
        drawn = keyed_generator("rows for folds", seed).permutation(len(labels))[:MOST_IN_FOLDS]
        drawn.sort()
        folds = min(self.folds, int(np.bincount(labels[drawn], minlength=classes).min()))
        warnings: tuple[str, ...] = ()
        strength = self.C
        if strength is None and folds < 2:
            strength = WITHOUT_FOLDS
            few = (
                "one label" if len(drawn) == len(labels) else f"less than two of the {len(drawn):,} labels drawn for it"
            )
            warnings = (f"a class has {few}, so there is no cross-validation to choose C by: it is {strength:g}",)
        chosen_by = folds if strength is None else None
        if strength is None:
            errors = held_out_errors(x[drawn], labels[drawn], STRENGTHS, folds=folds, seed=seed)
            strength = STRENGTHS[int(np.argmin(errors))]
        weight, bias = fitted(x, labels, strength)
        return Linear(weight=weight / scale, bias=bias, fit={"C": strength, "folds": chosen_by}, warnings=warnings)


def scaled(features: np.ndarray) -> tuple[np.ndarray, float]:
    """The features over their mean length, (N, D) -> (N, D) float64; and that length."""
    features = np.asarray(features, dtype=np.float64)
    scale = float(np.linalg.norm(features, axis=-1).mean())
    return features / scale, scale


def held_out_errors(
    x: np.ndarray, labels: np.ndarray, strengths: Sequence[float], *, folds: int, seed: int
) -> np.ndarray:
    """How many rows a fit with each C has wrong that it has not seen, (number of C,).

    Args:
        x: (N, D).
        labels: (N,), each class at least `folds` times.
        seed: draws the folds.
    """
    from sklearn.model_selection import StratifiedKFold

    errors = np.zeros(len(strengths), dtype=np.int64)
    drawn = StratifiedKFold(folds, shuffle=True, random_state=keyed_seed("folds", seed) % 2**32)
    for kept, held_out in drawn.split(x, labels):
        for place, strength in enumerate(strengths):
            weight, bias = fitted(x[kept], labels[kept], strength)
            errors[place] += ((x[held_out] @ weight.T + bias).argmax(axis=-1) != labels[held_out]).sum()
    return errors


def fitted(x: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, D) and bias (C,) of scikit-learn's logistic regression on (N, D), each class among the labels."""
    from sklearn.linear_model import LogisticRegression as Fit

    fit = Fit(C=strength, max_iter=10_000, tol=1e-6).fit(x, labels)
    if len(fit.classes_) > 2:
        return fit.coef_, fit.intercept_
    return np.concatenate([-fit.coef_, fit.coef_]) / 2, np.concatenate([-fit.intercept_, fit.intercept_]) / 2
