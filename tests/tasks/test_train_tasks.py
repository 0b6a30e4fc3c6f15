"""`train_tasks` from end to end on a tiny encoder: what it leaves, that it resumes, what it refuses."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import pipeline

from text_uda.augment.switchout import SwitchOut
from text_uda.data import Rows
from text_uda.errors import OtherRunError, SettingsError
from text_uda.objectives import PRESETS, UDA, LogisticRegression, MeanTeacher, Supervised
from text_uda.report.load_runs import read_runs
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import evaluate
from text_uda.runs.prediction import predict
from text_uda.tasks.alternate import Alternate
from text_uda.tasks.joint import Joint
from text_uda.tasks.task_checks import check_names, one_line
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.train_classifier import train

PLAIN = (Supervised(),)
METHODS = {
    "joint": Joint(),
    "uncertainty": Joint(weights="uncertainty"),
    "pcgrad": Joint(weights="pcgrad"),
    "alternate": Alternate(),
}


def content(run: Path) -> dict:
    """The files of a run without its place and times."""
    without = {*MACHINE_METRICS, "seconds", "cpu_seconds", "run"}
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    model = run / "model" / "model.safetensors"
    return {
        "metrics": [{name: value for name, value in record.items() if name not in without} for record in records],
        "result": {name: value for name, value in result.items() if name not in without},
        "model": model.read_bytes() if model.exists() else None,
    }


@pytest.mark.parametrize(
    ("preset", "tune", "method"),
    [("uda", "all", "joint"), ("mean-teacher", "head", "pcgrad"), ("fixmatch", "last:1", "alternate")],
)
def test_one_task_is_the_run_that_train_gives(splits, settings, tiny_bert, tmp_path, preset, tune, method):
    split, chosen = splits["verdict"], PRESETS[preset]
    shared = {
        "objectives": chosen.objectives,
        "averaging": chosen.averaging,
        "augmentation": None if tune == "head" else SwitchOut(tokenizer=str(tiny_bert)),
        "settings": settings(tune=tune),
    }
    train(split, **shared, out=tmp_path / "alone")
    train_tasks({"verdict": split}, **shared, method=METHODS[method], out=tmp_path / "run")
    task = RunDirectory(tmp_path / "run" / "tasks" / "verdict")
    assert content(task.path) == content(tmp_path / "alone")
    config, alone = task.config(), RunDirectory(tmp_path / "alone").config()
    assert {**config, "name": ""} == {**alone, "name": ""}


@pytest.fixture(scope="module")
def run(splits, settings, tiny_bert, tmp_path_factory) -> Path:
    """Two tasks, each with objectives of its own."""
    out = tmp_path_factory.mktemp("tasks") / "run"
    objectives = {"verdict": (Supervised(), UDA(confidence_threshold=0)), "thing": (Supervised(), MeanTeacher())}
    augmentation = {"verdict": SwitchOut(tokenizer=str(tiny_bert)), "thing": None}
    train_tasks(splits, objectives=objectives, augmentation=augmentation, settings=settings(), out=out)
    return out


def test_each_task_leaves_an_ordinary_run(run, splits):
    for name, split in splits.items():
        folder = run / "tasks" / name
        result = json.loads((folder / "result.json").read_text())
        rows = evaluate(folder, split.test)
        assert rows["test_error"] == pytest.approx(result["test_error"])
        other = next(task for task in splits if task != name)
        assert f"Its encoder learned the task {other} too" in (folder / "model" / "README.md").read_text()
        text = split.test.texts[0]
        ours, theirs = next(predict(folder, [text])), pipeline("text-classification", str(folder / "model"))(text)[0]
        assert ours["label"] == theirs["label"] in split.classes
        assert ours["probability"] == pytest.approx(theirs["score"], abs=1e-5)
    assert [loaded.name for loaded in read_runs([run / "tasks" / name for name in splits])]


def test_the_models_of_the_tasks_share_their_encoder_and_nothing_else(run):
    verdict, thing = (load_file(run / "tasks" / name / "model" / "model.safetensors") for name in ("verdict", "thing"))
    for name, value in verdict.items():
        is_shared = name.startswith("bert.") and ".pooler." not in name
        assert (value.shape == thing[name].shape and bool((value == thing[name]).all())) == is_shared, name


def test_the_run_says_what_was_shared(run, splits):
    config, result = RunDirectory(run).config(), RunDirectory(run).result()
    assert result is not None and list(config["tasks"]) == list(splits)
    assert config["task_method"] == {"method": "Joint", "weights": "fixed", "task_weights": None}
    assert {name: task["data"]["digest"] for name, task in config["tasks"].items()} == {
        name: split.digest for name, split in splits.items()
    }
    for name, figures in result["tasks"].items():
        own = RunDirectory(run).task(name).result()
        assert own is not None and figures["test_error"] == own["test_error"]
        assert own["best_step"] == result["best_step"]
    errors = [figures["dev_error"] for figures in result["tasks"].values()]
    assert result["mean"]["dev_error"] == pytest.approx(sum(errors) / 2)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    looks = [record for record in records if record["kind"] == "dev"]
    best = min(looks, key=lambda record: record["error"])
    assert best["step"] == result["best_step"]
    assert best["error"] == pytest.approx((best["verdict/error"] + best["thing/error"]) / 2)
    logged = next(record for record in records if record["kind"] == "train")
    assert {"verdict/uda", "verdict/supervised", "thing/supervised", "thing/mean_teacher"} <= logged.keys()


def test_a_finished_run_is_read_and_another_one_is_refused(run, splits, settings, tiny_bert):
    objectives = {"verdict": (Supervised(), UDA(confidence_threshold=0)), "thing": (Supervised(), MeanTeacher())}
    more = {"objectives": objectives, "augmentation": {"verdict": SwitchOut(tokenizer=str(tiny_bert)), "thing": None}}
    again = train_tasks(splits, **more, settings=settings(), out=run)
    assert again == json.loads((run / "result.json").read_text())
    with pytest.raises(OtherRunError, match="pcgrad of 2 tasks now"):
        train_tasks(splits, **more, method=Joint(weights="pcgrad"), settings=settings(), out=run)
    other = {**splits, "thing": replace(splits["thing"], digest="2" * 32)}
    with pytest.raises(OtherRunError, match=r":\ntasks.thing.data: other texts or labels than when the run began$"):
        train_tasks(other, **more, settings=settings(), out=run)
    with pytest.raises(OtherRunError, match="task_order"):
        train_tasks(dict(reversed(splits.items())), **more, settings=settings(), out=run)
    with pytest.raises(SettingsError, match="several tasks, each with a model: name one of"):
        evaluate(run, splits["verdict"].test)


@pytest.mark.parametrize("name", ["uncertainty", "alternate"])
def test_a_run_that_was_stopped_twice_comes_to_the_same_bytes(name, splits, settings, tmp_path, monkeypatch):
    """Once between checkpoints, and once in the final writes."""
    shared = {"objectives": (Supervised(), MeanTeacher()), "method": METHODS[name], "settings": settings(tune="last:1")}
    train_tasks(splits, **shared, out=tmp_path / "whole")
    update = FineTuning.update

    def stopped(run, step, batch):
        if step == 5:
            raise RuntimeError("killed")
        return update(run, step, batch)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(FineTuning, "update", stopped)
        train_tasks(splits, **shared, out=tmp_path / "killed")
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == ["step-00000004"]
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="no space"):
        patch.setattr("text_uda.tasks.task_results._means", lambda _figures: exec("raise RuntimeError('no space')"))
        train_tasks(splits, **shared, out=tmp_path / "killed")
    assert RunDirectory(tmp_path / "killed").result() is None
    train_tasks(splits, **shared, out=tmp_path / "killed")
    for part in ("", "tasks/verdict", "tasks/thing"):
        assert content(tmp_path / "killed" / part) == content(tmp_path / "whole" / part), part
    assert not (tmp_path / "killed" / "checkpoints").exists()


@pytest.mark.parametrize("name", METHODS)
def test_the_optimizer_has_each_trained_weight_once(name, splits, settings, tmp_path, monkeypatch):
    """The weights of the losses can have the factor and the decay of the heads."""
    update = FineTuning.update

    def watched(run, step, batch):
        optimized = [id(p) for group in run.optimizer.param_groups for p in group["params"]]
        trained = {id(p) for p in run.module.parameters() if p.requires_grad}
        assert len(optimized) == len(trained) and set(optimized) == trained
        return update(run, step, batch)

    monkeypatch.setattr(FineTuning, "update", watched)
    few = settings(tune="head", steps=1, learning_rate=1e-2)
    train_tasks(splits, objectives=PLAIN, method=METHODS[name], settings=few, out=tmp_path / "run")


# --- what is refused, and what is told --------------------------------------------------------------------------------


def refused(splits, match: str, tmp_path: Path, settings, **given) -> None:
    with pytest.raises(SettingsError, match=match):
        train_tasks(splits, **({"objectives": PLAIN, "settings": settings(tune="head")} | given), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tasks_that_cannot_be_trained_are_refused_by_name(splits, settings, tmp_path):
    verdict, none = splits["verdict"], Rows((), ())
    one_label = replace(verdict, labeled=Rows(("fine", "good"), (1, 1)))
    for match, bad in {
        "task 'b' has no labeled row": replace(verdict, labeled=none),
        "task 'b' has one class": replace(verdict, classes=("good",), labeled=Rows(("fine",), (0,))),
        "all labeled rows of task 'b' are of class 'good'": one_label,
        "task 'b' has no test row": replace(verdict, test=none),
        "task 'b' has no development rows, and other tasks have some": replace(verdict, dev=none),
    }.items():
        refused({"a": verdict, "b": bad}, match, tmp_path, settings)


def test_names_that_are_no_folder_are_refused(splits, settings, tmp_path):
    verdict = splits["verdict"]
    refused({}, "there is no task", tmp_path, settings)
    for name in ("../up", "", "a/b", ".hidden", "end.", "_a", "a\n"):
        refused({name: verdict}, "a task names a folder", tmp_path, settings)
    check_names(["étoiles", "评分", "label 2", "रेटिंग"])
    refused({"\u00e9": verdict, "e\u0301": verdict}, "have one name", tmp_path, settings)
    refused({"a": verdict, "A": verdict}, "have one name", tmp_path, settings)


def test_arguments_that_do_not_fit_the_tasks_are_refused(splits, settings, tmp_path):
    refused(splits, "takes no step, so it cannot share", tmp_path, settings, objectives=(LogisticRegression(),))
    of_one = {"verdict": PLAIN}
    refused(splits, "objectives has the keys 'verdict'; the tasks are", tmp_path, settings, objectives=of_one)
    method = Joint(task_weights={"verdict": 1.0})
    refused(splits, "task_weights has no weight for thing", tmp_path, settings, method=method)
    method = Joint(task_weights={"verdict": 1.0, "thing": 1.0, "other": 2.0})
    refused(splits, "task_weights names other", tmp_path, settings, method=method)
    one = {"verdict": splits["verdict"]}
    for method in (Joint(weights="uncertainty"), Joint(task_weights={"verdict": 2.0})):
        refused(one, "between tasks, and there is one: leave out", tmp_path, settings, method=method)
    uda = (Supervised(), UDA())
    refused(splits, "task 'verdict': a consistency objective needs pairs", tmp_path, settings, objectives=uda)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"weights": "equal"}, "choose fixed, uncertainty, pcgrad"),
        ({"weights": "pcgrad", "task_weights": {"a": 1.0}}, "leave one of them out"),
        ({"task_weights": {"a": 0.0}}, "a has 0.0; give a number above 0"),
    ],
)
def test_weights_out_of_range(given, match):
    with pytest.raises(SettingsError, match=match):
        Joint(**given)


def test_rows_that_tasks_share_are_told(splits, settings, tmp_path, caplog):
    verdict = splits["verdict"]
    other = replace(verdict, classes=("bad", "fine"), labeled=verdict.test)
    with caplog.at_level(logging.WARNING):
        few = settings(tune="head", steps=1)
        train_tasks({"a": verdict, "b": other}, objectives=PLAIN, settings=few, out=tmp_path / "run")
    assert one_line({("a", "b"): "first"}) == ["first"] and one_line({}) == []
    pairs = {("a", "b"): "first", ("a", "c"): "second", ("b", "c"): "third"}
    assert one_line(pairs) == ["first; the same holds for 'a' and 'c', 'b' and 'c'"]
    assert "tasks 'a' and 'b' share 30 test texts (the first is 'the film is bad')" in caplog.text
    assert "30 test texts of task 'a' are training texts of task 'b'" in caplog.text
    assert (
        "tasks 'a' and 'b' share the class name 'bad': each task has its own head, so these are different classes"
        in caplog.text
    )
