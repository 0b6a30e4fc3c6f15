"""The settings of USB, a benchmark of semi-supervised learning, for its data sets that this package knows by name.

Source: Wang et al. 2022, "USB: A Unified Semi-supervised Learning Benchmark for Classification" (arXiv 2208.07204);
settings that the paper omits come from `config/usb_nlp` in microsoft/Semi-supervised-learning.

What differs from the benchmark, so that results are close to its results but not equal:

- Classifier: USB reads the mean of the token states through two layers, Linear, GELU, Linear; here it is the head of
  the encoder's own class, on the first token.
- Strong view: USB publishes back-translations with its data; here they come from `BackTranslation`, or a study takes
  another augmentation.
- Rows: USB publishes samples of the larger data sets; here all training texts and the whole test split are used.
- Mean Teacher: USB averages with a decay of 0, so that the teacher is the student of the step before; here the decay is
  that of `EMA`. Its consistency weights grow linearly over the first 0.4 of the run; here as each objective defines.
- Learning rate: the warm-up of USB starts at 0, ours one step later.
- MixMatch: USB mixes hidden vectors (manifold mixup), we mix the embeddings.
"""

from dataclasses import replace
from typing import NamedTuple

from text_uda.errors import SettingsError
from text_uda.objectives import PRESETS, UDA, Preset, Supervised
from text_uda.training.settings import TrainSettings

SUPERVISED = Supervised(tsa="exp")
"""The supervised loss of methods with a consistency loss."""

CONSISTENCY = UDA(temperature=0.4, confidence_threshold=0.8)

SEEDS = 3


class _DataSet(NamedTuple):
    labels: tuple[int, int]
    """In all: the smaller and the larger number of its two tables."""
    learning_rate: float
    layer_decay: float


_DATA = {
    "yelp-5": _DataSet((250, 1000), 5e-5, 0.75),
    "amazon-5": _DataSet((250, 1000), 1e-5, 0.75),
    "imdb": _DataSet((20, 100), 5e-5, 0.75),
    "ag-news": _DataSet((40, 200), 5e-5, 0.65),
}

_WEIGHTS = {"mean-teacher": 50.0, "pi-model": 10.0, "mixmatch": 100.0}


def usb_labels(data: str) -> tuple[int, int]:
    """The two numbers of labels, over all classes, of the benchmark's tables for a data set.

    Raises:
        SettingsError: the benchmark does not have the data set.
    """
    return _data_set(data).labels


def usb_settings(data: str) -> TrainSettings:
    """The benchmark's training settings for a data set, by its name in this package.

    Raises:
        SettingsError: the benchmark does not have the data set.
    """
    data_set = _data_set(data)
    return TrainSettings(
        encoder="google-bert/bert-base-uncased",
        steps=102_400,
        labeled_batch=8,
        unlabeled_ratio=1,
        learning_rate=data_set.learning_rate,
        layer_decay=data_set.layer_decay,
        schedule="cosine-7-16",
        warmup_steps=5120,
        weight_decay=5e-4,
        max_grad_norm=None,
        max_tokens=512,
        keep_tokens="first",
        evaluate_every=2048,
        checkpoint_every=2048,
        log_every=256,
    )


def usb_presets() -> dict[str, Preset]:
    """The methods with the benchmark's loss weights, and UDA with its annealing."""
    weighted = {name: PRESETS[name].with_setting("weight", weight, name=name) for name, weight in _WEIGHTS.items()}
    return PRESETS | weighted | {"uda": replace(PRESETS["uda"], objectives=(SUPERVISED, CONSISTENCY))}


def _data_set(data: str) -> _DataSet:
    if data not in _DATA:
        raise SettingsError(
            f"size='usb' has settings for {', '.join(_DATA)}, and {data} is none of them; choose another size"
        )
    return _DATA[data]
