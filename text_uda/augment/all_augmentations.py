"""The list of the augmentations: a new one is a file of this folder and a line here.

The public names, the command line and its help follow. `--method` calls an augmentation by the name of its file
(`back-translation`), in this order; `augment.METHODS` holds the ones that make texts.
"""
# ruff: noqa: I001  the order is the order of the choices

from text_uda.augment.synonym import Synonym as Synonym
from text_uda.augment.tfidf import TfIdf as TfIdf
from text_uda.augment.uniform import Uniform as Uniform
from text_uda.augment.switchout import SwitchOut as SwitchOut
from text_uda.augment.insertion import Insertion as Insertion
from text_uda.augment.swap import Swap as Swap
from text_uda.augment.deletion import Deletion as Deletion
from text_uda.augment.eda import EDA as EDA
from text_uda.augment.aeda import AEDA as AEDA
from text_uda.augment.typos import Typos as Typos
from text_uda.augment.mlm import MaskedLanguageModel as MaskedLanguageModel
from text_uda.augment.randaugment import RandAugment as RandAugment
from text_uda.augment.back_translation import BackTranslation as BackTranslation
from text_uda.augment.llm import LanguageModel as LanguageModel
from text_uda.augment.cutoff import Cutoff as Cutoff
