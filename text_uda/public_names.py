"""The list of the names that `from text_uda import ...` gives.

It is read, not imported: by `text_uda/__init__.py`, by type checkers and for the Python reference.
"""

from text_uda.augment.all_augmentations import *  # noqa: F403
from text_uda.augment.compose import Compose as Compose
from text_uda.augment.compose import OneOf as OneOf
from text_uda.augment.compose import Sometimes as Sometimes
from text_uda.augment.tfidf import Statistics as Statistics
from text_uda.data import load as load
from text_uda.data import side_by_side as side_by_side
from text_uda.data import split as split
from text_uda.fusion.choose import Choose as Choose
from text_uda.fusion.columns_alone import ColumnsAlone as ColumnsAlone
from text_uda.fusion.early import Early as Early
from text_uda.fusion.intermediate import Intermediate as Intermediate
from text_uda.fusion.late import Late as Late
from text_uda.fusion.text_alone import TextAlone as TextAlone
from text_uda.objectives.all_objectives import *  # noqa: F403
from text_uda.objectives.functional import align as align
from text_uda.objectives.functional import entropy as entropy
from text_uda.objectives.functional import kl_divergence as kl_divergence
from text_uda.objectives.functional import sharpen as sharpen
from text_uda.objectives.functional import soft_cross_entropy as soft_cross_entropy
from text_uda.objectives.functional import squared_difference as squared_difference
from text_uda.objectives.presets import PRESETS as PRESETS
from text_uda.objectives.uda import consistency_loss as consistency_loss
from text_uda.objectives.weight_averaging import EMA as EMA
from text_uda.objectives.weight_averaging import FastSWA as FastSWA
from text_uda.paraphrasing.cache_access import paraphrase as paraphrase
from text_uda.paraphrasing.cache_access import read_paraphrases as read_paraphrases
from text_uda.paraphrasing.cached import Cached as Cached
from text_uda.paraphrasing.filters import Filters as Filters
from text_uda.paraphrasing.map_function import AugmentColumn as AugmentColumn
from text_uda.paraphrasing.pairs import write_pairs as write_pairs
from text_uda.runs.evaluation import evaluate as evaluate
from text_uda.runs.predict_file import predict_file as predict_file
from text_uda.runs.prediction import predict as predict
from text_uda.runs.pseudo_labels import pseudo_label as pseudo_label
from text_uda.runs.publish import push as push
from text_uda.tasks.alternate import Alternate as Alternate
from text_uda.tasks.joint import Joint as Joint
from text_uda.tasks.pooled import Pooled as Pooled
from text_uda.tasks.train_tasks import train_tasks as train_tasks
from text_uda.training.pretraining import PretrainSettings as PretrainSettings
from text_uda.training.pretraining import pretrain as pretrain
from text_uda.training.settings import TrainSettings as TrainSettings
from text_uda.training.train_classifier import train as train
from translation_cache import Cache as Cache
