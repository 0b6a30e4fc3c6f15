"""The table of several tasks: means over the tasks, and differences to runs of each task alone."""

import csv
import io

import pytest

from text_uda.report import read
from text_uda.report.page import findings, render
from text_uda.report.task_means import mean_rows, task_means, without_table

TASKS = ("movies", "tweets")
ERRORS = {  # by method and task, for the seeds 0, 1, 2
    ("none", "movies"): (20.0, 22.0, 24.0),
    ("none", "tweets"): (30.0, 30.0, 33.0),
    ("none, joint of 2 tasks", "movies"): (19.0, 20.0, 23.0),
    ("none, joint of 2 tasks", "tweets"): (30.0, 31.0, 32.0),
    ("none, joint of 3 tasks", "movies"): (25.0, 25.0, 25.0),
    ("none, joint of 3 tasks", "tweets"): (35.0, 35.0, 35.0),
    ("none, joint of 3 tasks", "noise"): (50.0, 50.0, 50.0),
    ("switchout", "movies"): (18.0, 18.0, 18.0),
    ("switchout", "tweets"): (28.0, 28.0, 28.0),
    ("switchout, joint of 2 tasks", "movies"): (18.0, 17.0, 18.0),
    ("switchout, joint of 2 tasks", "tweets"): (28.0, 27.0, 28.0),
}


@pytest.fixture
def comparisons(make_run, tmp_path):
    for (method, task), errors in ERRORS.items():
        sharing = method.partition(", ")[2]
        tasks = [*TASKS, "noise"] if "3" in sharing else [*TASKS]
        shared = {"task": task, "shared": {"tasks": tasks, "method": {"method": "Joint"}}} if sharing else {}
        for seed, error in enumerate(errors):
            name = f"{method}-{seed}/tasks/{task}".replace(" ", "-").replace(",", "")
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            data = {"name": f"{task}-snippets", "classes": ["negative", "positive"], "digest": f"{task} {seed}"}
            make_run(method, seed, error=error, folder=name, data=data, **shared)
    return read([tmp_path]).comparisons


def test_the_mean_is_paired_with_runs_of_one_task(comparisons):
    (means,) = task_means(comparisons)
    assert list(means.comparisons) == [*TASKS], "the task of noise has no run of its own"
    assert means.title == "Mean of 2 tasks, 40 labels of each, minilm-l6 (head only)"
    assert means.errors["labels alone, joint of 2 tasks"] == {0: 24.5, 1: 25.5, 2: 27.5}
    change = means.changes["labels alone, joint of 2 tasks"]
    assert change.differences == {0: -0.5, 1: -0.5, 2: -1.0}
    assert change.change is not None and change.change.mean == pytest.approx(-2 / 3)
    assert means.references["switchout, joint of 2 tasks"] == "switchout"
    of_movies = means.change_of("labels alone, joint of 2 tasks", "movies")
    assert of_movies is not None and of_movies.mean == pytest.approx(-4 / 3)
    assert means.change_of("labels alone", "movies") is None


def test_the_finding_names_the_best_and_its_rival(comparisons):
    (means,) = task_means(comparisons)
    (finding,) = means.findings()
    assert finding == (
        "The mean error is lowest with switchout, joint of 2 tasks: 22.7 ± 1.4%, against 23.0 ± 0.0% with switchout in "
        "a run of each task alone. Paired by seed, the difference is −0.3 ± 1.4 points; 3 seeds do not show "
        "a difference."
    )
    assert findings(comparisons)[0] == (means.title, finding), "before those of each task"


def test_a_finding_says_where_sharing_does_not_help(make_task, tmp_path):
    for task in TASKS:
        make_task(task, f"alone-{task}", error=20.0)
        make_task(task, "joint", error=23.0, together=TASKS)
    (means,) = task_means(read([tmp_path]).comparisons)
    assert [*means.findings()] == [
        "No method that trains several tasks has a lower mean error than labels alone, 20.0 ± 0.0%. The closest is "
        "labels alone, joint of 2 tasks, with 23.0 ± 0.0%, against 20.0 ± 0.0% with labels alone in a run of each "
        "task alone. Paired by seed, the difference is +3.0 ± 0.0 points."
    ]


def test_a_further_task_has_its_cost(comparisons):
    (means,) = task_means(comparisons)
    cost = "labels alone, joint of 3 tasks, with noise, against labels alone, joint of 2 tasks: +4.17 ± 3.79 points"
    assert cost in means.notes and means.notes.count("with noise") == 1


@pytest.mark.parametrize("others", [{"settings": {"steps": 800}}, {"rows": 81}], ids=["steps", "rows"])
def test_a_further_task_is_compared_at_equal_steps_and_rows_alone(make_task, tmp_path, others):
    for task in TASKS:
        make_task(task, f"alone-{task}", rows=84)
        make_task(task, "joint", together=TASKS, rows=84)
    for task in (*TASKS, "noise"):
        make_task(task, "noisy", together=(*TASKS, "noise"), **{"rows": 84} | others)
    (means,) = task_means(read([tmp_path]).comparisons)
    assert any("joint of 3 tasks" in label for label in means.groups) and "with noise" not in means.notes


def test_each_format_has_the_table(comparisons, tmp_path):
    (means,) = task_means(comparisons)
    lines = {line[0]: line[1:] for line in mean_rows(means)}
    assert lines["method"][:4] == ["seeds", "mean error %", "vs one task", "p"]
    assert lines["method"][4:] == ["movies %", "tweets %", "movies vs one task", "tweets vs one task"]
    assert lines["labels alone, joint of 3 tasks"][:2] == ["3", "30.0 ± 0.0"]
    assert lines["switchout"][2:4] == ["–", "–"] and lines["switchout, joint of 2 tasks"][2] == "−0.3 ± 1.4"
    report = read([tmp_path])
    for text in (report.markdown(), report.terminal(100), render(comparisons)):
        assert means.title in text and "−0.3 ± 1.4" in text
    report.export(tmp_path / "tables")
    assert "Mean of 2 tasks" in (tmp_path / "tables" / "table.tex").read_text("utf-8")
    with io.StringIO((tmp_path / "tables" / "table.csv").read_text("utf-8"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] == "mean"]
    joint = next(row for row in rows if row["method"] == "labels alone, joint of 2 tasks")
    assert joint["data"] == "movies-snippets, tweets-snippets" and joint["against"] == "labels alone"
    assert float(joint["difference"]) == pytest.approx(-2 / 3) and len(rows) == 5


def test_runs_of_one_task_have_no_such_table(make_run, tmp_path):
    make_run("none", 0)
    make_run("synonym", 0)
    assert task_means(read([tmp_path]).comparisons) == []


@pytest.fixture
def make_task(make_run, tmp_path):
    def make(task, folder, *, file="a", together=(), seeds=(0, 1), rows=None, **others):
        method = f"none, joint of {len(together)} tasks" if together else "none"
        shared = {"task": task, "shared": {"tasks": [*together], "method": {"method": "Joint"}}} if together else {}
        for seed in seeds:
            name = f"{folder}-{seed}/tasks/{task}"
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            data = {"name": f"{file} ({task})", "classes": ["negative", "positive"], "digest": f"{file} {task} {seed}"}
            data |= {} if rows is None else {"digest": f"{rows} rows of {task} {seed}", "unlabeled": rows}
            make_run(method, seed, folder=name, data=data, **shared, **others)

    return make


def test_runs_are_compared_with_single_tasks_of_the_same_settings(make_task, tmp_path):
    for task in TASKS:
        for steps in (400, 800):
            settings = {"steps": steps}
            make_task(task, f"alone-{steps}-{task}", error=steps / 20, settings=settings)
            make_task(task, f"joint-{steps}", error=30.0, together=TASKS, settings=settings)
        make_task(task, "other-rate", together=TASKS, settings={"learning_rate": 1e-3})
    (means,) = task_means(read([tmp_path]).comparisons)
    assert sorted(change.differences[0] for change in means.changes.values()) == [-10.0, 10.0]
    assert "Not compared" in means.notes and means.notes.count("learning_rate 0.001") == 1


@pytest.mark.parametrize(
    ("alone", "together"),
    [
        ({}, {"settings": {"steps": 800}}),
        ({"settings": {"steps": 800}}, {}),
        ({"rows": 81}, {}),
    ],
    ids=["steps", "steps-of-one-task", "rows"],
)
def test_other_steps_or_training_rows_are_not_compared(make_task, tmp_path, alone, together):
    """Those of one task are enough."""
    make_task("movies", "alone-movies", rows=84)
    make_task("tweets", "alone-tweets", **{"rows": 84} | alone)
    for task in TASKS:
        make_task(task, "joint", together=TASKS, **{"rows": 84} | together)
    (means,) = task_means(read([tmp_path]).comparisons)
    assert not means.references and "these settings, steps and training rows: labels alone, joint of 2" in means.notes


def test_two_files_with_tasks_of_the_same_names_have_a_table_each(make_task, tmp_path):
    for file, labels in (("a", 40), ("b", 50)):
        for place, task in enumerate(TASKS):
            numbers = {"labels": labels + place}
            make_task(task, f"alone-{file}-{task}", file=file, **numbers)
            make_task(task, f"joint-{file}", file=file, together=TASKS, **numbers)
    both = task_means(read([tmp_path]).comparisons)
    names = [[one.config["data"]["name"] for one in means.comparisons.values()] for means in both]
    assert sorted(names) == [["a (movies)", "a (tweets)"], ["b (movies)", "b (tweets)"]]
    assert "40 to 41 labels of each" in both[0].title


def test_runs_without_a_table_are_named(make_task, tmp_path):
    for task in TASKS:
        make_task(task, "joint", together=TASKS)
    make_task("movies", "alone")
    comparisons = read([tmp_path]).comparisons
    assert task_means(comparisons) == [] and len(without_table(comparisons)) == 2
    assert "a (tweets), 40 labels, labels alone, joint of 2 tasks: no table" in render(comparisons)
