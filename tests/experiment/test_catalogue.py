"""The named studies: their trials and settings."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import click
import pytest

from text_uda.cli.verb_ablate import ablate
from text_uda.data import Corpus, Rows
from text_uda.errors import SettingsError
from text_uda.experiment import STUDIES, setting
from text_uda.experiment import usb_benchmark as usb_module
from text_uda.experiment.catalogue import SIZES
from text_uda.experiment.sizes import limit_of
from text_uda.experiment.usb_benchmark import usb_labels, usb_settings
from text_uda.objectives import (
    PRESETS,
    UDA,
    LogisticRegression,
    MeanTeacher,
    MixMatch,
    PiModel,
    SelfTraining,
    Supervised,
)

CORPUS = Corpus(
    "wordnet-6",
    "",
    tuple("abcdef"),
    Rows(tuple(map(str, range(1200))), tuple(n % 6 for n in range(1200))),
    Rows((), ()),
)
SMALL = setting(CORPUS, "small")


def test_the_command_line_knows_them():
    choices = {option.name: option.type.choices for option in ablate.params if isinstance(option.type, click.Choice)}
    assert list(choices["study"]) == list(STUDIES) and list(choices["size"]) == list(SIZES)
    assert all(name in (ablate.help or "") for name in STUDIES)
    assert all(study.__doc__ for study in STUDIES.values())
    assert all(setting(CORPUS, size).few == 24 for size in SIZES if size != "usb")


def test_the_names_of_the_studies_need_no_library():
    """The command line reads them for its help."""
    code = "import sys; from text_uda.experiment.catalogue import SIZES, STUDIES; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "text_uda.experiment.catalogue" in loaded and not {"torch", "numpy", "pyarrow", "transformers"} & set(loaded)


@pytest.mark.parametrize("name", sorted(set(STUDIES) - {"temperature", "tasks", "fusion"}))
def test_names_differ_and_each_method_has_each_seed(name):
    trials = list(STUDIES[name](SMALL))
    assert len({trial.folder for trial in trials}) == len({trial.digest() for trial in trials}) == len(trials)
    assert set(Counter(trial.name for trial in trials).values()) == {5}
    assert {trial.settings.seed for trial in trials} == set(range(5))
    assert any(trial.augmentation is None and len(trial.objectives) == 1 for trial in trials), "the labels alone"


def test_table2_has_four_ways_at_both_numbers_of_labels():
    trials = list(STUDIES["table2"](SMALL))
    methods = Counter(
        (trial.labels, trial.augmentation and trial.augmentation.settings()["method"]) for trial in trials
    )
    ways = (None, "synonym", "switchout", "back-translation")
    few, every = ({(labels, way): 5 for way in ways} for labels in (24, "all"))
    assert methods == few | every | {(24, None): 15, ("all", None): 10}, "with two baselines, and with one"
    assert all(any(isinstance(o, UDA) for o in t.objectives) == (t.augmentation is not None) for t in trials)


@pytest.mark.parametrize("name", sorted(set(STUDIES) - {"tasks", "fusion"}))
def test_the_baselines_come_first(name):
    common = setting(CORPUS, "small", translators=["marian:there,back"])
    trials = list(STUDIES[name](common))
    kinds = list(dict.fromkeys(type(trial.objectives[0]) for trial in trials))
    both = name in ("table2", "labels", "objectives", "ladder")
    assert kinds[: 1 + both] == [LogisticRegression, SelfTraining][: 1 + both] and (SelfTraining in kinds) == both
    assert {trial.labels for trial in trials if isinstance(trial.objectives[0], LogisticRegression)} == {
        trial.labels for trial in trials
    }


def test_each_rung_of_the_ladder_has_its_baselines_under_names_of_their_own():
    trials = list(STUDIES["ladder"](SMALL))
    names = ("logistic-regression", "self-training")
    rungs = {"head": "", "last:2": "last-2-", "all": "all-"}
    names_by_tune = {
        tune: dict.fromkeys(
            trial.name
            for trial in trials
            if trial.settings.tune == tune and isinstance(trial.objectives[0], LogisticRegression | SelfTraining)
        )
        for tune in rungs
    }
    assert names_by_tune == {tune: dict.fromkeys(prefix + name for name in names) for tune, prefix in rungs.items()}
    assert len({(trial.name, trial.settings.seed) for trial in trials}) == len(trials)
    assert {trial.settings.tune for trial in trials} == {*rungs}


def test_labels_go_up_to_all():
    counts = dict.fromkeys(trial.labels for trial in STUDIES["labels"](SMALL))
    assert list(counts) == [10, 20, 50, 100, 200, 500, 1000, "all"], "1,194 are the most that are balanced"


def test_objectives_are_all_and_have_the_view_they_read():
    trials = {trial.name: trial for trial in STUDIES["objectives"](SMALL)}
    assert list(trials) == list(PRESETS)
    assert trials["self-training"].augmentation is None
    assert trials["fixmatch"].augmentation is not None and trials["pseudo-label"].augmentation is None
    assert trials["mean-teacher"].averaging == PRESETS["mean-teacher"].averaging


def test_what_each_study_varies():
    tsa = {getattr(trial.objectives[0], "tsa", None) for trial in STUDIES["tsa"](SMALL)}
    assert tsa == {None, "log", "linear", "exp"}
    assert {trial.settings.unlabeled_ratio for trial in STUDIES["ratio"](SMALL)} == {1, 2, 4, 7, 15, 31}
    assert {trial.unlabeled for trial in STUDIES["unlabeled"](SMALL)} == {None, 100, 300}


def test_several_translators_have_trials_of_their_own():
    names = ["apertium:eng-spa", "marian:models/there,models/back", "marian:models/other,models/back/"]
    trials = {trial.name: trial for trial in STUDIES["table2"](setting(CORPUS, "small", translators=names))}
    suffixes = ("", "-marian-there-back", "-marian-other-back")
    jobs = [trials[f"back-translation{suffix}-24"].augmentation for suffix in suffixes]
    assert [getattr(job, "translator", None) for job in jobs] == names
    assert [getattr(job, "temperature", 0) for job in jobs] == [None, 0.9, 0.9]
    fewer = {trial.name for trial in STUDIES["table2"](setting(CORPUS, "small", translators=names[:2]))}
    assert fewer < set(trials), "one more translator renames no trial"
    for again in ("marian:models/there,models/back", "marian:elsewhere/there,elsewhere/back"):
        with pytest.raises(SettingsError, match="is given twice, or another has models of the same names"):
            setting(CORPUS, "small", translators=[*names, again])
    with pytest.raises(SettingsError, match="temperature takes one --translator"):
        list(STUDIES["temperature"](setting(CORPUS, "small", translators=names[1:])))


def test_a_temperature_needs_a_translator_that_has_one():
    with pytest.raises(SettingsError, match="Apertium gives one translation per sentence"):
        list(STUDIES["temperature"](SMALL))
    marian = setting(CORPUS, "small", translators=["marian:there,back"])
    assert marian.back_translations["back-translation"].temperature == 0.9
    degrees = {getattr(trial.augmentation, "temperature", None) for trial in STUDIES["temperature"](marian)}
    assert degrees == {None, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2}


def test_the_size_of_the_paper_has_its_settings():
    paper = setting(replace(CORPUS, name="yelp-5"), "paper")
    one = paper.settings
    assert (paper.few, one.steps, one.labeled_batch, one.unlabeled_batch(), one.max_tokens) == (
        2500,
        10_000,
        32,
        224,
        512,
    )
    assert (one.learning_rate, one.warmup_steps, one.tune, paper.supervised.tsa) == (2e-5, 1000, "all", "linear")
    assert paper.back_translations["back-translation"].temperature == 0.9 and paper.consistency == UDA(), (
        "the plain loss"
    )
    (trial,) = (trial for trial in STUDIES["objectives"](replace(paper, seeds=1)) if trial.name == "uda")
    assert trial.objectives == (Supervised(tsa="linear"), UDA())


@pytest.mark.parametrize(
    ("data", "few", "learning_rate", "layer_decay"),
    [("yelp-5", 250, 5e-5, 0.75), ("amazon-5", 250, 1e-5, 0.75), ("imdb", 20, 5e-5, 0.75), ("ag-news", 40, 5e-5, 0.65)],
)
def test_the_size_of_the_benchmark_has_its_settings(data, few, learning_rate, layer_decay):
    usb = setting(replace(CORPUS, name=data), "usb")
    one = usb.settings
    assert (usb.few, usb.seeds, one.encoder, one.tune) == (few, 3, "google-bert/bert-base-uncased", "all")
    assert (one.learning_rate, one.layer_decay) == (learning_rate, layer_decay)
    assert (one.steps, one.warmup_steps, one.labeled_batch, one.unlabeled_batch()) == (102_400, 5120, 8, 8)
    assert (one.schedule, one.weight_decay, one.max_grad_norm) == ("cosine-7-16", 5e-4, None)
    assert (one.max_tokens, one.keep_tokens, one.evaluate_every) == (512, "first", 2048)
    assert usb.with_all == one and limit_of("usb") is None
    assert (usb.supervised, usb.consistency) == (
        Supervised(tsa="exp"),
        UDA(temperature=0.4, confidence_threshold=0.8),
    )


def test_the_methods_of_the_benchmark_have_its_weights():
    usb = setting(replace(CORPUS, name="imdb"), "usb")
    trials = {trial.name: trial for trial in STUDIES["objectives"](usb)}
    assert trials["uda"].objectives == (usb.supervised, usb.consistency)
    assert trials["mean-teacher"].objectives == (Supervised(), MeanTeacher(weight=50.0))
    assert trials["pi-model"].objectives == (Supervised(), PiModel(weight=10.0))
    assert trials["mixmatch"].objectives == (MixMatch(unlabeled_weight=100.0),)
    changed = {"uda", "mean-teacher", "pi-model", "mixmatch"}
    assert all(trials[name].objectives == preset.objectives for name, preset in PRESETS.items() if name not in changed)


def test_the_benchmark_has_settings_for_its_own_data_alone():
    assert usb_labels("yelp-5") == usb_labels("amazon-5") == (250, 1000)
    assert (usb_labels("imdb"), usb_labels("ag-news")) == ((20, 100), (40, 200))
    for call in (lambda: setting(CORPUS, "usb"), lambda: usb_settings("dbpedia")):
        with pytest.raises(SettingsError, match=r"yelp-5, amazon-5, imdb, ag-news, and .* is none of them"):
            call()


@pytest.mark.parametrize("difference", ["two layers", "back-translations", "Mean Teacher", "samples", "warm-up"])
def test_what_differs_from_the_benchmark_is_said(difference):
    assert usb_module.__doc__ is not None and difference in usb_module.__doc__.partition("What differs")[2]


def test_what_is_given_takes_the_place_of_the_size():
    smoke = setting(CORPUS, "smoke", few=12, seeds=3, encoder="roberta-base", tune="last:2")
    assert (smoke.few, smoke.seeds, smoke.settings.encoder, smoke.settings.tune) == (12, 3, "roberta-base", "last:2")
    assert smoke.settings.base_learning_rate(linear=True) == 1e-4, "not that of a head"
    small = setting(CORPUS, "small", tune="all").settings
    assert (small.tune, small.steps, small.learning_rate) == ("all", 400, 1e-4)
    assert smoke.switchout.tokenizer == "roberta-base"
    assert setting(replace(CORPUS, name="mine"), "small").few == 60, "ten of each class"
    for wrong in ({"few": 5}, {"few": 0}, {"seeds": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            setting(CORPUS, "small", **wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("size", SIZES)
def test_steps_that_are_given_are_those_of_every_run(size):
    corpus = replace(CORPUS, name="imdb")
    common = setting(corpus, size, steps=640, translators=["marian:there,back"])
    studies = [study for name, study in STUDIES.items() if name not in ("tasks", "fusion")]
    trials = [trial for study in studies for trial in study(common)]
    of_size = setting(corpus, size).settings
    assert {trial.settings.steps for trial in trials} == {640}
    of_layers = {trial.settings.warmup() for trial in trials if trial.settings.tune != "head"}
    part = of_size.warmup() / of_size.steps if of_size.tune != "head" else 0.1
    assert of_layers <= {round(640 * part)}, "as large a part"
    few = {trial.settings.evaluate_every for trial in trials if trial.labels != "all"}
    times = 1.0 if of_size.select_by == "last" else 640 / of_size.steps
    assert few == {int(of_size.evaluate_every * times)}, "as many evaluations, where they select"
    tasks = {"a": corpus, "b": replace(corpus, name="b")}
    alternating = STUDIES["tasks"](setting(corpus, size, few=40, steps=640, tasks=tasks))
    assert {trial.settings.steps for trial in alternating} == {640, 2 * 640}


@pytest.mark.parametrize("size", SIZES)
def test_the_warm_up_ends_before_the_steps_do(size):
    common = setting(replace(CORPUS, name="imdb"), size, translators=["marian:there,back"])
    studies = [study for name, study in STUDIES.items() if name not in ("tasks", "fusion")]
    assert all(trial.settings.warmup() < trial.settings.steps for study in studies for trial in study(common))


def test_how_rows_are_drawn_reaches_every_trial_and_decides_its_digest():
    labels = tuple(int(n >= 1000) + int(n >= 1190) for n in range(1200))
    corpus = replace(CORPUS, classes=("a", "b", "c"), train=Rows(CORPUS.train.texts, labels))
    skewed = setting(corpus, "small", few=24, label_sampling="proportional", dev=50)
    trials = list(STUDIES["labels"](skewed))
    assert {(trial.label_sampling, trial.dev) for trial in trials} == {("proportional", 50)}
    assert [*dict.fromkeys(trial.labels for trial in trials)] == [10, 20, 50, 100, 200, 500, 1000, "all"]
    balanced = setting(corpus, "small", few=24)
    assert [*dict.fromkeys(trial.labels for trial in STUDIES["labels"](balanced))] == [10, 20, "all"]
    one = trials[0]
    assert len({t.digest() for t in (one, replace(one, dev=None), replace(one, label_sampling="balanced"))}) == 3
