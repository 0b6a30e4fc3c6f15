"""The list of the objectives: a new one is a file of this folder and a line here.

The public names, the command line, its help and docs/methods.md follow. `--objective` calls an objective by the name of
its file (`mean-teacher`); its companions are in `presets.PRESETS`; the default is Supervised().
"""

from text_uda.objectives.adamatch import AdaMatch as AdaMatch
from text_uda.objectives.dash import Dash as Dash
from text_uda.objectives.entmin import EntMin as EntMin
from text_uda.objectives.fixmatch import FixMatch as FixMatch
from text_uda.objectives.flexmatch import FlexMatch as FlexMatch
from text_uda.objectives.freematch import FreeMatch as FreeMatch
from text_uda.objectives.ict import ICT as ICT
from text_uda.objectives.infonce import InfoNCE as InfoNCE
from text_uda.objectives.lga import LGA as LGA
from text_uda.objectives.logistic_regression import LogisticRegression as LogisticRegression
from text_uda.objectives.mean_teacher import MeanTeacher as MeanTeacher
from text_uda.objectives.mixmatch import MixMatch as MixMatch
from text_uda.objectives.mixmixup import MixMixup as MixMixup
from text_uda.objectives.pi_model import PiModel as PiModel
from text_uda.objectives.pseudo_label import PseudoLabel as PseudoLabel
from text_uda.objectives.r_drop import RDrop as RDrop
from text_uda.objectives.self_training import SelfTraining as SelfTraining
from text_uda.objectives.sntg import SNTG as SNTG
from text_uda.objectives.softmatch import SoftMatch as SoftMatch
from text_uda.objectives.supcon import SupCon as SupCon
from text_uda.objectives.supervised import Supervised as Supervised
from text_uda.objectives.tmix import TMix as TMix
from text_uda.objectives.uda import UDA as UDA
from text_uda.objectives.vadd import VAdD as VAdD
from text_uda.objectives.vat import VAT as VAT
