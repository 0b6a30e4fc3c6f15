"""The objectives, one a file; `all_objectives` lists them, and `PRESETS` holds the methods made of them.

The names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from text_uda.lazy_imports import lazy_names

if TYPE_CHECKING:
    from text_uda.objectives.all_objectives import *  # noqa: F403
    from text_uda.objectives.baseline import Baseline as Baseline
    from text_uda.objectives.baseline import Linear as Linear
    from text_uda.objectives.class_prior import Prior as Prior
    from text_uda.objectives.objective import Context as Context
    from text_uda.objectives.objective import Loss as Loss
    from text_uda.objectives.objective import Method as Method
    from text_uda.objectives.objective import Needs as Needs
    from text_uda.objectives.objective import Objective as Objective
    from text_uda.objectives.objective import RowSelection as RowSelection
    from text_uda.objectives.objective import Selective as Selective
    from text_uda.objectives.objective import Stateful as Stateful
    from text_uda.objectives.objective import View as View
    from text_uda.objectives.objective import all_needs as all_needs
    from text_uda.objectives.objective import in_use as in_use
    from text_uda.objectives.objective import is_active as is_active
    from text_uda.objectives.presets import PRESETS as PRESETS
    from text_uda.objectives.presets import Preset as Preset
    from text_uda.objectives.presets import baseline_of as baseline_of
    from text_uda.objectives.presets import check_together as check_together
    from text_uda.objectives.presets import losses as losses
    from text_uda.objectives.presets import method_name as method_name

__getattr__, __dir__, __all__ = lazy_names(__name__)
