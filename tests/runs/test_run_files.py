"""The names that a run writes: only these are removed, nothing behind a link, and no input."""

import json
from pathlib import Path

import click
import pytest

from text_uda.cli import config_file
from text_uda.cli.verb_train import train
from text_uda.runs.run_files import (
    MARKER,
    PATH_OPTIONS,
    inputs_among,
    is_config_of_run,
    paths_in,
    remove_own,
    sort_entries,
)
from translation_cache.atomic import unfinished_name

OWN = (
    *("config.json", "metrics.jsonl", "result.json", "seen_texts.npz", ".lock", "examples.jsonl", "diverged.json"),
    *("test_examples.jsonl", "dev_predictions.jsonl", "model/config.json", "model/model-00001-of-00002.safetensors"),
    *("model/README.md", "model/1_Pooling/config.json", "checkpoints/step-00000002/best.safetensors"),
    *("checkpoints/damaged-step-00000001/state.json", "tokens/.lock", "tokens/ab12.safetensors"),
    *("refit/config.json", "refit/model/tokenizer.json", "text_uda/events.out.tfevents.1.host"),
    *("text_uda/1790000000.12/events.out.tfevents.1.host", ".replaced-model/config.json"),
)
OTHERS = (
    *("precious.txt", "src/main.py", "model/labels.csv", "model/onnx/model.onnx", "checkpoints/notes.md", "runs/a"),
    *("refit/thesis.tex", "tokens/words.txt", ".git/HEAD", ".unfinished-thesis.tex", "checkpoints/step-1/mine.bin"),
)


def write(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_what_a_run_writes_is_removed_and_nothing_else(tmp_path):
    write(tmp_path, (*OWN, *OTHERS))
    unfinished = unfinished_name("model"), f"checkpoints/{unfinished_name('step-00000003')}/.tmp12"
    write(tmp_path, (f"{unfinished[0]}/a.tmp", unfinished[1]))
    _, others = sort_entries(tmp_path)
    roots = {path.relative_to(tmp_path).as_posix() for path in others}
    assert all(any(name == root or name.startswith(f"{root}/") for root in roots) for name in OTHERS)
    remove_own(tmp_path)
    assert files(tmp_path) == set(OTHERS)


def test_a_folder_of_a_run_alone_becomes_empty(tmp_path):
    write(tmp_path, OWN)
    remove_own(tmp_path, keep=(".lock",))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_system_writes_into_any_folder_is_of_nobody(tmp_path):
    write(tmp_path, ("config.json", ".DS_Store", "model/.DS_Store", "checkpoints/.nfs0001", "Thumbs.db"))
    own, others = sort_entries(tmp_path)
    assert not others and {path.name for path in own} == {"config.json", "model", "checkpoints"}


def test_a_link_is_of_somebody_else_and_not_followed(tmp_path):
    write(tmp_path / "elsewhere", ("model.safetensors", "config.json"))
    run = tmp_path / "run"
    write(run, ("config.json", "checkpoints/step-1/state.json"))
    (run / "model").symlink_to(tmp_path / "elsewhere")
    (run / "result.json").symlink_to(tmp_path / "elsewhere" / "config.json")
    (run / "checkpoints" / "step-2").symlink_to(tmp_path / "elsewhere")
    assert sorted(path.name for path in sort_entries(run)[1]) == ["model", "result.json", "step-2"]
    remove_own(run)
    assert files(tmp_path / "elsewhere") == {"model.safetensors", "config.json"}
    assert (run / "model").is_symlink() and (run / "checkpoints" / "step-2").is_symlink()


def test_a_name_of_a_run_with_the_other_type_is_of_somebody_else(tmp_path):
    write(tmp_path, ("model", "result.json/years.txt"))
    assert [path.name for path in sort_entries(tmp_path)[1]] == ["model", "result.json"]


@pytest.mark.parametrize("name", ["entity_vocab.json", "sentencepiece.model", "prophetnet.tokenizer"])
def test_a_model_that_a_kill_left_without_a_result_is_of_the_run(tmp_path, name):
    write(tmp_path, ("config.json", f"model/{name}"))
    assert not sort_entries(tmp_path)[1]


def test_a_tokenizer_with_files_of_unusual_names_is_known_by_the_result(tmp_path):
    write(tmp_path, ("model/vocab-src.json", "model/mine.json"))
    (tmp_path / "result.json").write_text(json.dumps({"model_files": {"vocab-src.json": "0" * 64}}))
    assert [path.name for path in sort_entries(tmp_path)[1]] == ["mine.json"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({MARKER: 1}, True),
        (dict.fromkeys(("name", "method", "settings", "versions", "code_revision"), ""), True),
        ({"name": "app", "version": "1.0", "settings": {}}, False),
        ({"model_type": "bert"}, False),
        ({}, False),
    ],
)
def test_a_configuration_is_known_by_its_marker_or_its_keys(config, expected):
    assert is_config_of_run(config) is expected


def test_inputs_inside_a_run_are_known_whatever_path_names_them(tmp_path, monkeypatch):
    run = tmp_path / "run"
    write(run, ("config.json", "model/config.json", "examples.jsonl", "data.csv"))
    (tmp_path / "link").symlink_to(run / "model")
    own, _ = sort_entries(run)
    read = [run, run / "model", tmp_path / "link", run / "model" / ".." / "examples.jsonl"]
    assert inputs_among(own, [*read, run / "data.csv", tmp_path], run) == read
    monkeypatch.chdir(tmp_path)
    options = {"encoder": "run/model", "translator": "marian:run,run/model", "steps": 3, "task": ["a=run/data.csv"]}
    assert {str(path) for path in paths_in([options, [["x"], "\0", "a" * 999]])} == {"run", "run/model", "run/data.csv"}


def test_a_word_of_an_option_is_no_input_where_the_run_has_its_name(tmp_path, monkeypatch):
    write(tmp_path / "synonym", ("config.json", "model/config.json"))
    monkeypatch.chdir(tmp_path)
    settings = {"method": "synonym", "operations": ["synonym"], "pivots": [{"there": {"model": "synonym/model"}}]}
    options = {"method": "synonym", "data": "synonym/config.json", "task": ["synonym=a.csv"]}
    command = {"options": options, "folder": str(tmp_path)}
    assert {str(path) for path in paths_in([settings, command])} == {"synonym/model", "synonym/config.json"}


def test_the_options_that_hold_paths_are_known():
    with click.Context(train) as context:
        names = {
            name for name, option in config_file._parameters(context).items() if option.name in config_file._HOLD_PATHS
        }
    assert len(names) == len(config_file._HOLD_PATHS) and names <= {*PATH_OPTIONS}
