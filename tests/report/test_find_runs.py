"""A folder that holds run directories: finished ones are taken, all others named."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from text_uda.errors import SettingsError
from text_uda.report import build, read
from text_uda.report.find_runs import find_runs_in


@pytest.fixture
def folder(make_run, tmp_path):
    """As a study leaves it, and one is cut short in each way."""
    for path in ("study/runs/none-0", "study/runs/synonym-0", "study/runs/synonym-1", "study/runs/synonym-2"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        method, _, seed = path.rpartition("/")[2].rpartition("-")
        make_run(method, int(seed), folder=path, finished=path != "study/runs/synonym-1")
    study = tmp_path / "study"
    (study / "study.json").write_text("{}")
    (study / "runs" / "synonym-2" / "result.json").write_text('{"dev_er')
    for name, files in {
        "cut": {"metrics.jsonl": ""},
        "encoder": {"config.json": json.dumps({"method": "pretrain", "settings": {}}), "result.json": "{}"},
        "model": {"config.json": json.dumps({"model_type": "bert"})},
        ".begun": {"config.json": "{}"},
        "none-0/model": {"config.json": json.dumps({"model_type": "bert"})},
    }.items():
        (study / "runs" / name).mkdir()
        for file, content in files.items():
            (study / "runs" / name / file).write_text(content)
    return study


def test_what_is_finished_is_taken_and_the_rest_is_named(folder):
    result = find_runs_in([folder])
    assert [run.path.name for run in result.runs] == ["none-0", "synonym-0"]
    reasons = {path.name: why for path, why in result.left_out.items()}
    assert sorted(reasons) == ["cut", "encoder", "synonym-1", "synonym-2"]
    assert reasons["synonym-1"] == "not finished"
    assert "result.json cannot be read" in reasons["synonym-2"] and "config.json cannot be read" in reasons["cut"]
    assert "pretraining" in reasons["encoder"]


def test_the_table_and_the_page_say_what_was_left_out(folder, tmp_path):
    pytest.importorskip("jinja2")
    table = read([folder]).markdown()
    assert "Left out:" in table and "synonym-1: not finished" in table
    text = build([folder], tmp_path / "report.html").read_text()
    assert "Left out: not finished" in text and "synonym-1" in text


def test_a_run_named_beside_its_folder_is_there_once(folder):
    assert len(find_runs_in([folder / "runs" / "none-0", folder, folder / "runs"]).runs) == 2


def test_a_run_that_was_named_must_be_whole(folder):
    with pytest.raises(SettingsError, match=r"synonym-1 is not finished"):
        find_runs_in([folder, folder / "runs" / "synonym-1"])
    with pytest.raises(SettingsError, match=r"result\.json cannot be read"):
        find_runs_in([folder / "runs" / "synonym-2"])


def test_a_folder_where_nothing_is_finished(make_run, tmp_path):
    (tmp_path / "study").mkdir()
    make_run("none", 0, folder="study/none-0", finished=False)
    with pytest.raises(SettingsError, match=r"no finished run in .*study \(.*none-0: not finished\)"):
        find_runs_in([tmp_path / "study"])


def test_a_model_is_no_run(folder):
    with pytest.raises(SettingsError, match="model is not a run directory and holds none"):
        find_runs_in([folder / "runs" / "model"])


def test_links_to_run_directories_are_followed(folder, make_run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    make_run("mlm", 0, folder="elsewhere/mlm-0")
    for name, to in {
        "a link": "elsewhere/mlm-0",
        "again": "elsewhere",
        "above": "study",
        "twice": "study/runs",
    }.items():
        (folder / "runs" / name).symlink_to(tmp_path / to)
    result = find_runs_in([folder])
    assert [run.path.name for run in result.runs] == ["none-0", "synonym-0", "a link"]


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    (folder / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = find_runs_in([folder])
    assert len(result.runs) == 2 and result.left_out[folder / "closed"] == "cannot be read (Permission denied)"
    with pytest.raises(SettingsError, match=r"closed cannot be read \(Permission denied\)"):
        find_runs_in([folder, folder / "closed"])


def test_where_it_is_not_strict_a_run_that_was_named_is_left_out(folder):
    runs = folder / "runs"
    (runs / "empty").mkdir()
    named = [runs / name for name in ("none-0", "synonym-1", "synonym-2", "empty", "nowhere")]
    result = find_runs_in(named, strict=False)
    assert [run.path for run in result.runs] == named[:1]
    reasons = {path.name: why for path, why in result.left_out.items()}
    assert list(reasons) == ["synonym-1", "synonym-2", "empty", "nowhere"]
    assert reasons["synonym-1"] == "not finished" and "result.json cannot be read" in reasons["synonym-2"]
    assert reasons["empty"].startswith("is not a run directory and holds none")
    assert reasons["nowhere"].startswith("cannot be read")
    with pytest.raises(SettingsError, match=r"no finished run in .*not finished"):
        read(named[1:], strict=False)


def test_what_a_caller_leaves_out_is_shown_though_it_is_not_there(folder, tmp_path):
    pytest.importorskip("jinja2")
    report = read([folder / "runs" / "none-0", folder / "runs" / "synonym-1"], strict=False)
    report = replace(report, left_out={**report.left_out, Path("runs/no-such-trial"): "ran out of memory"})
    page = report.page(tmp_path / "report.html").read_text()
    for text in (report.markdown(), page):
        assert "no-such-trial" in text and "ran out of memory" in text and "not finished" in text
