"""`train` with several tasks: label columns of one file, or --task NAME=DATA."""

import csv
import json
from pathlib import Path

import pytest
import torch
from forked import as_group
from safetensors.torch import load_file

from text_uda.cli.data_options import DataChoice
from text_uda.cli.task_options import TaskChoice
from text_uda.data import Corpus, Rows
from text_uda.data.near_copies import have_near_copy
from text_uda.data.several_tasks import columns_among, side_by_side, tasks_of, without_tests_of_others
from text_uda.errors import DataError, SettingsError, named
from text_uda.objectives import Supervised
from text_uda.tasks.pooled import Pooled

GOOD, BAD, THINGS = ("good", "great", "fine", "best"), ("bad", "poor", "dull", "worst"), ("film", "plot", "actor")
FRAMES = ("the {} was {}", "this {} is very {}", "a {} so {}", "that {} with {}")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """96 texts with a verdict and a thing; some cells are empty."""
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    rows = [(f.format(thing, word), word in GOOD, thing) for f in FRAMES for word in GOOD + BAD for thing in THINGS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "verdict", "thing"])
        for number, (text, good, thing) in enumerate(rows):
            verdict = "" if number % 7 == 3 else "good" if good else "bad"
            writer.writerow([text, verdict, "" if number % 5 == 1 else thing])
    return path


@pytest.fixture
def words(tiny_bert) -> list:
    settings = ["--tune", "head", "--steps", 4, "--evaluate-every", 2, "--max-tokens", 16, "--labeled-batch", 4]
    return ["--labels", 6, "--encoder", tiny_bert, *settings]


def test_label_columns_of_one_file_are_tasks(run, refused, table, words, tmp_path):
    out = tmp_path / "run"
    result = run("train", table, "--label-column", "verdict", "--label-column", "thing", *words, "--out", out)
    assert result.exit_code == 0, result.output
    assert "task verdict:" in result.stdout and "task thing:" in result.stdout
    assert f"are in {out / 'tasks'}" in result.stdout and "mean of 2 tasks (step " in result.stdout
    assert " unlabeled texts are left out, as they equal a test text of another task" in result.stdout
    configs = {name: json.loads((out / "tasks" / name / "config.json").read_text()) for name in ("verdict", "thing")}
    assert configs["verdict"]["data"]["classes"] == ["bad", "good"]
    assert configs["thing"]["data"]["classes"] == sorted(THINGS)
    assert configs["thing"]["data"]["name"] == "a (thing)" and configs["thing"]["method"] == "none, joint of 2 tasks"
    answers = run("predict", out / "tasks" / "thing", input="the film was good\n")
    assert json.loads(answers.stdout.splitlines()[-1])["label"] in THINGS
    report = run("report", out, "--out", tmp_path / "report.html")
    assert report.exit_code == 0 and "a (verdict)" in report.stdout and "a (thing)" in report.stdout
    assert f"name one of {out / 'tasks' / 'verdict'}, {out / 'tasks' / 'thing'}" in refused("evaluate", out, table)
    of_one = refused("train", "--config", out / "tasks" / "thing", "--out", tmp_path / "again")
    assert f"is of one of several tasks (verdict, thing): name that of all, {out / 'config.json'}" in of_one
    again = run("train", "--config", out / "config.json", "--json", "--out", tmp_path / "again")
    assert "config.json: " not in again.stderr
    again = json.loads(again.stdout.splitlines()[-1])
    assert again["mean"] == json.loads((out / "result.json").read_text())["mean"]


def test_an_evaluation_names_the_texts_of_other_tasks_that_the_model_has_seen(run, record, table, tiny_bert, tmp_path):
    of_tasks = ["--label-column", "verdict", "--label-column", "thing", "--labels", 6, "--encoder", tiny_bert]
    record("train", table, *of_tasks, "--tune", "last:1", "--steps", 2, "--max-tokens", 16, "--out", tmp_path / "run")
    with table.open(newline="") as file:
        rows = [f"{row['text']},{row['verdict'] or 'good'}" for row in csv.DictReader(file)]
    (tmp_path / "full.csv").write_text("\n".join(["text,verdict", *rows]) + "\n")
    one = tmp_path / "run" / "tasks" / "verdict"
    words = run("evaluate", one, tmp_path / "full.csv", "--label-column", "verdict", "--rows", "all").stdout
    assert "6 with their labels" in words and ", 1 without labels of this task; on new rows the error" in words


def test_tasks_by_name(record, table, words, tmp_path):
    columns = ["--label-column", "verdict"]
    given = ["--task", f"one={table}", "--task", f"two={table}", "--tasks", "alternate", "--task-power", 0]
    result = record("train", *given, *columns, *words, "--out", tmp_path / "run")
    assert list(result["tasks"]) == ["one", "two"]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["task_method"] == {"method": "Alternate", "power": 0.0}


def test_the_configuration_of_tasks_runs_again_in_another_folder(record, table, words, tmp_path, monkeypatch):
    """Also where a task has the name of a folder."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.csv").write_bytes(table.read_bytes())
    monkeypatch.chdir(tmp_path)
    of_tasks = ["--task", "one=one/a.csv", "--task", "two=one/a.csv", "--label-column", "verdict"]
    first = record("train", *of_tasks, *words, "--out", "two")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    again = record("train", "--config", tmp_path / "two", "--out", "again")
    assert again["mean"] == first["mean"]
    monkeypatch.chdir(tmp_path)
    assert record("train", *of_tasks, *words, "--out", "two", "--no-resume")["mean"] == first["mean"]


def test_a_label_column_that_data_lacks_is_that_of_another_file(table, tmp_path):
    """Of one task: each file is read by the one that it has."""
    (tmp_path / "test.csv").write_text("text,stars\nnew,good\n")
    data = DataChoice(source=str(table), label_column=("verdict", "stars"), test=tmp_path / "test.csv")
    assert TaskChoice().data_of_tasks(data) is None
    for columns in (("verdict", "stars"), ("verdict", "stars", "thing")):
        with pytest.raises(DataError, match="no column 'stars'"):
            TaskChoice().data_of_tasks(DataChoice(source=str(table), label_column=columns))
    assert columns_among("wordnet-6", ("label", "text")) == [] == columns_among("no-such-set", ("a", "b"))


def test_a_row_without_a_cell_is_unlabeled_text_of_that_task(table):
    data = DataChoice(source=str(table), label_column=("verdict", "thing"))
    of_tasks = TaskChoice().data_of_tasks(data)
    assert of_tasks is not None
    corpora = side_by_side({name: one.load() for name, one in of_tasks.items()})
    with table.open(newline="") as file:
        empty = {row["text"]: {name for name in of_tasks if not row[name]} for row in csv.DictReader(file)}
    for name, corpus in corpora.items():
        assert corpus.unlabeled and all(name in empty[text] for text in corpus.unlabeled)


def test_test_texts_of_a_task_are_no_training_texts_of_another(table):
    data = DataChoice(source=str(table), label_column=("verdict", "thing"))
    of_tasks = TaskChoice().data_of_tasks(data)
    assert of_tasks is not None
    corpora = side_by_side({name: one.load() for name, one in of_tasks.items()})
    for name, corpus in corpora.items():
        other = next(one for key, one in corpora.items() if key != name)
        assert not have_near_copy(corpus.training_texts(), other.test.texts).any()
    none = Rows((), ())
    alone = Corpus("a", "", ("x", "y"), Rows(("A text",), (0,)), none, unlabeled=("More", "Another"))
    tested = Corpus("b", "", ("x", "y"), none, Rows(("a text!", "more."), (0, 1)))
    left = without_tests_of_others({"a": alone, "b": tested})["a"]
    assert left.train.texts == () and left.unlabeled == ("Another",) and left.unused.texts == ("A text",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--task", "a=x.csv", "--task", "a=y.csv"], "--task 'a' is given twice"),
        (["--task", "x.csv"], "--task 'x.csv' is not NAME=DATA, such as reviews=reviews.csv"),
        (["wordnet-6", "--task", "a=x.csv"], "--task names the data of each task: leave out 'wordnet-6'"),
        (["--task", "a=x.csv", "--test", "t.csv"], "--test FILE does not say which task it belongs to"),
        (["--task", "a=x.csv", "--dev", "t.csv"], "--dev FILE does not say which task it belongs to"),
        (["--task", "a=x.csv", "--refit"], "--refit trains the model of one task again"),
        (["--task", "a=x.csv", "--task-power", "1"], "--task-power is for --tasks alternate"),
        (["--task", "a=x.csv", "--tasks", "alternate", "--task-weights", "a=1"], "leave it out with alternate"),
        (["--task", "a=x.csv", "--task-weights", "a"], "'a' is not NAME=NUMBER"),
        (["--task", "a=x.csv", "--task-weights", "a=1,a=2"], "--task-weights: 'a' is given twice"),
        (["--task", "a=x.csv", "--task", "b=y.csv", "--task-weights", "b=1"], "task_weights has no weight for a"),
        (["--task", "a=x.csv", "--task-weights", "a=2"], "and there is one: leave out task_weights"),
        (["--task", "a/b=x.csv"], "task 'a/b': a task names a folder"),
        (["--task", "a=x.csv", "--task", "A=y.csv"], "the tasks 'a' and 'A' have one name"),
        (["--task", "a=x.csv", "--objective", "logistic-regression"], "is fitted on features and takes no step"),
        (["--task", "a=x.csv"], "task 'a': x.csv cannot be read"),
        (["--task", "a=x.csv", "--tasks", "pcgrad", "--task-weights", "a=1"], "leave one of them out"),
        (["wordnet-6", "--tasks", "joint"], "--tasks is for several tasks, and there is one"),
        (["rated-labels", "--tasks", "joint", "--label-column", "valence"], "--tasks is for several tasks, and there"),
        (["rated-texts", "--label-column", "stars", "--label-column", "topic"], "and not 'stars' or 'topic'"),
        (["rated-labels", "--label-column", "valence", "--label-column", "sorce"], "and not 'sorce'"),
        ([], "Missing argument 'DATA'"),
        (["--task", "a=wordnet-6", "--class-weights", "1,2"], "2 numbers and the task 'a' 6 classes"),
    ],
)
def test_what_contradicts_itself_is_refused(refused, tmp_path, given, message):
    assert message in refused("train", *given, "--labels", 6, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cell_that_is_no_label_is_named_with_its_row(refused, tmp_path):
    file = tmp_path / "a.csv"
    rows = "\n".join(f"text {number},{number % 2},{number % 3}" for number in range(40))
    file.write_text(f"text,stars,topic\n{rows}\ntext 40,nan,1\n")
    columns = ["--label-column", "stars", "--label-column", "topic"]
    message = refused("train", file, *columns, "--labels", 6, "--out", tmp_path / "run")
    assert "label 'nan' (row 42) stands among numbers and is no label; leave the field empty" in message


@pytest.mark.slow
def test_two_processes_come_to_the_models_of_one(record, table, tiny_bert, tmp_path):
    """Alternating, so that each step leaves a head without a gradient; pcgrad is refused before anything is written."""
    columns = ["--label-column", "verdict", "--label-column", "thing", "--labels", 6, "--encoder", tiny_bert]
    steps = ["--steps", 6, "--evaluate-every", 3, "--max-tokens", 16, "--labeled-batch", 4, "--learning-rate", 1e-3]
    words = [table, *columns, *steps, "--dropout", 0, "--objective", "mean-teacher", "--tasks"]
    record("train", *words, "alternate", "--out", tmp_path / "one")
    done = as_group(2, "train", *words, "alternate", "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    for name in ("verdict", "thing"):
        one, other = (
            load_file(tmp_path / out / "tasks" / name / "model" / "model.safetensors") for out in ("one", "two")
        )
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, atol=2e-5, rtol=1e-4, msg=f"{name}: {key}")
    refused = as_group(2, "train", *words, "pcgrad", "--out", tmp_path / "three")
    assert refused.returncode != 0 and "each of 2 processes has a part of a batch: use one process" in refused.stderr
    assert not (tmp_path / "three").exists()


def test_a_set_with_tasks_is_one_data_set_without_the_option():
    data = DataChoice(source="rated-texts")
    assert TaskChoice().data_of_tasks(data) is None
    tasks = TaskChoice(tasks="pooled").data_of_tasks(data)
    assert tasks is not None and [one.source for one in tasks.values()][:2] == ["movie-snippets", "product-snippets"]
    labels = DataChoice(source="rated-labels", label_column=("valence", "source"))
    tasks = TaskChoice().data_of_tasks(labels)
    assert tasks is not None and {name: one.label_column for name, one in tasks.items()} == {
        "valence": ("valence",),
        "source": ("source",),
    }
    assert TaskChoice(tasks="pooled").checked_method(list(tasks), (Supervised(),)) == Pooled()


def test_a_data_set_of_one_label_reads_no_column(caplog):
    data = DataChoice(source="wordnet-14", label_column=("a", "b"))
    assert TaskChoice().data_of_tasks(data) is None
    assert caplog.messages == ["wordnet-14 has one label of its own: the label columns 'a' and 'b' are not read"]


@pytest.mark.parametrize("columns", [("verdict", "thing"), ("thing", "verdict")])
def test_the_command_line_has_the_tasks_of_the_library(table, columns):
    for source, names in ((str(table), columns), ("rated-labels", ("valence", "source")), ("rated-texts", ())):
        data = DataChoice(source=source, label_column=names)
        of_tasks = TaskChoice(tasks="joint").data_of_tasks(data)
        assert of_tasks is not None
        keys = ("label_column", "partly_labeled")
        expected = {
            name: [of_task.get(key, False) for key in keys] for name, of_task in tasks_of(data.arguments()).items()
        }
        assert {name: [getattr(one, key) for key in keys] for name, one in of_tasks.items()} == expected


def test_errors_of_a_task_name_it():
    with pytest.raises(DataError, match=r"^task 'a': no row$"), named("a"):
        raise DataError("no row")
    with pytest.raises(SettingsError, match=r"^no step$"), named(""):
        raise SettingsError("no step")


def test_weights_are_not_for_a_pooled_head(refused):
    line = refused(
        "train", "rated-texts", "--labels", 6, "--tasks", "pooled", "--task-weights", "movies=1", "--out", "r"
    )
    assert "--task-weights are for the losses of joint tasks" in line
