"""Precision, recall and F1 of each class, and their means: what one error hides where classes are skewed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SKEWED = 1.5  # the largest class has more than this many times the rows it would have among equal classes


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Scores of one class, in percent."""

    precision: float | None
    """Share of the rows predicted as this class whose label it is; None where no row is predicted as it."""
    recall: float | None
    """Share of the rows with this label that are predicted as it; None where no row has the label."""
    f1: float | None
    """Harmonic mean of precision and recall; 0 where one of them is 0 or precision is None; None where both are."""
    support: int
    """Rows with this label."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Unweighted means over the classes, in percent."""

    macro_f1: float
    """Mean F1 over the classes that have rows or are predicted."""
    balanced_error: float
    """100 minus the mean recall (balanced accuracy), over the classes that have rows."""
    per_class: tuple[ClassScores, ...]


def class_scores(confusion: Sequence[Sequence[int]]) -> Scores:
    """Scores of a C x C confusion matrix of counts, true class by predicted class, with at least one row.

    They equal scikit-learn's `f1_score(average="macro")` and `balanced_accuracy_score` on the rows.
    """
    from sklearn.metrics import precision_recall_fscore_support  # takes a second to import, which `--help` saves

    counts = np.asarray(confusion)  # (C, C)
    true, predicted = np.nonzero(counts)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true,
        predicted,
        labels=np.arange(len(counts)),
        sample_weight=counts[true, predicted],
        zero_division=np.nan,  # pyright: ignore[reportArgumentType]
    )
    shares = np.stack([precision, recall, f1], axis=-1)  # (C, 3)
    return Scores(
        macro_f1=100.0 * float(np.nanmean(shares[:, 2])),
        balanced_error=100.0 * (1.0 - float(np.nanmean(shares[:, 1]))),
        per_class=tuple(
            ClassScores(precision=_percent(p), recall=_percent(r), f1=_percent(f), support=rows)
            for (p, r, f), rows in zip(shares, counts.sum(axis=1).tolist(), strict=True)
        ),
    )


def is_skewed(support: Sequence[int]) -> bool:
    """Whether the largest class has more than 1.5 times the rows of an equal share, so that the error misleads."""
    return max(support) * len(support) > SKEWED * sum(support)


def named(per_class: Sequence[ClassScores], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The scores in the form of result.json: `class`, `precision`, `recall`, `f1` and `support`."""
    return [{"class": name} | asdict(scores) for name, scores in zip(classes, per_class, strict=True)]


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else 100.0 * float(share)
