"""The run directory: what is refused, what is kept."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.runs.provenance import code_versions
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train
from translation_cache.atomic import unfinished_name

CONFIG = {"name": "a", "settings": {"steps": 10, "seed": 0}, "versions": {"torch": "1"}, "code_revision": "x"}


def test_the_same_settings_go_on_whatever_made_them(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open(CONFIG, resume=True)
    (run.path / "metrics.jsonl").write_text("kept")
    run.open(CONFIG | {"name": "b", "versions": {"torch": "2"}, "code_revision": "y"}, resume=True)
    assert run.metrics.read_text() == "kept"


def test_other_settings_are_named_and_nothing_is_lost(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open(CONFIG, resume=True)
    other = CONFIG | {"settings": {"steps": 20, "seed": 0}}
    with pytest.raises(SettingsError, match=r"resume=False.*\nsteps: 10 in the run, 20 now$"):
        run.open(other, resume=True)
    assert run.config()["settings"]["steps"] == 10
    run.open(other, resume=False)
    assert run.config()["settings"]["steps"] == 20


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_of_other_files_is_never_written_to(tmp_path, resume):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="empty folder"):
        RunDirectory(tmp_path).open(CONFIG, resume=resume)
    with pytest.raises(SettingsError, match="is a file"):
        RunDirectory(tmp_path / "thesis.tex").open(CONFIG, resume=resume)
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(SettingsError, match="is a symbolic link to nothing"):
        RunDirectory(tmp_path / "link").open(CONFIG, resume=resume)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("config", [{"name": "app", "version": "2"}, {"model_type": "bert"}, {}])
def test_a_config_of_another_program_is_no_run(tmp_path, config, resume):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "src").mkdir()
    for _ in range(2):
        with pytest.raises(SettingsError, match=r"no run of text-uda wrote its config\.json"):
            RunDirectory(tmp_path).open(CONFIG, resume=resume)
    assert json.loads((tmp_path / "config.json").read_text()) == config and (tmp_path / "src").exists()


def test_a_run_of_an_earlier_version_is_a_run(tmp_path):
    earlier = CONFIG | {"method": "uda"}
    (tmp_path / "config.json").write_text(json.dumps(earlier))
    (tmp_path / "result.json").write_text("{}")
    assert not RunDirectory(tmp_path).open(earlier, resume=True)
    assert RunDirectory(tmp_path).open(earlier, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert RunDirectory(tmp_path).config() == earlier | {"text_uda_run": 1}


def test_a_run_of_a_later_version_is_not_misread(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"text_uda_run": 99}))
    for resume in (True, False):
        with pytest.raises(SettingsError, match=r"format 99, here 1\): update text-uda"):
            RunDirectory(tmp_path).open(CONFIG, resume=resume)


def test_files_beside_a_run_are_named_and_nothing_is_removed(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open(CONFIG, resume=True)
    (run.path / "result.json").write_text("{}")
    (run.path / "model").mkdir()
    (run.path / "notes.txt").write_text("years of work")
    (run.path / "model" / "labels.csv").write_text("")
    with pytest.raises(SettingsError, match=r"which are not removed \(model/labels\.csv, notes\.txt\): move them"):
        run.open(CONFIG, resume=False)
    assert (run.path / "result.json").exists()
    assert not run.open(CONFIG, resume=True), "a run goes on beside them"
    (run.path / "result.json").unlink()
    with pytest.raises(SettingsError, match=r"\(model/labels\.csv\)"):  # the end of the run replaces model/
        run.open(CONFIG, resume=True)


@pytest.mark.parametrize("mask", [0o002, 0o027])
def test_everything_that_a_run_writes_follows_the_umask(tiny_bert, tmp_path, mask):
    rows = Rows(("good film", "bad plot"), (0, 1))
    split = Split("test", ("good", "bad"), rows, ("fine",), rows, rows, "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), tune="last:1", steps=2, max_tokens=16, evaluate_every=1)
    modes: dict[str, int] = {}

    def look() -> None:
        modes.update({str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")})

    before = os.umask(mask)
    try:
        for minutes in (1e-9, None):
            with suppress(Interrupted):
                train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run", max_minutes=minutes)
            look()
    finally:
        os.umask(before)
    assert {"run/checkpoints/step-00000001/best.safetensors", "run/model/model.safetensors", "run/.lock"} <= set(modes)
    for name, mode in modes.items():
        assert mode == (0o666 if "." in Path(name).name else 0o777) & ~mask, (name, oct(mode))


def test_an_input_inside_the_run_is_not_removed(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open(CONFIG, resume=True)
    run.model.mkdir()
    (tmp_path / "link").symlink_to(run.model)
    for encoder in (run.model, run.path / ".." / "run" / "model", tmp_path / "link", run.path):
        with pytest.raises(SettingsError, match="is an input of this call"):
            run.open(CONFIG, resume=False, inputs=[encoder])
    assert run.model.exists()


@pytest.mark.parametrize("steps", range(6))
def test_a_kill_while_a_run_is_removed_leaves_a_run_without_a_result(tmp_path, monkeypatch, steps):
    run = RunDirectory(tmp_path / "run")
    run.open(CONFIG, resume=True)
    for name in ("result.json", "examples.jsonl", "metrics.jsonl", "checkpoints/step-1/state.json"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("{}")
    left = iter([None] * steps)

    def until_killed(remove):
        def call(path, *arguments, **options):
            if next(left, 0) == 0:
                raise KeyboardInterrupt
            return remove(path, *arguments, **options)

        return call

    other = CONFIG | {"settings": {"steps": 20, "seed": 0}}
    with monkeypatch.context() as patch:
        for name in ("unlink", "rmdir"):
            patch.setattr(Path, name, until_killed(getattr(Path, name)))
        with pytest.raises(KeyboardInterrupt):
            run.open(other, resume=False)
    assert not (run.path / "result.json").exists() or not steps
    assert run.config()["settings"]["steps"] == 10
    assert run.open(other, resume=False)
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "\udcff"])
def test_a_config_that_no_run_wrote(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"config\.json"):
        RunDirectory(tmp_path).config()


def test_metrics_of_steps_to_be_run_again_are_dropped(tmp_path):
    run = RunDirectory(tmp_path)
    lines = [json.dumps({"step": step}) for step in (1, 2, 3)]
    run.metrics.write_text("\n".join(lines) + '\n{"st')  # the last one cut short by a kill
    run.keep_metrics_until(2)
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [1, 2]


def test_provenance_names_versions():
    assert {"python", "torch", "transformers"} <= code_versions()["versions"].keys()


def test_what_a_kill_left_in_the_first_write_locks_nobody_out(tmp_path):
    """A kill while config.json is written for the first time leaves a file aside, and no configuration."""
    (tmp_path / unfinished_name("config.json")).write_text('{"met')
    (tmp_path / unfinished_name("model")).mkdir()
    (tmp_path / unfinished_name("model") / "1_Pooling").mkdir(parents=True)
    directory = RunDirectory(tmp_path)
    assert directory.open({"method": "uda"}, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]
    (tmp_path / unfinished_name("metrics.jsonl")).write_text("")
    assert not directory.open({"method": "uda"}, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]


def test_how_a_run_goes_may_change_where_it_goes_on(tmp_path, caplog):
    """It does not fit into memory, say; and another machine is told of, as its bits are others."""
    way = {"tokens_per_pass": None, "checkpoint_every": 500, "log_every": 10, "compile": False, "steps": 9}
    config = {"settings": way, "machine": {"device": "cpu", "precision": "bf16"}}
    RunDirectory(tmp_path).open(config, resume=True)
    changed = way | {"tokens_per_pass": 512, "checkpoint_every": 5, "log_every": 1, "compile": True}
    assert not RunDirectory(tmp_path).open(config | {"settings": changed}, resume=True)
    assert not caplog.text
    with pytest.raises(SettingsError, match=r"\nsteps: 9 in the run, 8 now$"):
        RunDirectory(tmp_path).open(config | {"settings": way | {"steps": 8}}, resume=True)
    RunDirectory(tmp_path).open(config | {"machine": {"device": "cpu", "precision": "fp32"}}, resume=True)
    assert "started with device cpu, precision bf16 and resumes with device cpu, precision fp32" in caplog.text
