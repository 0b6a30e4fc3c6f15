"""The objectives, one a file. `OBJECTIVES` is the only list: the command line and the documents read it."""

from text_uda.objectives.objective import Context, Loss, Objective
from text_uda.objectives.supervised import Supervised
from text_uda.objectives.uda import UDA

# What a name on the command line stands for: the objectives whose losses are added.
OBJECTIVES: dict[str, tuple[type[Supervised | UDA], ...]] = {
    "supervised": (Supervised,),
    "uda": (Supervised, UDA),
}

__all__ = ["OBJECTIVES", "UDA", "Context", "Loss", "Objective", "Supervised"]
