"""Test rows on which the methods disagree: which rows, the votes of each method, their text on the page."""

import re

import pytest

from text_uda.errors import SettingsError
from text_uda.report import build, disagreement
from text_uda.report.disagreement import GAINED, LOST, NOBODY, disagreements
from text_uda.report.grouping import compare
from text_uda.report.load_runs import read_runs

GOOD, BAD = "positive", "negative"


@pytest.fixture
def answered(make_run, answer):
    """Three seeds of labels alone and of one method; what each says of four rows."""
    predictions = {
        "none": [(BAD, GOOD, GOOD, GOOD), (BAD, GOOD, GOOD, BAD), (GOOD, GOOD, GOOD, GOOD)],
        "synonym": [(GOOD, BAD, GOOD, BAD), (GOOD, BAD, GOOD, GOOD), (GOOD, GOOD, GOOD, GOOD)],
    }
    runs = []
    for method, seeds in predictions.items():
        for seed, answers in enumerate(seeds):
            runs.append(make_run(method, seed))
            rows = zip(("gained", "lost", "same", "one seed"), answers, strict=True)
            answer(runs[-1], [(text, GOOD, predicted) for text, predicted in rows])
    return runs


def test_rows_where_most_seeds_differ(answered):
    rows, left, known = disagreements(compare(read_runs(answered)))
    assert [row.text for row in rows] == ["gained", "lost"] and (left, known) == (0, 4)
    gained, lost = rows
    assert gained.kinds == [GAINED] and lost.kinds == [LOST]
    base, method = gained.votes
    assert base.counts == [(BAD, 2), (GOOD, 1)] and not base.right
    assert method.counts == [(GOOD, 3)] and method.right
    assert method.probability == pytest.approx(0.75)


def test_nobody_is_right(make_run, answer):
    classes = ("a", "b", "c")
    runs = [make_run(method, 0, classes=classes) for method in ("none", "synonym")]
    for run, predicted in zip(runs, "ab", strict=True):
        answer(run, [("text", "c", predicted)])
    (row,), _, _ = disagreements(compare(read_runs(runs)))
    assert row.kinds == [NOBODY] and not any(vote.right for vote in row.votes)


@pytest.mark.parametrize("seeds", [(GOOD, BAD), (BAD, GOOD)])
def test_a_tie_goes_to_the_first_class_by_name(make_run, answer, seeds):
    """In any order of the seeds, and to the true class as to another."""
    runs = []
    for method, answers in (("none", seeds), ("synonym", (GOOD, GOOD))):
        for seed, predicted in enumerate(answers):
            runs.append(make_run(method, seed))
            answer(runs[-1], [("tie", GOOD, predicted)])
    (row,), _, _ = disagreements(compare(read_runs(runs)))
    assert row.votes[0].counts == [(BAD, 1), (GOOD, 1)] and row.kinds == [GAINED]


def test_a_seed_that_was_run_twice_has_one_vote(answered, make_run, answer):
    again = make_run("none", 0, folder="again")
    answer(again, [("gained", GOOD, BAD)])
    (gained, *_), _, _ = disagreements(compare(read_runs([*answered, again])))
    assert gained.votes[0].seeds == 3


def test_a_row_that_one_method_alone_saw_is_no_disagreement(make_run, answer):
    runs = [make_run("none", 0), make_run("synonym", 0)]
    answer(runs[0], [("text", GOOD, BAD)])
    assert disagreements(compare(read_runs(runs))) == ([], 0, 0)


def test_rows_beyond_the_room_are_counted(make_run, answer, monkeypatch, tmp_path):
    monkeypatch.setattr(disagreement, "ROWS", 25)
    runs = [make_run("none", 0), make_run("synonym", 0)]
    for run, predicted in zip(runs, (GOOD, BAD), strict=True):
        answer(run, [(f"text {index}", GOOD, predicted) for index in range(40)])
    rows, left, known = disagreements(compare(read_runs(runs)))
    assert (len(rows), left, known) == (25, 15, 40)
    assert "15 more are in the runs'" in re.sub(r"\s+", " ", build(runs, tmp_path / "report.html").read_text())


def test_test_rows_are_counted_once_for_all_numbers_of_labels(make_run, answer, tmp_path):
    other = {"name": "other", "classes": [BAD, GOOD], "digest": "d", "test_digest": "other rows"}
    runs = []
    for labels, more in ((40, {}), (400, {}), (40, {"data": other})):
        for method, predicted in (("none", BAD), ("synonym", GOOD)):
            runs.append(make_run(method, 0, labels=labels, folder=str(len(runs)), **more))
            answer(runs[-1], [(f"text {n}", GOOD, predicted) for n in range(7)])
    rows, left, known = disagreements(compare(read_runs(runs)))
    assert (len(rows), left, known) == (21, 0, 14)
    assert "recorded 14 test rows" in build(runs, tmp_path / "report.html").read_text()


def test_what_the_page_says_of_a_row(answered, tmp_path):
    text = re.sub(r"\s+", " ", build(answered, tmp_path / "report.html").read_text("utf-8"))
    first = text[text.index('<li data-true="0"') :]
    assert 'data-right="gained 1"' in first[:80]
    assert "<bdi>negative</bdi> <small>2 of 3 seeds</small>" in first
    assert "<bdi>positive</bdi> <small>3 of 3 seeds</small>" in first
    assert first.index('class="no"') < first.index('class="yes"')  # labels alone come first
    assert '<option value="gained">a method, but not labels alone</option>' in text


def test_runs_of_earlier_versions_have_no_rows(study, earlier, tmp_path):
    runs = [earlier(run) for run in study]
    assert "Test rows on which the methods disagree" not in build(runs, tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "test_examples.jsonl",
            '{"text": "x", "label": "a", "predicted": 1, "probability": 1}',
            "has 'predicted': '1'",
        ),
        ("test_examples.jsonl", '{"text": "x"', "line 1 is not JSON"),
        ("result.json", {"calibration": {"error": 1.0}}, "has no 'bins'"),
        ("result.json", {"calibration": []}, "is not a JSON object"),
        (
            "result.json",
            {"calibration": {"error": 1, "bins": [dict(low=0, high=1, count=3, confidence=None, accuracy=None)]}},
            "a bin of the calibration has 3 rows and no means",
        ),
    ],
)
def test_damage_is_named(make_run, file, change, message):
    run = make_run(result=change if isinstance(change, dict) else None)
    if isinstance(change, str):
        (run / file).write_text(change)
    with pytest.raises(SettingsError, match=rf"{file} is damaged: .*{message}"):
        read_runs([run])
