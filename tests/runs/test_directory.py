"""The run directory: what is refused, what is kept."""

import json

import pytest

from text_uda.errors import SettingsError
from text_uda.runs.directory import RunDirectory
from text_uda.runs.provenance import code_versions
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
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


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
