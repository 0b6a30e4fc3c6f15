"""Names and help of the command line."""

import dataclasses
import re
import subprocess
import sys
from importlib import import_module
from typing import get_args

import click
import pytest

from text_uda.cli import main
from text_uda.cli.augmentation_choice import IN_STEP, METHODS
from text_uda.cli.grouped_help import GROUPS
from text_uda.cli.objective_options import OBJECTIVES
from text_uda.cli.shared_options import encoder_option
from text_uda.cli.verb_train import ACCEPTABLE, TRACKERS

VERBS = [
    "demo",
    "data",
    "paraphrase",
    "cache",
    "pretrain",
    "train",
    "evaluate",
    "predict",
    "pseudo-label",
    "push",
    "ablate",
    "report",
]
CACHE_VERBS = ["stats", "show", "similarity", "verify", "compact", "merge", "export"]


def commands() -> list[list[str]]:
    return [[verb] for verb in VERBS] + [["cache", verb] for verb in CACHE_VERBS]


def option(of_verb: str, name: str) -> click.Option:
    return next(
        found for found in main.commands[of_verb].params if isinstance(found, click.Option) and found.name == name
    )


def test_the_verbs_are_those_of_the_design():
    assert list(main.commands) == VERBS
    cache = main.commands["cache"]
    assert isinstance(cache, click.Group) and list(cache.commands) == CACHE_VERBS


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_verb_has_help_with_an_example_json_and_debug(run, words):
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "Example:\n" in result.stdout and f"text-uda {' '.join(words)}" in result.stdout
    if words != ["cache"]:
        assert "--json" in result.stdout and "--debug" in result.stdout


def test_choices_are_the_lists_of_the_library():
    from text_uda.augment import METHODS as augmentations
    from text_uda.objectives import PRESETS
    from text_uda.objectives.schedules import SCHEDULES as schedules
    from text_uda.objectives.schedules import Schedule
    from text_uda.paraphrasing.filters import ACCEPTABLE as acceptable
    from text_uda.training.in_step_augmentation import kind_of
    from text_uda.training.settings import SelectBy
    from text_uda.training.trackers import Tracker

    assert tuple(augmentations) == METHODS
    assert set(IN_STEP) - set(METHODS) == {"cutoff"}
    assert {name for name in METHODS if kind_of(_plain(augmentations[name]))} == set(IN_STEP) & set(METHODS)
    assert tuple(OBJECTIVES) == tuple(PRESETS)
    assert tuple(acceptable) == ACCEPTABLE
    assert get_args(Tracker) == TRACKERS
    assert get_args(SelectBy) == tuple(option("train", "select_by").type.choices)  # pyright: ignore[reportAttributeAccessIssue]
    assert get_args(Schedule) == tuple(schedules) == tuple(option("train", "schedule").type.choices)  # pyright: ignore[reportAttributeAccessIssue]


def _plain(kind: type) -> object:
    """An instance that was not initialised: it has the methods of its class."""
    return object.__new__(kind)


def test_the_options_are_the_fields_of_the_settings():
    from text_uda.training.pretraining import PretrainSettings
    from text_uda.training.settings import TrainSettings

    def fields(settings):
        return {field.name for field in dataclasses.fields(settings)}

    assert fields(TrainSettings) - {found.name for found in main.commands["train"].params} == {"log_every"}
    assert fields(PretrainSettings) - {found.name for found in main.commands["pretrain"].params} == {
        *("log_every", "max_grad_norm", "weight_decay")
    }


def test_help_shows_the_defaults_of_the_settings(run):
    from text_uda.training.settings import TrainSettings

    for field in dataclasses.fields(TrainSettings):
        found = [each for each in main.commands["train"].params if each.name == field.name]
        if not found or field.default is None or isinstance(field.default, bool):
            continue
        record = found[0].get_help_record(click.Context(main.commands["train"]))
        assert record is not None
        shown = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        assert f"[default: {shown}" in record[1], field.name


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_option_shows_its_default(words):
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    for found in command.params:
        record = found.get_help_record(click.Context(command)) if isinstance(found, click.Option) else None
        if record is not None and not found.is_flag:  # pyright: ignore[reportAttributeAccessIssue]
            assert "[default: " in record[1] or "required]" in record[1], record


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_name_is_broken_at_a_hyphen(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for words in (["train"], ["paraphrase"], ["ablate"]):
        broken = [line for line in run(*words, "--help").stdout.splitlines() if re.search(r"\w-$", line)]
        assert broken == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_option_has_a_help_in_sentences(words):
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    for found in command.params:
        if isinstance(found, click.Option):
            assert found.help and found.help.endswith("."), found.name


def test_help_groups_the_options_by_what_they_are_for(run):
    lines = run("train", "--help").stdout.splitlines()
    assert [line.removesuffix(":") for line in lines if line.removesuffix(":") in GROUPS] == list(GROUPS)
    precision = lines[lines.index("Precision and memory:") : lines.index("Run:")]
    words = [line.split()[0] for line in precision[1:] if line.startswith("  --")]
    assert words == ["--precision", "--tokens-per-pass", "--compile"]
    assert "\nOptions:\n" in run("report", "--help").stdout, "one group needs no heading of its own"


def test_default_encoder_is_that_of_the_trainer():
    from text_uda.training.settings import TrainSettings

    @click.command()
    @encoder_option()
    def verb_of_the_test(encoder):
        pass

    assert verb_of_the_test.params[0].default == TrainSettings().encoder


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from text_uda.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'nltk', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_tells_the_defaults_of_uda(run):
    from text_uda.objectives import PRESETS

    said, uda = " ".join(run("train", "--help").stdout.split()), PRESETS["uda"].objectives[1]
    for name in ("temperature", "confidence-threshold", "ramp-up", "alignment"):
        own = said.partition(f"--{name} ")[2].partition(" --")[0]
        assert f"[default: {getattr(uda, name.replace('-', '_'))} with uda]" in own, own


def test_unknown_option_names_the_nearest(refused):
    assert refused("train", "x.csv", "--lables", 3) == (
        "No such option '--lables'. Did you mean '--labels'? See 'text-uda train --help'."
    )


def test_unknown_verb_names_the_nearest(refused):
    assert refused("trian") == "No such command 'trian'. Did you mean 'train'? See 'text-uda --help'."
    assert "Did you mean 'stats'?" in refused("cache", "stat")


def test_unknown_method_lists_the_methods(refused):
    line = refused("paraphrase", "movie-snippets", "--method", "synonyms", "--cache", "c")
    assert all(method in line for method in METHODS)


def test_missing_option_is_one_line(refused):
    assert "--labels" in refused("train", "movie-snippets", "--out", "run")


@pytest.mark.parametrize("shard", ["0/4", "5/4", "3", "1/0", "a/b", "-1/4"])
def test_shard_outside_1_to_n_is_refused(refused, tmp_path, shard):
    line = refused("paraphrase", "x.csv", "--method", "synonym", "--cache", tmp_path, "--shard", shard)
    assert "3/64" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--method", "synonym", "--translator", "apertium:eng-spa"],
            "--translator belongs to back-translation",
        ),
        (["--method", "synonym", "--tau", 1], "--tau belongs to switchout"),
        (["--method", "back-translation", "--rate", 0.1], "--rate belongs to synonym and"),
        (["--method", "switchout", "--rate", 0.1, "--tau", 1], "give one of them"),
        (["--method", "switchout", "--top-k", 10], "--top-k belongs to mlm and back-translation"),
        (["--method", "switchout", "--top-p", 0.9], "--top-p belongs to back-translation"),
        (["--method", "synonym", "--beams", 4], "--beams belongs to back-translation"),
        (["--method", "synonym", "--translator-precision", "int8"], "--translator-precision belongs to back-transl"),
        (["--method", "synonym", "--retries", 0], "--retries belongs to back-translation"),
        (["--method", "switchout", "--protect", "Acme"], "--protect belongs to synonym and"),
        (["--method", "back-translation", "--retries", 3], "give --sampling-temperature"),
        (["--method", "back-translation", "--beams", 4], "Apertium is deterministic"),
        (["--method", "back-translation", "--translator", "marian:a,b", "--top-k", 10], "set a temperature"),
        (["--method", "back-translation", "--protect", " "], "protect: give a list of names"),
    ],
)
def test_an_option_that_the_method_would_not_read_is_refused(refused, tmp_path, words, said):
    assert said in refused("paraphrase", "movie-snippets", "--cache", tmp_path, *words)


def test_options_of_back_translation_reach_it():
    from text_uda.augment import BackTranslation
    from text_uda.cli.augmentation_choice import AugmentationChoice

    def built(**given):
        choice = AugmentationChoice(method="back-translation", augment_seed=7, samples=1, **given)
        return choice.build(encoder="", texts=tuple, cache=None)

    assert built() == BackTranslation(seed=7) == BackTranslation(seed=7, translator="apertium:eng-spa")
    sampled = {"top_k": 9, "top_p": 0.8, "retries": 1, "protect": ("Acme", "Zorg")}
    several = {"translator": "marian:a,b + marian:c,d"}
    assert built(**sampled, **several, sampling_temperature=0.9, translator_precision="int8") == BackTranslation(
        seed=7, temperature=0.9, precision="int8", **sampled, **several
    )
    assert built(**several, beams=4) == BackTranslation(seed=7, beams=4, **several)


@pytest.mark.parametrize(
    ("method", "given", "fields"),
    [
        ("synonym", {"rate": 0.5, "protect": ("good",), "part_of_speech": ("noun",)}, {}),
        ("tfidf", {"rate": 0.5, "protect": ("good",)}, {}),
        ("uniform", {"rate": 0.5}, {"tokenizer": "minilm-l6"}),
        ("switchout", {"tau": 2.0}, {"rate": None, "tokenizer": "minilm-l6"}),
        ("insertion", {"rate": 0.5, "protect": ("good",)}, {}),
        ("swap", {"rate": 0.5, "protect": ("good",)}, {}),
        ("deletion", {"rate": 0.5, "protect": ("good",)}, {}),
        ("eda", {"rate": 0.5, "protect": ("good",)}, {}),
        ("aeda", {}, {}),
        ("typos", {"rate": 0.5, "protect": ("good",)}, {}),
        ("mlm", {"rate": 0.5, "top_k": 3, "protect": ("good",)}, {}),
        ("randaugment", {"magnitude": 0.7, "number": 1}, {}),
    ],
)
def test_options_reach_the_method(method, given, fields):
    from text_uda.augment import METHODS as augmentations
    from text_uda.cli.augmentation_choice import AugmentationChoice

    choice = AugmentationChoice(method=method, augment_seed=7, samples=1, **given)
    built = choice.build(encoder="minilm-l6", texts=lambda: ("a good film", "a film"), cache=None)
    assert type(built) is augmentations[method]
    assert {name: getattr(built, name) for name in [*given, *fields, "seed"]} == given | fields | {"seed": 7}


def test_names_that_differ_reach_the_method():
    from text_uda.cli.augmentation_choice import AugmentationChoice

    def built(method, **given):
        choice = AugmentationChoice(method=method, augment_seed=0, samples=1, **given)
        return choice.build(encoder="minilm-l6", texts=lambda: ("a good film",), cache="cache")

    mlm = built("mlm", mlm_model="folder", sampling_temperature=0.5)
    assert (mlm.model, mlm.temperature) == ("folder", 0.5)
    cutoff = built("cutoff", cutoff="token", rate=0.2)
    assert (cutoff.kind, cutoff.rate) == ("token", 0.2)
    plain = built("randaugment", protect=("good",))
    assert [each.settings()["method"] for each in plain.operations] == [
        *("synonym", "tfidf", "switchout", "insertion", "swap", "deletion", "aeda", "typos")
    ]
    assert plain.operations[0].protect == ("good",) == plain.operations[-1].protect
    translated = built("randaugment", operations=("swap", "back-translation"), translator="apertium:spa-eng")
    _swap, cached = translated.operations
    assert (cached.augmentation.translator, cached.cache) == ("apertium:spa-eng", "cache")
    options = {"top_k": 5, "mlm_model": "folder", "protect": ("good",), "sampling_temperature": 0.9}
    mlm, cached = built(
        "randaugment", operations=("mlm", "back-translation"), translator="marian:a,b", **options
    ).operations
    assert (mlm.model, mlm.top_k, mlm.temperature) == ("folder", 10, 1.0), "how to decode is for translation"
    assert (cached.augmentation.top_k, cached.augmentation.temperature) == (5, 0.9)
    assert mlm.protect == cached.augmentation.protect == ("good",)
    assert built("none") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "randaugment", "--operation", "back-translation", "--tau", 1], "--tau belongs to switchout"),
        (["--method", "randaugment", "--rate", 0.2], "--rate belongs to synonym and"),
        (["--method", "randaugment", "--number", 9], "give 1 to 8"),
        (["--method", "aeda", "--rate", 0.2], "--rate belongs to synonym and"),
        (["--method", "swap", "--operation", "typos"], "--operation belongs to randaugment"),
        (["--method", "tfidf", "--part-of-speech", "noun"], "--part-of-speech belongs to synonym"),
        (["--method", "synonym", "--part-of-speech", "pronoun"], "noun"),
        (["--method", "synonym", "--preview", 3, "--json"], "--preview prints texts for people"),
        (["--method", "cutoff"], "'cutoff' is not one of"),
    ],
)
def test_options_of_word_level_methods_are_held_to_them(refused, tmp_path, words, said):
    assert said in refused("paraphrase", "movie-snippets", "--cache", tmp_path, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--augment", "cutoff", "--cache", "c"], "leave out --cache"),
        (["--augment", "deletion"], "--cache DIR"),
        (["--augment", "switchout", "--cutoff", "token"], "--cutoff belongs to cutoff"),
        (["--augment", "switchout", "--augment-seed", 3], "in the training step --seed decides"),
        (["--cache", "c"], "give --augment METHOD"),
    ],
)
def test_augmentations_of_the_step_are_told_from_those_of_the_cache(refused, tmp_path, words, said):
    assert said in refused("train", "movie-snippets", "--labels", 6, "--out", tmp_path / "run", *words)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ((), {}),
        (("--head-learning-rate", 3e-3), {"head_learning_rate": 3e-3}),
        (("--schedule", "cosine", "--warmup-steps", 7), {"schedule": "cosine", "warmup_steps": 7}),
        (("--tune", "head", "--head-penalty", 0.0), {"tune": "head", "head_penalty": 0.0}),
        (("--weight-decay", 0.0, "--max-grad-norm", 5), {"weight_decay": 0.0, "max_grad_norm": 5.0}),
        (("--patience", 3, "--evaluate-every", 20), {"patience": 3, "evaluate_every": 20}),
        (("--select-by", "macro-f1", "--learning-rate", 0.1), {"select_by": "macro-f1", "learning_rate": 0.1}),
    ],
)
def test_options_of_the_trainer_reach_its_settings(record, reviews, tmp_path, monkeypatch, words, settings):
    from text_uda.training.settings import TrainSettings

    given = []
    monkeypatch.setattr(
        import_module("text_uda.training.train_classifier"), "train", lambda *_, **named: given.append(named) or {}
    )
    record("train", reviews, "--labels", 6, "--out", tmp_path / "run", *words)
    assert given[0]["settings"] == TrainSettings(**settings)


@pytest.mark.parametrize("of_verb", ["paraphrase", "train"])
def test_no_option_has_two_meanings(of_verb):
    names = [name for found in main.commands[of_verb].params for name in found.opts]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--objective", "uda"], "--augment METHOD --cache DIR"),
        (["--augment", "synonym"], "--cache DIR"),
        (["--temperature", 0.5], "supervised has no --temperature; its options are: --tsa, --class-weights, "),
        (["--objective", "pi-model", "--ema-decay", 0.9], "pi-model has no --ema-decay"),
        (["--objective", "mean-teacher", "--ema-decay", 1], "decay=1"),
        (["--augment", "synonym", "--cache", "c", "--objective", "supervised"], "leave out --augment"),
        (["--augment", "synonym", "--cache", "c", "--temperature", 0], "temperature=0"),
        (["--tune", "first:2"], "last:2"),
        (["--tune", "head", "--head-learning-rate", 0.1], "with tune='head' give learning_rate"),
        (["--patience", 3, "--select-by", "last"], "patience waits for a better evaluation"),
        (["--patience", 0], "0 is not in the range"),
        (["--head-penalty", -1], "-1.0 is not in the range"),
        (["--class-weights", "even"], "'even': give balanced, or a number for each class, such as 0.7,0.2,0.1"),
        (["--class-weights", "1,0"], "class_weights=(1.0, 0.0)"),
        (["--label-smoothing", 1], "label_smoothing=1"),
        (["--alignment", "labels"], "supervised has no --alignment"),
        (["--augment", "switchout", "--alignment", "0.5,0.4"], "alignment=(0.5, 0.4): the shares sum to 0.9"),
        (["--augment", "switchout", "--objective", "freematch", "--alignment", "none"], "prior=None"),
    ],
)
def test_training_options_that_do_not_go_together_are_refused(refused, tmp_path, words, said):
    assert said in refused("train", "movie-snippets", "--labels", 6, "--out", tmp_path / "run", *words)
