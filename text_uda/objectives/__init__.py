"""The objectives, one a file. `PRESETS` is the only list: the command line and the documents read it."""

from text_uda.objectives.entmin import EntMin
from text_uda.objectives.mean_teacher import MeanTeacher
from text_uda.objectives.objective import Context, Loss, Needs, Objective, Stateful, View, all_needs
from text_uda.objectives.pi_model import PiModel
from text_uda.objectives.presets import PRESETS, Preset, method_name
from text_uda.objectives.r_drop import RDrop
from text_uda.objectives.sntg import SNTG
from text_uda.objectives.supervised import Supervised
from text_uda.objectives.uda import UDA
from text_uda.objectives.vadd import VAdD
from text_uda.objectives.vat import VAT

__all__ = [
    "PRESETS",
    "SNTG",
    "UDA",
    "VAT",
    "Context",
    "EntMin",
    "Loss",
    "MeanTeacher",
    "Needs",
    "Objective",
    "PiModel",
    "Preset",
    "RDrop",
    "Stateful",
    "Supervised",
    "VAdD",
    "View",
    "all_needs",
    "method_name",
]
