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

MAX_CROSS_VALIDATION_ROWS = 5000  # with more labeled rows, a sample of them chooses C

DEFAULT_STRENGTH = 10.0  # C if a class has a single label, so that cross-validation is impossible


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """minimise  |W|^2 / 2  +  C sum_i -log softmax(W x_i + b)[y_i],   x = f / scale

    f are the features of the frozen encoder, and scale is the mean norm of the features of the labeled rows. The
    encoder's last layer norm gives all features nearly the same norm, so x are nearly the L2-normalised features, and
    the model is one linear layer on f. scikit-learn fits it (L-BFGS). C has the fewest errors in cross-validation
    within the labeled rows (within a sample of 5,000 if there are more), the smallest C in case of a tie; equal rows,
    such as a text that two tasks label, are in one fold. Development rows are not used.
    """

    C: float | None = None
    """Inverse strength of the penalty; None for cross-validation over 1, 10 and 100."""

    folds: int = 5
    """Folds of the stratified cross-validation, at most the labels of the rarest class. If that is 1, C is 10."""

    needs: ClassVar[Needs] = Needs(rows=("labeled",))

    def __post_init__(self) -> None:
        if self.C is not None and not self.C > 0:
            raise SettingsError(f"C={self.C}: give a number above 0, or None for cross-validation")
        if self.folds < 2:
            raise SettingsError(f"folds={self.folds}: give 2 or more")

    def fit(
        self, features: np.ndarray, labels: np.ndarray, unlabeled: np.ndarray, *, classes: int, seed: int
    ) -> Linear:
        x, scale = scale_features(features)
        sampled = keyed_generator("rows for folds", seed).permutation(len(labels))[:MAX_CROSS_VALIDATION_ROWS]
        sampled.sort()
        distinct = np.unique(first_of_equal(x[sampled]))
        folds = min(self.folds, int(np.bincount(labels[sampled][distinct], minlength=classes).min()))
        warnings: tuple[str, ...] = ()
        strength = self.C
        if strength is None and folds < 2:
            strength = DEFAULT_STRENGTH
            count = (
                "one label" if len(sampled) == len(labels) else f"less than two of the {len(sampled):,} sampled labels"
            )
            warnings = (f"a class has {count}, so cross-validation cannot choose C: it is {strength:g}",)
        used_folds = folds if strength is None else None
        if strength is None:
            errors = held_out_errors(x[sampled], labels[sampled], STRENGTHS, folds=folds, seed=seed)
            strength = STRENGTHS[int(np.argmin(errors))]
        weight, bias = fit_weights(x, labels, strength)
        return Linear(weight=weight / scale, bias=bias, fit={"C": strength, "folds": used_folds}, warnings=warnings)


def scale_features(features: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide the features by their mean norm, (N, D) -> (N, D) float64; return that norm too."""
    features = np.asarray(features, dtype=np.float64)
    scale = float(np.linalg.norm(features, axis=-1).mean())
    return features / scale, scale


def first_of_equal(x: np.ndarray) -> np.ndarray:
    """For each row the first row that is equal to it, (N, D) -> (N,)."""
    _, first, places = np.unique(x, axis=0, return_index=True, return_inverse=True)
    return first[places.ravel()]


def held_out_errors(
    x: np.ndarray, labels: np.ndarray, strengths: Sequence[float], *, folds: int, seed: int
) -> np.ndarray:
    """The number of held-out rows that are misclassified with each C.

    Args:
        x: (N, D). Equal rows are held out together.
        labels: (N,), each class at least `folds` times among the first ones of equal rows.
        seed: of the folds.
    Returns:
        (number of C,) int64.
    """
    from sklearn.model_selection import StratifiedKFold

    errors = np.zeros(len(strengths), dtype=np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=keyed_seed("folds", seed) % 2**32)
    distinct, place = np.unique(first_of_equal(x), return_inverse=True)
    for _, chosen in splitter.split(x[distinct], labels[distinct]):
        held_out = np.isin(place, chosen)
        train = ~held_out
        for index, strength in enumerate(strengths):
            weight, bias = fit_weights(x[train], labels[train], strength)
            errors[index] += ((x[held_out] @ weight.T + bias).argmax(axis=-1) != labels[held_out]).sum()
    return errors


def fit_weights(x: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, D) and bias (C,) of scikit-learn's logistic regression on x (N, D); each class occurs in the
    labels."""
    from sklearn.linear_model import LogisticRegression as Fit

    fit = Fit(C=strength, max_iter=10_000, tol=1e-6).fit(x, labels)
    if len(fit.classes_) > 2:
        return fit.coef_, fit.intercept_
    return np.concatenate([-fit.coef_, fit.coef_]) / 2, np.concatenate([-fit.intercept_, fit.intercept_]) / 2
