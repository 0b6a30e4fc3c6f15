"""What a user would have without this library: methods on the features of a frozen encoder that take no step.

They are given where objectives are, each alone: `train(split, objectives=(LogisticRegression(),), ...)`.
"""

from text_uda.baselines.baseline import Baseline, Linear
from text_uda.baselines.logistic_regression import LogisticRegression
from text_uda.baselines.self_training import SelfTraining

__all__ = ["Baseline", "Linear", "LogisticRegression", "SelfTraining"]
