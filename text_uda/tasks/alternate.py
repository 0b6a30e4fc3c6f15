"""One task in each step, drawn at random."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

from text_uda.keyed_random import Key
from text_uda.ranges import TaskPower, check_ranges
from text_uda.tasks.method import TaskMethod


@dataclass(frozen=True, kw_only=True)
class Alternate(TaskMethod):
    """A step on the rows of one task t, which is drawn with a probability proportional to N_t^power.

    N_t is the number of labeled rows of the task. The draw depends on the seed and the step alone. A step leaves the
    heads of the other tasks, and their moments in the optimizer, as they are. With T tasks each has about 1/T of the
    steps, so a run needs more of them than one on all tasks at once.
    """

    power: TaskPower = 0.5
    """Exponent of the number of labeled rows: 0 draws the tasks equally often, 1 in proportion to labeled rows."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "alternate"

    @property
    def trains_every_head(self) -> bool:
        return False

    def tasks_of(self, step: int, *, sizes: Mapping[str, int], seed: int) -> Collection[str]:
        sums = list(accumulate(size**self.power for size in sizes.values()))
        return [list(sizes)[Key(seed, "task").draws(step).weighted(sums)]]
