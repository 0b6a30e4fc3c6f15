"""Labels that were drawn balanced from skewed classes, and objectives that take their shares for those of the data."""

from pathlib import Path
from typing import Any

import pytest

from text_uda.augment.cutoff import Cutoff
from text_uda.data import Corpus, Labels, LabelSampling, Rows, Split, split
from text_uda.objectives import PRESETS, UDA, AdaMatch, FlexMatch, Objective, Supervised, losses
from text_uda.training.settings import TrainSettings
from text_uda.training.skewed_labels import balanced_prior
from text_uda.training.train_classifier import train

TO_LABELS = (Supervised(), UDA(alignment="labels"))
SKEWED, EVEN, JUST = (90, 20, 10), (40, 40, 40), (60, 40, 20)  # the last: one and a half of equal shares


def drawn(sizes: tuple[int, ...], *, labels: Labels = 6, label_sampling: LabelSampling = "balanced") -> Split:
    rows = [(f"class {label} has text {n}", label) for label, size in enumerate(sizes) for n in range(size)]
    train_side = Rows(tuple(text for text, _ in rows), tuple(label for _, label in rows))
    corpus = Corpus("toy", "", ("a", "b", "c"), train_side, Rows(("a test",), (0,)))
    return split(corpus, labels=labels, seed=0, label_sampling=label_sampling)


@pytest.mark.parametrize(
    ("of", "warned"),
    [
        (drawn(SKEWED), True),
        (drawn((90, 1, 1), label_sampling="proportional"), False),
        (drawn(SKEWED, labels="all"), False),
        (drawn(EVEN), False),
        (drawn(JUST), False),
    ],
    ids=["skewed", "proportional", "all", "even", "just"],
)
def test_skewed_classes_and_balanced_labels_are_told(of, warned):
    words = balanced_prior(of, TO_LABELS)
    assert (words is not None) == warned
    if words is not None:
        assert (
            words.startswith("UDA assumes that the unlabeled texts have the class shares of the labeled rows")
            and "(a 75%, b 17%, c 8%)" in words
        )
        assert "--label-sampling proportional" in words and "--alignment P,P,..." in words


@pytest.mark.parametrize(
    ("objective", "warned"),
    [
        (UDA(), False),
        (UDA(alignment="uniform"), False),
        (UDA(alignment=(0.75, 0.17, 0.08)), False),
        (UDA(weight=0, alignment="labels"), False),
        (AdaMatch(), True),
        (FlexMatch(), False),
        (FlexMatch(prior="labels"), True),
    ],
)
def test_what_goes_by_the_labels(objective: Objective, warned):
    assert (balanced_prior(drawn(SKEWED), (Supervised(), objective)) is not None) == warned


def test_training_says_so_once_and_its_refit_does_not(tiny_bert: Path, tmp_path, caplog):
    call: dict[str, Any] = {
        "objectives": losses(PRESETS["uda"].objectives),
        "augmentation": Cutoff(kind="feature", rate=0.3),
        "settings": TrainSettings(encoder=str(tiny_bert), steps=1, labeled_batch=2, max_tokens=16),
        "refit": True,
    }
    train(drawn(SKEWED), **call, out=tmp_path / "skewed")
    assert caplog.text.count("drawn balanced from skewed classes") == 1
    train(drawn(EVEN), **call, out=tmp_path / "even")
    assert caplog.text.count("drawn balanced from skewed classes") == 1
