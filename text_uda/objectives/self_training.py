"""Self-training: logistic regression that learns from its own confident predictions."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from text_uda.errors import SettingsError
from text_uda.objectives.baseline import Linear
from text_uda.objectives.logistic_regression import LogisticRegression, fit_weights
from text_uda.objectives.needs import Needs


@dataclass(frozen=True, kw_only=True)
class SelfTraining:
    """W_0 = logistic regression on the labeled rows
    W_r = logistic regression on them and on (u, argmax p(u; W_r-1)),  u among the share r / rounds of each class

    Source: Yarowsky 1995, "Unsupervised Word Sense Disambiguation Rivaling Supervised Methods" (ACL), Section 3: each
    round relabels all unlabeled rows, and keeps the confident predictions. A threshold on the probability would select
    a different share of the rows for each C, and often none; so confidence is a rank here, as in Cascante-Bonilla et
    al. 2021, "Curriculum Labeling" (arXiv 2001.06001), Section 3: of the rows that are predicted as a class, the most
    probable share, which grows from round to round. (scikit-learn's SelfTrainingClassifier never revises a
    pseudo-label.) `LogisticRegression` chooses C on the labeled rows. A pseudo-label has the same weight as a label.
    """

    rounds: int = 5
    """Number of fits after the first one."""

    share: float = 1.0
    """Share of the unlabeled rows that have a pseudo-label in the last round."""

    needs: ClassVar[Needs] = Needs(rows=("labeled", "original"))

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise SettingsError(f"rounds={self.rounds}: give 1 or more")
        if not 0 < self.share <= 1:
            raise SettingsError(f"share={self.share}: give a number above 0, at most 1")

    def fit(
        self, features: np.ndarray, labels: np.ndarray, unlabeled: np.ndarray, *, classes: int, seed: int
    ) -> Linear:
        linear = LogisticRegression().fit(features, labels, unlabeled[:0], classes=classes, seed=seed)
        strength = float(linear.fit["C"])  # pyright: ignore[reportArgumentType]
        scale = float(np.linalg.norm(features, axis=-1).mean())
        counts = []
        for round_number in range(1, self.rounds + 1):
            predictions = linear.probabilities(unlabeled)
            chosen = most_confident(predictions, self.share * round_number / self.rounds)
            counts.append(len(chosen))
            rows = np.concatenate([features, unlabeled[chosen]]) / scale
            targets = np.concatenate([labels, predictions[chosen].argmax(axis=-1)])
            weight, bias = fit_weights(rows, targets, strength)
            linear = Linear(weight=weight / scale, bias=bias, fit=linear.fit, warnings=linear.warnings)
        return Linear(
            weight=linear.weight,
            bias=linear.bias,
            fit={**linear.fit, "pseudo_labeled": counts},
            warnings=linear.warnings,
        )


def most_confident(probabilities: np.ndarray, share: float) -> np.ndarray:
    """The ascending indices of the most probable share of the rows predicted as each class, at least one per class.

    Args:
        probabilities: (N, C).
    """
    predicted, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    chosen = []
    for number in np.unique(predicted):
        rows = np.flatnonzero(predicted == number)
        count = max(1, round(share * len(rows)))
        chosen.append(rows[np.argsort(-confidence[rows], kind="stable")[:count]])
    return np.sort(np.concatenate(chosen))
