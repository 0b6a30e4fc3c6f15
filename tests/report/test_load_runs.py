"""Runs that are not whole are named, never left out in silence."""

import json

import pytest

from text_uda.errors import SettingsError
from text_uda.report import build, markdown_table
from text_uda.report.find_runs import find_runs_in


def test_each_run_once(make_run):
    run = make_run()
    assert len(find_runs_in([run, run, run / ".." / run.name]).runs) == 1


def test_nothing_to_report():
    with pytest.raises(SettingsError, match="at least one run"):
        find_runs_in([])


def test_unfinished_runs_are_named_and_no_page_is_written(make_run, tmp_path):
    runs = [make_run("none", 0), make_run("synonym", 1, finished=False), make_run("synonym", 2, finished=False)]
    with pytest.raises(SettingsError, match=r"synonym-1, .*synonym-2 are not finished.*leave them out"):
        build(runs, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(SettingsError, match="is not a run directory and holds none"):
        markdown_table([tmp_path])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", '{"name": "x"}', r"config\.json is damaged: it has no 'method'"),
        ("config.json", "[]", r"config\.json is not in the format of a run"),
        ("result.json", '{"dev_error": "low"}', r"result\.json is damaged: it has 'dev_error': 'low'"),
        ("result.json", "{", r"result\.json cannot be read"),
        (
            "metrics.jsonl",
            '{"kind": "train", "step": 1}\n{"kind": "tr',
            r"metrics\.jsonl is damaged: line 2 is not JSON",
        ),
        ("metrics.jsonl", '{"kind": "train"}\n', r"metrics\.jsonl is damaged: line 1 has no 'step'"),
        ("examples.jsonl", "7\n", r"examples\.jsonl is damaged: line 1 is not a JSON object"),
        ("examples.jsonl", b"\xff\xfe", r"examples\.jsonl is damaged"),
        ("metrics.jsonl", None, r"metrics\.jsonl is damaged"),
    ],
)
def test_damage_is_named(make_run, file, content, message):
    run = make_run()
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=message) as raised:
        find_runs_in([run])
    assert str(run) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": [[1, 2], [3]]},
        {"confusion": [[1, 2, 3], [4]]},
        {"confusion": [[1, "2"], [3, 4]]},
        {"confusion": []},
        {"augmentation": {"method": "x", "change_rate": 0.1, "usable": 1.0, "statuses": {"ok": "many"}}},
        {"augmentation": 3},
    ],
)
def test_results_of_a_wrong_shape(make_run, change):
    with pytest.raises(SettingsError, match=r"result\.json is damaged"):
        find_runs_in([make_run(result=change)])


def test_texts_that_no_page_can_hold_are_made_visible(make_run):
    run = make_run()
    example = {"source": "a\x00b\ud800c\x1bd\te", "paraphrase": None, "status": "failed", "pivot": None}
    (run / "examples.jsonl").write_text(json.dumps(example) + "\n")
    assert find_runs_in([run]).runs[0].examples[0]["source"] == "a\ufffdb\ufffdc\ufffdd\te"


def test_figures_that_are_no_numbers_are_missing(make_run):
    run = find_runs_in([make_run(result={"seconds": float("nan")})]).runs[0]
    assert run.value("seconds") is None
    assert run.value("usable") == 0.93
