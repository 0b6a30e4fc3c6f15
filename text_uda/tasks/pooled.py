"""One classifier for all tasks: they share the head too."""

from dataclasses import dataclass

from text_uda.tasks.method import TaskMethod


@dataclass(frozen=True, kw_only=True)
class Pooled(TaskMethod):
    """One classifier on the rows of all tasks, which have the same classes: what is lost without a head for each.

    L = sum_t L_t as in `Joint`, with rows of every task in each step, and one head for all. The classes have to mean
    the same in all tasks. Each task keeps its own development and test rows, and its own run directory with the shared
    model.
    """

    @property
    def name(self) -> str:
        return "pooled head"

    @property
    def shares_head(self) -> bool:
        return True
