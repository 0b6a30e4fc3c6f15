"""A baseline: a method without steps, fitted on the features of a frozen encoder.

Shapes: L labeled rows, U unlabeled rows, N any rows, C classes, D the width of the features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from text_uda.objectives.needs import Needs


@dataclass(frozen=True, kw_only=True)
class Linear:
    """One linear layer on the features: their logits are `features @ weight.T + bias`."""

    weight: np.ndarray  # (C, D) float64
    bias: np.ndarray  # (C,) float64

    fit: Mapping[str, float | list[int] | None] = field(default_factory=dict)
    """Hyperparameters that the fit chose, and counts, for result.json."""

    warnings: tuple[str, ...] = ()
    """Messages for result.json."""

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, (N, D) -> (N, C)."""
        logits = np.asarray(features, dtype=np.float64) @ self.weight.T + self.bias
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)


@runtime_checkable
class Baseline(Protocol):
    """A frozen dataclass that takes the place of all objectives: `objectives=(LogisticRegression(),)`."""

    needs: ClassVar[Needs]

    def fit(
        self, features: np.ndarray, labels: np.ndarray, unlabeled: np.ndarray, *, classes: int, seed: int
    ) -> Linear:
        """Fit on the labeled rows, and on the unlabeled rows if `needs.unlabeled_rows`.

        Args:
            features: (L, D).
            labels: (L,), indices of classes; each class occurs.
            unlabeled: (U, D); (0, D) unless `needs.unlabeled`.
            seed: the only source of randomness.
        """
        ...
