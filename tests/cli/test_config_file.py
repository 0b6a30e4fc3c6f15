"""`train --config`: a run from its config.json gives the same bytes; a TOML file is checked like the command line."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from text_uda import LogisticRegression, TrainSettings, load, split, train
from text_uda.cli.config_file import ConfigFile


def digest(run_directory):
    return hashlib.sha256((run_directory / "model" / "model.safetensors").read_bytes()).hexdigest()


def card(run_directory):
    return (run_directory / "model" / "README.md").read_bytes()


@pytest.fixture
def words(reviews, tiny_bert):
    return [
        *("train", reviews, "--labels", 9, "--dev", 12, "--encoder", tiny_bert, "--steps", 4),
        *("--objective", "uda", "--augment", "switchout", "--class-weights", "1,2,1.5", "--max-tokens", 32),
    ]


def test_a_run_made_again_from_its_config_has_the_same_bytes(run, words, tmp_path):
    first = run(*words, "--refit", "--out", tmp_path / "first")
    assert first.exit_code == 0, first.stderr
    for file, out in (("first/config.json", "second"), ("second", "third")):  # a run's folder, and of a run again
        again = run("train", "--config", tmp_path / file, "--out", tmp_path / out)
        assert again.exit_code == 0, again.stderr
        assert "config.json: " not in again.stderr
    for part in ("", "refit"):
        names = [tmp_path / name / part for name in ("first", "second", "third")]
        assert len({digest(name) for name in names}) == 1
        assert len({card(name) for name in names}) == 1


def test_options_beside_the_file_override(run, words, tmp_path):
    assert run(*words, "--out", tmp_path / "first").exit_code == 0
    again = run("train", "--config", tmp_path / "first", "--seed", 1, "--steps", 2, "--out", tmp_path / "second")
    assert again.exit_code == 0 and "config.json: " not in again.stderr
    config = json.loads((tmp_path / "second" / "config.json").read_text())
    assert (config["seed"], config["steps"], config["labels"]) == (1, 2, 9)


def test_paths_are_those_of_the_folder_in_which_the_run_was_started(run, reviews, tiny_bert, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    (tmp_path / "there" / "own.tsv").write_bytes(reviews.read_bytes())
    words = ["--labels", 9, "--encoder", tiny_bert, "--steps", 2]
    assert run("train", "own.tsv", *words, "--out", tmp_path / "first").exit_code == 0
    monkeypatch.chdir(tmp_path / "here")
    again = run("train", "--config", tmp_path / "first", "--out", "second")
    assert again.exit_code == 0, again.stderr
    assert digest(tmp_path / "here" / "second") == digest(tmp_path / "first")


def test_data_and_encoder_that_changed_since_are_told_before_the_training(run, reviews, tiny_bert, tmp_path):
    file = tmp_path / "own.tsv"
    file.write_bytes(reviews.read_bytes())
    words = ["--labels", 9, "--encoder", tiny_bert, "--steps", 2]
    assert run("train", file, *words, "--out", tmp_path / "first").exit_code == 0
    file.write_text(file.read_text() + "A new text of today.\tgood\n")
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    config["encoder_digest"] = "0" * 32
    config["versions"]["torch"] = "1.0"
    (tmp_path / "first" / "config.json").write_text(json.dumps(config))
    again = run("train", "--config", tmp_path / "first", "--out", tmp_path / "second")
    assert again.exit_code == 0
    warnings = [line for line in again.stderr.splitlines() if "config.json: " in line]
    assert ["data has changed" in line for line in warnings] == [True, False, False]
    assert "the files of the encoder" in warnings[1] and "torch 1.0, here" in warnings[2]
    anew = run("train", reviews, "--config", tmp_path / "first", "--out", tmp_path / "third")
    assert "data has changed" not in anew.stderr


def test_the_data_of_each_task_is_compared(tiny_bert, caplog):
    tasks = {name: {"data": {"digest": name * 3}} for name in ("a", "b")}
    config = ConfigFile(Path("config.json"), {"tasks": tasks, "encoder_digest": "0" * 32, "versions": {}})
    splits: dict[str, Any] = {"a": SimpleNamespace(digest="aaa"), "b": SimpleNamespace(digest="other")}
    with click.Context(click.Command("train")):
        config.warn_of_changes(splits, encoder=str(tiny_bert), augmentations=dict.fromkeys(splits), cache=None)
    data, encoder = caplog.messages
    assert data == "config.json: the data of task 'b' has changed since: the run read other texts or labels"
    assert "the files of the encoder" in encoder


def test_a_file_that_a_person_wrote(run, reviews, tiny_bert, tmp_path):
    file = tmp_path / "tickets.toml"
    file.write_text(
        f'data = "{reviews}"\nlabel-sampling = "proportional"\nlabels = 9\n[training]\nencoder = "{tiny_bert}"\n'
        "steps = 2\nlearning_rate = 2e-5\ntune = 'last:1'\nrefit = true\n[objective]\nobjective = 'uda'\nlambda = 0.5\n"
        "class-weights = [1, 2, 1.5]\n[augmentation]\naugment = 'switchout'\n"
    )
    done = run("train", "--config", file, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["learning_rate"] == 2e-5 and config["data"]["label_sampling"] == "proportional"
    supervised, uda = config["objectives"]
    assert (supervised["class_weights"], uda["weight"]) == ([1, 2, 1.5], 0.5)
    assert (tmp_path / "run" / "refit" / "result.json").exists()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("setps = 2", "there is no option 'setps'. Did you mean 'steps'?"),
        ("label_samplin = 'balanced'", "Did you mean 'label_sampling'?"),
        ("steps = 2.5", "'steps': '2.5' is not a valid integer"),
        ("steps = true", "'steps': 'True' is not a valid integer"),
        ("steps = 0", "'steps': 0 is not in the range"),
        ("steps = [[1]]", "'steps': give a value, or a list of values"),
        ("objective = 'uad'", "'objective': 'uad' is not one of"),
        ("json = true", "'json' is not taken from a file"),
        ("resume = false", "'resume' is not taken from a file"),
        ("lambda = 1\nweight = 2", "has 'weight' twice"),
        ("steps = ", "cannot be read as TOML"),
    ],
)
def test_what_a_file_may_not_hold(refused, tmp_path, line, error):
    file = tmp_path / "own.toml"
    file.write_text(f"data = 'movie-snippets'\nlabels = 9\n{line}\n")
    message = refused("train", "--config", file, "--out", tmp_path / "run")
    assert message.startswith(str(file)) and error in message


def test_out_is_never_taken_from_the_file(run, reviews, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(f"data = '{reviews}'\nlabels = 9\nout = '{tmp_path / 'run'}'\n")
    done = run("train", "--config", file)
    assert done.exit_code == 2 and "`out` is not taken from the file" in done.stderr
    assert "Missing option '--out'" in done.stderr and not (tmp_path / "run").exists()


def test_a_run_of_python_says_that_it_names_no_data(refused, reviews, tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), tune="head")
    parts = split(load(reviews), labels=9, seed=0)
    train(parts, objectives=(LogisticRegression(),), settings=settings, out=tmp_path / "run")
    assert "does not say where its rows came from" in refused("train", "--config", tmp_path / "run", "--out", "x")


def test_without_data_the_argument_is_asked_for(refused, tmp_path):
    (tmp_path / "own.toml").write_text("labels = 9\n")
    message = refused("train", "--config", tmp_path / "own.toml", "--out", tmp_path / "run")
    assert "Missing argument 'DATA'" in message
