"""Choosing: the development rows pick among the text, the columns, and the three ways to join them.

A fusion can lose to one mode alone, and nothing in the training rows says so: poor pairings are an open problem. So
each mode is trained by itself, and the one with the best development figure is kept; of equal ones the simpler.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from text_uda.fusion.columns_alone import ColumnsAlone
from text_uda.fusion.early import Early
from text_uda.fusion.intermediate import Intermediate
from text_uda.fusion.join import Fusion, check_learning
from text_uda.fusion.late import Late
from text_uda.fusion.text_alone import TextAlone

FIGURES = {"balanced-error": "dev_balanced_error", "macro-f1": "dev_macro_f1"}
"""The entry of result.json that picks a mode, by `select_by`; dev_error for the others."""


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Trains each mode, and keeps the one that the development rows pick. Takes as long as five runs
    with the method and a supervised one."""

    name: ClassVar[str] = "choose"

    learning_rate: float | None = None
    """Peak learning rate of what joins the columns, in each mode; None: the default of each."""

    column_dropout: float = 0.0
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing."""

    def __post_init__(self) -> None:
        check_learning(1.0 if self.learning_rate is None else self.learning_rate, self.column_dropout)

    def candidates(self) -> tuple[Fusion | TextAlone, ...]:
        """The simplest first."""
        rate: dict[str, Any] = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        joins = (mode(column_dropout=self.column_dropout, **rate) for mode in (ColumnsAlone, Late, Intermediate, Early))
        return TextAlone(), *joins


def pick(results: Mapping[str, Mapping[str, Any]], select_by: str) -> dict[str, Any]:
    """The mode with the best development figure, as result.json says it: picked, by (the figure), figures of all modes.

    Args:
        results: the content of result.json by mode, the simplest first, each with development rows.
    """
    figure = FIGURES.get(select_by, "dev_error")
    figures = {name: result[figure] for name, result in results.items()}
    sign = -1 if select_by == "macro-f1" else 1
    best = min(figures, key=lambda name: sign * figures[name])
    return {"picked": best, "by": figure, "figures": figures}
