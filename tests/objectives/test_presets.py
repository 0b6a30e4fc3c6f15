"""Names, and options that change a preset."""

from dataclasses import replace
from inspect import signature

import pytest

from text_uda.errors import SettingsError
from text_uda.experiment.sizes import CONSISTENCY
from text_uda.objectives import (
    PRESETS,
    UDA,
    VAT,
    EntMin,
    FlexMatch,
    MixMatch,
    PiModel,
    Preset,
    Supervised,
    check_together,
    method_name,
)
from text_uda.objectives.weight_averaging import EMA, FastSWA
from text_uda.training.train_classifier import train

SAFE = UDA(temperature=0.5, confidence_threshold=0.75, ramp_up=0.3, alignment="labels")


def test_uda_is_safe_by_default_and_its_class_is_the_paper():
    """The command line, `train` and the studies take one definition; in Python UDA() is the plain loss."""
    assert PRESETS["uda"] == Preset((Supervised(), SAFE))
    assert signature(train).parameters["objectives"].default is PRESETS["uda"].objectives
    assert CONSISTENCY is PRESETS["uda"].objectives[1]
    assert UDA() == UDA(weight=1.0, temperature=1.0, confidence_threshold=0.0, ramp_up=0.0, alignment=None)
    plain = PRESETS["uda"]
    for field, value in {"temperature": 1.0, "confidence_threshold": 0.0, "ramp_up": 0.0, "alignment": None}.items():
        plain = plain.with_setting(field, value, name="uda")
    assert plain.objectives == (Supervised(), UDA())


def test_an_option_reaches_every_objective_that_has_it():
    changed = PRESETS["vat-entmin"].with_setting("ramp_up", 0.5, name="vat-entmin")
    assert changed.objectives == (Supervised(), VAT(ramp_up=0.5), EntMin(ramp_up=0.5))
    assert PRESETS["vat-entmin"].objectives[1] == VAT()
    assert PRESETS["vat"].with_setting("weight", 0.5, name="vat").objectives == (Supervised(), VAT(weight=0.5))
    assert PRESETS["uda"].with_setting("tsa", "exp", name="uda").objectives == (
        Supervised(tsa="exp"),
        SAFE,
    )


def test_the_alignment_is_the_prior_of_methods_with_a_threshold_for_each_class():
    assert PRESETS["uda"].with_setting("alignment", None, name="uda").objectives == (
        *(Supervised(), replace(SAFE, alignment=None)),
    )
    changed = PRESETS["flexmatch"].with_setting("alignment", "labels", name="flexmatch")
    assert changed.objectives == (Supervised(), FlexMatch(prior="labels"))
    with pytest.raises(SettingsError, match=r"its options are: .*--alignment \("):
        PRESETS["flexmatch"].with_setting("temperature", 0.5, name="flexmatch")
    with pytest.raises(SettingsError, match="prior=None"):
        PRESETS["freematch"].with_setting("alignment", None, name="freematch")


def test_the_weight_of_a_method_with_its_own_labeled_loss_is_that_of_its_unlabeled_one():
    assert PRESETS["mixmatch"].with_setting("weight", 3.0, name="mixmatch").objectives == (
        MixMatch(unlabeled_weight=3.0),
    )


def test_the_decay_is_that_of_the_average():
    assert PRESETS["mean-teacher"].with_setting("ema_decay", 0.9, name="mean-teacher").averaging == EMA(decay=0.9)


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        (
            "supervised",
            "temperature",
            r"supervised has no --temperature; its options are: --tsa, --class-weights, --label-smoothing \(",
        ),
        ("fixmatch", "ema_decay", "fixmatch has no --ema-decay"),
        ("vat-entmin", "weight", r"several weights: .* VAT\(weight=...\), EntMin\(weight=...\)"),
        ("fast-swa", "ema_decay", "fast-swa has no --ema-decay"),
    ],
)
def test_what_a_method_does_not_have_is_told(name, field, said):
    with pytest.raises(SettingsError, match=said):
        PRESETS[name].with_setting(field, 0.5, name=name)


@pytest.mark.parametrize(
    ("preset", "augmentation", "name"),
    [
        (PRESETS["supervised"], None, "none"),
        (PRESETS["uda"], "switchout", "switchout"),
        (Preset((Supervised(tsa="log"), UDA(weight=2))), "switchout", "switchout"),
        (PRESETS["fixmatch"], "synonym", "fixmatch, synonym"),
        (PRESETS["mean-teacher"], None, "mean-teacher"),
        (Preset((Supervised(), PiModel()), FastSWA()), None, "fast-swa"),
        (Preset((Supervised(), PiModel())), "eda", "pi-model, eda"),
        (Preset((Supervised(), UDA(), VAT())), "eda", "Supervised + UDA + VAT, eda"),
        (Preset((Supervised(), VAT()), EMA()), None, "vat + EMA"),
        (Preset((Supervised(),), FastSWA()), None, "supervised + FastSWA"),
        (Preset((VAT(),), EMA()), None, "VAT + EMA"),
    ],
)
def test_what_a_run_is_called(preset, augmentation, name):
    assert method_name(preset.objectives, preset.averaging, augmentation) == name


def test_every_name_is_of_another_method():
    kinds = [(*map(type, each.objectives), type(each.averaging)) for each in PRESETS.values()]
    assert len(set(kinds)) == len(PRESETS)


def test_two_of_a_kind_are_refused():
    """Their terms have one name, and the loss of one would hide that of the other."""
    with pytest.raises(SettingsError, match="UDA is given twice"):
        check_together((Supervised(), UDA(temperature=0.4), UDA(temperature=0.9)))
