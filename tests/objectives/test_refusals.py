"""What a method cannot do is refused with a reason before the first step."""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import pytest

from text_uda.augment import SwitchOut
from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import (
    PRESETS,
    UDA,
    VAT,
    FixMatch,
    InfoNCE,
    MeanTeacher,
    MixMatch,
    RDrop,
    SupCon,
    Supervised,
    TMix,
    all_needs,
)
from text_uda.objectives.weight_averaging import EMA, FastSWA
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train
from translation_cache import Job

ROWS = Rows(("a good film", "a bad film"), (1, 0))
SPLIT = Split("test", ("bad", "good"), ROWS, ("it was good", "it was bad"), ROWS, ROWS, "0" * 32)


@dataclass(frozen=True)
class Offline(Job):
    """Makes texts, and has no cache."""

    def settings(self) -> dict:
        return {"method": "offline", "version": 1, "unit": "text"}

    def __call__(self, sources, samples):
        raise AssertionError("nothing is made in training")


def said(out: Path, encoder: Path, **arguments) -> str:
    settings = TrainSettings(encoder=str(encoder), steps=2, labeled_batch=2)
    with pytest.raises(SettingsError) as refusal:
        train(SPLIT, **{"settings": settings, "out": out} | arguments)
    return str(refusal.value)


NOTHING_WITHOUT_AN_AUGMENTATION = {
    "uda",
    "fixmatch",
    "flexmatch",
    "freematch",
    "softmatch",
    "adamatch",
    "dash",
}


def test_which_methods_need_an_augmentation():
    needing = {name for name, each in PRESETS.items() if all_needs(each.objectives).augmentation}
    assert needing == NOTHING_WITHOUT_AN_AUGMENTATION


@pytest.mark.parametrize("name", sorted(NOTHING_WITHOUT_AN_AUGMENTATION))
def test_without_an_augmentation(name, tiny_bert, tmp_path):
    words = said(tmp_path / "run", tiny_bert, objectives=PRESETS[name].objectives)
    assert "pass an augmentation and the cache" in words and not (tmp_path / "run").exists()


def test_an_average_that_is_no_teacher(tiny_bert, tmp_path):
    words = said(tmp_path / "run", tiny_bert, objectives=(Supervised(), MeanTeacher()), averaging=FastSWA())
    assert "averaging=EMA()" in words and not (tmp_path / "run").exists()


def test_an_augmentation_without_its_cache(tiny_bert, tmp_path):
    words = said(tmp_path / "run", tiny_bert, objectives=PRESETS["pi-model"].objectives, augmentation=Offline())
    assert "offline generates paraphrases offline" in words and not (tmp_path / "run").exists()


def test_without_unlabeled_texts(tiny_bert, tmp_path):
    alone = Split("test", SPLIT.classes, ROWS, (), ROWS, ROWS, "0" * 32)
    with pytest.raises(SettingsError, match="there are no unlabeled texts"):
        train(
            alone,
            objectives=(Supervised(), VAT()),
            settings=TrainSettings(encoder=str(tiny_bert)),
            out=tmp_path / "run",
        )


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("vat", "check_accepts_embeddings"),
        ("mixmatch", "check_accepts_embeddings"),
        ("sntg", "check_last_layer_is_linear"),
        ("lga-vat", "check_last_layer_is_linear"),
        ("tmix", "check_layers_can_be_mixed"),
    ],
)
def test_an_encoder_that_cannot_do_it(name, check, tiny_bert, tmp_path, monkeypatch):
    """The checks themselves are tested with the models."""

    def refuse(_model):
        raise SettingsError("this encoder cannot")

    monkeypatch.setattr(import_module("text_uda.training.classifier_task"), check, refuse)
    assert said(tmp_path / "run", tiny_bert, objectives=PRESETS[name].objectives) == "this encoder cannot"
    assert not (tmp_path / "run").exists(), "or the next try would find a run with other settings there"


@pytest.mark.parametrize("contrast", [SupCon(), InfoNCE()])
def test_contrast_of_a_frozen_vector(contrast, tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, tune="head")
    words = said(tmp_path / "run", tiny_bert, objectives=(Supervised(), contrast), settings=settings)
    assert "the hidden vector is frozen" in words and "last:2" in words
    settings = replace(settings, tune="last:1")
    train(SPLIT, objectives=(Supervised(), contrast), settings=settings, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ((Supervised(tsa="exp"), RDrop()), "leave out tsa"),
        ((Supervised(label_smoothing=0.1), RDrop()), "leave out label_smoothing"),
        ((RDrop(), Supervised(class_weights="balanced")), "leave out class_weights"),
        ((Supervised(class_weights=(1.0,) * 7),), "class_weights has 7 weights and the data"),
        ((Supervised(), MixMatch()), "MixMatch includes a labeled loss: leave out Supervised"),
        ((MixMatch(), TMix()), "MixMatch includes a labeled loss"),
        ((SupCon(), InfoNCE()), "SupCon, InfoNCE alone would not train the last layer: add Supervised()"),
    ],
)
def test_objectives_that_do_not_go_together(objectives, words, tiny_bert, tmp_path):
    assert words in said(tmp_path / "run", tiny_bert, objectives=objectives)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "objectives", ["fixmatch", PRESETS["fixmatch"], Supervised(), (Supervised,), (), (UDA(weight=0.0),)]
)
def test_what_is_no_tuple_of_objectives(objectives, tiny_bert, tmp_path):
    words = said(tmp_path / "run", tiny_bert, objectives=objectives)
    assert "tuple of objectives, such as" in words or "give Supervised() at least" in words, words
    assert not (tmp_path / "run").exists()


def test_what_is_no_average(tiny_bert, tmp_path):
    words = said(tmp_path / "run", tiny_bert, objectives=(Supervised(),), averaging=EMA)
    assert "choose EMA(), FastSWA() or None" in words and not (tmp_path / "run").exists()


def test_a_weight_of_zero_asks_for_nothing_and_gives_the_supervised_run(tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), steps=3, labeled_batch=2)
    off = (Supervised(), MeanTeacher(weight=0.0), FixMatch(weight=0.0))
    for name, objectives in (("supervised", (Supervised(),)), ("off", off)):
        train(SPLIT, objectives=objectives, settings=settings, out=tmp_path / name)
    first, second = ((tmp_path / each / "model" / "model.safetensors").read_bytes() for each in ("supervised", "off"))
    assert first == second


def test_a_teacher_is_made_where_nothing_is_said(tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2)
    for number, averaging in enumerate((None, EMA())):
        out = tmp_path / str(number)
        train(SPLIT, objectives=(Supervised(), MeanTeacher()), averaging=averaging, settings=settings, out=out)
    first, second = ((tmp_path / str(each) / "model" / "model.safetensors").read_bytes() for each in (0, 1))
    assert first == second


def test_a_view_that_no_objective_reads_is_not_made(tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, log_every=1)
    objectives = (Supervised(), VAT())
    augmentation = SwitchOut(tokenizer=str(tiny_bert))
    result = train(SPLIT, objectives=objectives, augmentation=augmentation, settings=settings, out=tmp_path / "run")
    assert result["changed"] is None
