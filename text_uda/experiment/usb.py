"""The settings of USB, a benchmark of semi-supervised learning, for its data sets that have a name here.

Source: Wang et al. 2022, "USB: A Unified Semi-supervised Learning Benchmark for Classification" (arXiv 2208.07204);
where the paper leaves them out, the configurations in microsoft/Semi-supervised-learning, `config/usb_nlp`.

What differs from the benchmark, so that figures are near its own and not the same:

- Its classifier reads the mean of the token states through two layers, Linear, GELU, Linear; here it is the head that
  comes with the encoder, of the first token.
- Its strong view are back-translations of its own, which come with its data; here those of `BackTranslation`, or
  another augmentation of a study.
- Its rows are those that come with its data, of the larger data sets samples; here all training texts and the whole
  test split.
- Its Mean Teacher averages with a decay of 0, which makes the teacher the student of the step before; here it is that
  of `EMA`. Its consistency weights grow linearly over the first 0.4 of the run; here as each objective says.
- Its warm-up begins at a rate of 0, ours one step later.
- Its MixMatch mixes hidden vectors (manifold mixup), ours the embeddings.
"""

from dataclasses import replace
from typing import NamedTuple

from text_uda.errors import SettingsError
from text_uda.objectives import PRESETS, UDA, Preset, Supervised
from text_uda.training.settings import TrainSettings

SUPERVISED = Supervised(tsa="exp")
"""Beside consistency."""

CONSISTENCY = UDA(temperature=0.4, confidence_threshold=0.8)

SEEDS = 3


class _DataSet(NamedTuple):
    labels: tuple[int, int]
    """In all: the fewer and the more of its two tables."""
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
    """The two numbers of labels, of all classes together, with which the benchmark trains on a data set.

    Raises:
        SettingsError: it has no such data set.
    """
    return _of(data).labels


def usb_settings(data: str) -> TrainSettings:
    """How the benchmark trains on a data set, `data` as it is called here.

    Raises:
        SettingsError: it has no such data set.
    """
    its = _of(data)
    return TrainSettings(
        steps=102_400,
        labeled_batch=8,
        unlabeled_ratio=1,
        learning_rate=its.learning_rate,
        layer_decay=its.layer_decay,
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
    """The methods with the benchmark's weights, and UDA with its annealing."""
    weighted = {name: PRESETS[name].having("weight", weight, name=name) for name, weight in _WEIGHTS.items()}
    return PRESETS | weighted | {"uda": replace(PRESETS["uda"], objectives=(SUPERVISED, CONSISTENCY))}


def _of(data: str) -> _DataSet:
    if data not in _DATA:
        raise SettingsError(
            f"size='usb' is the benchmark's settings for {', '.join(_DATA)}, and {data} is none of them; "
            "choose another size"
        )
    return _DATA[data]
