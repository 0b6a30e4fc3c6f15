"""The objectives, one a file. `PRESETS` is the only list: the command line and the documents read it."""

from text_uda.objectives.mean_teacher import MeanTeacher
from text_uda.objectives.objective import Context, Loss, Needs, Objective, Stateful, View, all_needs
from text_uda.objectives.pi_model import PiModel
from text_uda.objectives.presets import PRESETS, Preset, method_name
from text_uda.objectives.supervised import Supervised
from text_uda.objectives.uda import UDA

__all__ = [
    "PRESETS",
    "UDA",
    "Context",
    "Loss",
    "MeanTeacher",
    "Needs",
    "Objective",
    "PiModel",
    "Preset",
    "Stateful",
    "Supervised",
    "View",
    "all_needs",
    "method_name",
]
