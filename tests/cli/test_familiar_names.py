"""Names from other tools are taken for the same option here, or answered with a hint, in every verb."""

import re
from collections.abc import Iterator

import click
import pytest

from text_uda.cli import main
from text_uda.cli.familiar_names import HINTS, SAME_OPTION, SAME_VALUE, VALUE_HINTS, nearest, plain
from text_uda.cli.parameter_types import FamiliarChoice

TRAIN = ("train", "movie-snippets", "--labels", 6)


def verbs(
    command: click.Command = main, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, below in command.commands.items():
        yield from verbs(below, (*words, name))


VERBS = dict(verbs())


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_answer_names_options_that_the_verb_has(run, words):
    known = options_of(VERBS[words])
    for name in {*SAME_OPTION, *HINTS}:
        if f"--{name}" in known:
            continue
        line = run(*words, f"--{name.replace('-', '_')}").stderr
        if taken := re.match(r"note: --\w+ is read as (--[a-z-]+)", line):
            assert taken[1] in known, line
        else:
            start = f"error: No such option '--{name.replace('-', '_')}'"
            assert line.startswith(start), line
            message = line.removeprefix(start).partition(" See '")[0]
            if "is an option of `text-uda" not in message:
                assert set(re.findall(r"(?<!\w)--[a-z-]+", message)) <= known, line


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_option_can_be_written_with_underscores(run, words):
    for name in options_of(VERBS[words]):
        if "-" in (letters := name.removeprefix("--")):
            assert run(*words, f"--{letters.replace('-', '_')}").stderr.startswith("note: --"), name


@pytest.mark.parametrize(
    ("given", "option"),
    [
        *(("--model_name_or_path", "--encoder"), ("--model", "--encoder"), ("--lr", "--learning-rate")),
        *(("--learning_rate", "--learning-rate"), ("--max_seq_length", "--max-tokens"), ("--max_steps", "--steps")),
        *(("--output_dir", "--out"), ("--validation_file", "--dev"), ("--lr_scheduler_type", "--schedule")),
        *(("--eval_steps", "--evaluate-every"), ("--save_steps", "--checkpoint-every"), ("--report_to", "--track")),
        *(("--early_stopping_patience", "--patience"), ("--test_file", "--test"), ("--uratio", "--unlabeled-ratio")),
        *(("--Weight_Decay", "--weight-decay"), ("--run_name", "--name")),
    ],
)
def test_an_option_of_the_same_meaning_is_taken_with_a_line(run, given, option):
    line = run("train", "movie-snippets", given, "1").stderr.splitlines()[0]
    assert line == f"note: {given} is read as {option}"


def test_the_value_arrives_with_a_space_and_with_an_equals_sign(run, tmp_path, monkeypatch):
    from text_uda.training import train_classifier

    taken = []
    monkeypatch.setattr(train_classifier, "train", lambda *_, settings, **__: taken.append(settings) or {})
    words = (*TRAIN, "--output_dir", tmp_path / "r", "--json", "--bf16", "--tune", "head")
    assert run(*words, "--lr", "0.5", "--max_steps=7").exit_code == 0
    assert (taken[0].learning_rate, taken[0].steps, taken[0].precision) == (0.5, 7, "bf16")


def test_a_value_that_looks_like_an_option_stays_a_value(run, tmp_path):
    line = run("paraphrase", "movie-snippets", "--method", "synonym", "--cache", tmp_path, "--protect", "--lr").stderr
    assert "is read as" not in line


@pytest.mark.parametrize(
    ("verb", "given", "said"),
    [
        ("train", "--num_train_epochs", "--steps N, where one epoch"),
        ("train", "--epochs", "--steps N, where one epoch"),
        ("pretrain", "--epochs", "--tokens-per-step"),
        ("ablate", "--epochs", "--size sets the steps"),
        ("train", "--fp16", "--precision auto, fp32 or bf16"),
        ("train", "--device", "CUDA_VISIBLE_DEVICES"),
        ("predict", "--device", "CUDA_VISIBLE_DEVICES"),
        ("predict", "--model_name_or_path", "the argument RUN"),
        ("train", "--gpu", "CUDA_VISIBLE_DEVICES"),
        ("train", "--cuda", "CUDA_VISIBLE_DEVICES"),
        ("train", "--per_device_train_batch_size", "--labeled-batch N"),
        ("train", "--batch-size", "--labeled-batch N"),
        ("pretrain", "--batch-size", "--tokens-per-step N"),
        ("train", "--warmup_ratio", "--warmup-steps N, where N is the ratio times --steps"),
        ("train", "--train_file", "the argument DATA"),
        ("ablate", "--train_file", "--data DATA"),
        ("train", "--num_labels", "--labels N is the number of labeled texts"),
        ("train", "--gradient_accumulation_steps", "--tokens-per-pass N"),
        ("paraphrase", "--model-name", "--mlm-model the model of mlm"),
        ("report", "--output_dir", "--out FILE"),
        ("ablate", "--seed", "--seeds N"),
        ("train", "--engine", "an option of `text-uda paraphrase`"),
        ("evaluate", "--max_seq_length", "--max-tokens is an option of `text-uda "),
    ],
)
def test_an_option_of_another_meaning_gets_a_hint(refused, verb, given, said):
    line = refused(verb, given, "1")
    assert line.startswith(f"No such option '{given}': ") and said in line


@pytest.mark.parametrize("given", ["--foo", "--x", "--verbose", "--gamma"])
def test_a_word_that_is_not_nearly_an_option_gets_no_suggestion(refused, given):
    assert refused("train", given) == f"No such option '{given}'. See 'text-uda train --help'."


def test_only_really_near_words_are_suggested():
    assert nearest("--lables", ["--labels", "--limit"]) == " Did you mean '--labels'?"
    assert nearest("--unlabelled", ["--unlabeled", "--labels"]) == " Did you mean '--unlabeled'?"
    assert nearest("--lr", ["--rate"]) == nearest("--batch-size", ["--cache", "--labeled-batch"]) == ""


@pytest.mark.parametrize(
    ("option", "given", "choice"),
    [
        *(("--augment", word, "back-translation") for word in ("backtranslation", "back_translation", "bt")),
        *(("--objective", word, "fixmatch") for word in ("fix-match", "FixMatch", "FIXMATCH")),
        *(("--objective", "mean_teacher", "mean-teacher"), ("--augment", "SwitchOut", "switchout")),
        *(("--precision", "bfloat16", "bf16"), ("--schedule", "Cosine", "cosine")),
    ],
)
def test_a_value_of_the_same_meaning_is_taken_with_a_line(run, option, given, choice):
    lines = run(*TRAIN, option, given).stderr.splitlines()
    assert lines[0] == f"note: {option} {given} is read as {choice}"
    assert "Missing option '--out'" in lines[1]


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--objective", "mixup", "Four methods mix rows: mixmatch, mixmixup, ict and tmix"),
        ("--precision", "fp16", "bf16 is as fast"),
        ("--objective", "fixmach", "Did you mean 'fixmatch'?"),
        ("--select-by", "accuracy", "Error is 100% minus accuracy"),
    ],
)
def test_a_value_of_another_meaning_gets_a_hint(refused, option, given, said):
    assert said in refused(*TRAIN, option, given)


def test_the_study_is_read_like_an_option(run):
    assert run("ablate", "Table-2", "--help").exit_code == 0
    assert "note: Table-2 is read as table2" in run("ablate", "Table-2", "--data", "x").stderr


def test_no_two_choices_of_an_option_are_spelled_alike():
    for command in VERBS.values():
        for option in command.params:
            if isinstance(option.type, FamiliarChoice):
                assert len({plain(choice) for choice in option.type.choices}) == len(option.type.choices)


def test_every_entry_of_the_table_is_used():
    options = {name for command in VERBS.values() for name in options_of(command)}
    choices = {
        choice
        for command in VERBS.values()
        for option in command.params
        if isinstance(option.type, FamiliarChoice)
        for choice in option.type.choices
    }
    assert {same.partition("=")[0] for same in SAME_OPTION.values()} <= options
    assert {*SAME_VALUE.values()} <= choices
    for given, hint in VALUE_HINTS.items():
        assert any(re.search(rf"\b{re.escape(choice)}\b", hint) for choice in choices), given
