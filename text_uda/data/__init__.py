"""Data sets by name, by hub id, from files or from Python objects, and their seeded splits."""

from text_uda.data.corpus import Corpus, Labels, LabelSampling, Rows, Split
from text_uda.data.loading import load
from text_uda.data.named import known
from text_uda.data.several_tasks import side_by_side
from text_uda.data.splitting import split

__all__ = ["Corpus", "LabelSampling", "Labels", "Rows", "Split", "known", "load", "side_by_side", "split"]
