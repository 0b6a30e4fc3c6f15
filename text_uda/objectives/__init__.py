"""The objectives, one a file. `PRESETS` is the only list: the command line and the documents read it."""

from text_uda.objectives.adamatch import AdaMatch
from text_uda.objectives.baseline import Baseline, Linear
from text_uda.objectives.class_prior import Prior
from text_uda.objectives.dash import Dash
from text_uda.objectives.entmin import EntMin
from text_uda.objectives.fixmatch import FixMatch
from text_uda.objectives.flexmatch import FlexMatch
from text_uda.objectives.freematch import FreeMatch
from text_uda.objectives.ict import ICT
from text_uda.objectives.infonce import InfoNCE
from text_uda.objectives.lga import LGA
from text_uda.objectives.logistic_regression import LogisticRegression
from text_uda.objectives.mean_teacher import MeanTeacher
from text_uda.objectives.mixmatch import MixMatch
from text_uda.objectives.mixmixup import MixMixup
from text_uda.objectives.objective import (
    Chosen,
    Context,
    Loss,
    Method,
    Needs,
    Objective,
    Selective,
    Stateful,
    View,
    all_needs,
    counts,
    in_use,
)
from text_uda.objectives.pi_model import PiModel
from text_uda.objectives.presets import PRESETS, Preset, baseline_of, check_together, losses, method_name
from text_uda.objectives.pseudo_label import PseudoLabel
from text_uda.objectives.r_drop import RDrop
from text_uda.objectives.self_training import SelfTraining
from text_uda.objectives.sntg import SNTG
from text_uda.objectives.softmatch import SoftMatch
from text_uda.objectives.supcon import SupCon
from text_uda.objectives.supervised import Supervised
from text_uda.objectives.tmix import TMix
from text_uda.objectives.uda import UDA
from text_uda.objectives.vadd import VAdD
from text_uda.objectives.vat import VAT

__all__ = [
    "ICT",
    "LGA",
    "PRESETS",
    "SNTG",
    "UDA",
    "VAT",
    "AdaMatch",
    "Baseline",
    "Chosen",
    "Context",
    "Dash",
    "EntMin",
    "FixMatch",
    "FlexMatch",
    "FreeMatch",
    "InfoNCE",
    "Linear",
    "LogisticRegression",
    "Loss",
    "MeanTeacher",
    "Method",
    "MixMatch",
    "MixMixup",
    "Needs",
    "Objective",
    "PiModel",
    "Preset",
    "Prior",
    "PseudoLabel",
    "RDrop",
    "Selective",
    "SelfTraining",
    "SoftMatch",
    "Stateful",
    "SupCon",
    "Supervised",
    "TMix",
    "VAdD",
    "View",
    "all_needs",
    "baseline_of",
    "check_together",
    "counts",
    "in_use",
    "losses",
    "method_name",
]
