"""A baseline on the rows of all tasks: one fit, and a run directory for each task."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from text_uda.data import Rows
from text_uda.errors import SettingsError
from text_uda.objectives import LogisticRegression, SelfTraining, Supervised
from text_uda.objectives.weight_averaging import EMA
from text_uda.runs.prediction import predict
from text_uda.tasks.joint import Joint
from text_uda.tasks.pooled import Pooled
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.train_classifier import train

REGRESSION = (LogisticRegression(),)


@pytest.fixture
def two(splits):
    """Two tasks of two classes; the labels of the second are the other way round, so that one head has to choose."""
    verdict = splits["verdict"]

    def turned(rows: Rows, frame: str) -> Rows:
        return Rows(tuple(frame.format(text) for text in rows.texts), tuple(1 - label for label in rows.labels))

    other = replace(
        verdict,
        name="turned",
        labeled=turned(Rows(verdict.labeled.texts[:20], verdict.labeled.labels[:20]), "no, {}"),
        dev=turned(verdict.dev, "no: {}"),
        test=turned(Rows(verdict.test.texts[:7], verdict.test.labels[:7]), "not at all {}"),
    )
    return {"verdict": verdict, "turned": other}


@pytest.mark.parametrize("objectives", [REGRESSION, (SelfTraining(),)], ids=["regression", "self-training"])
def test_it_is_one_fit_on_the_rows_of_all_tasks(two, settings, tmp_path, objectives):
    result = train_tasks(
        two, objectives=objectives, method=Pooled(), settings=settings(tune="head"), out=tmp_path / "run"
    )
    rows = [split.labeled for split in two.values()]
    joined = replace(
        two["verdict"],
        labeled=Rows(
            tuple(text for of_task in rows for text in of_task.texts),
            tuple(label for of_task in rows for label in of_task.labels),
        ),
        unlabeled=tuple(dict.fromkeys(text for split in two.values() for text in split.unlabeled)),
    )
    alone = train(joined, objectives=objectives, settings=settings(tune="head"), out=tmp_path / "joined")
    weights = load_file(tmp_path / "joined" / "model" / "model.safetensors")
    for name in two:
        of_task = load_file(tmp_path / "run" / "tasks" / name / "model" / "model.safetensors")
        assert weights.keys() == of_task.keys() and all(torch.equal(weights[key], of_task[key]) for key in weights)
    assert result["tasks"]["verdict"]["test_error"] == alone["test_error"], "its own test rows, and one model"
    answers = predict(tmp_path / "joined", two["turned"].test.texts)
    wrong = [
        a["label"] != two["turned"].classes[label] for a, label in zip(answers, two["turned"].test.labels, strict=True)
    ]
    assert result["tasks"]["turned"]["test_error"] == pytest.approx(100 * np.mean(wrong))
    errors = [of_task["test_error"] for of_task in result["tasks"].values()]
    assert result["mean"]["test_error"] == pytest.approx(np.mean(errors)) and len({*errors}) == 2


def test_each_task_has_its_run_directory_and_the_run_what_was_shared(two, settings, tmp_path):
    out = tmp_path / "run"
    arguments = {"objectives": REGRESSION, "method": Pooled(), "out": out}
    result = train_tasks(two, **arguments, settings=settings(tune="head"))
    configs = [json.loads((out / "tasks" / name / "config.json").read_text()) for name in two]
    assert [config["method"] for config in configs] == ["logistic-regression, pooled head of 2 tasks"] * 2
    assert [config["labels"] for config in configs] == [30, 20], "of this task"
    fits = [json.loads((out / "tasks" / name / "result.json").read_text())["fit"] for name in two]
    assert [(fit["labeled"], fit["unlabeled"]) for fit in fits] == [(50, 0)] * 2, "of all tasks"
    lines = {name: (out / "tasks" / name / "metrics.jsonl").read_text().splitlines() for name in two}
    for name, (line,) in lines.items():
        assert json.loads(line)["error"] == result["tasks"][name]["dev_error"]
    (out / "result.json").unlink()  # as a kill before the last write leaves it
    assert train_tasks(two, **arguments, settings=settings(tune="head"))["tasks"] == result["tasks"]
    same = train_tasks(two, **arguments, settings=settings(tune="head", steps=9, labeled_batch=8))
    assert same == json.loads((out / "result.json").read_text()), "a fit takes no step"


def test_one_task_is_the_fit_of_train(splits, settings, tmp_path):
    split = splits["thing"]
    train(split, objectives=REGRESSION, settings=settings(tune="head"), out=tmp_path / "alone")
    one = {"thing": split}
    train_tasks(one, objectives=REGRESSION, method=Pooled(), settings=settings(tune="head"), out=tmp_path / "run")
    folders = (tmp_path / "alone", tmp_path / "run" / "tasks" / "thing")
    for name in ("model/model.safetensors", "metrics.jsonl"):
        alone, of_task = ((folder / name).read_bytes() for folder in folders)
        assert alone == of_task
    fits = [json.loads((folder / "result.json").read_text())["fit"] for folder in folders]
    assert fits[0] == fits[1]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (
            {"method": Joint()},
            r"task 'verdict': LogisticRegression .* fit it on the rows of all tasks \(the method pooled",
        ),
        (
            {"objectives": {"verdict": REGRESSION, "turned": (Supervised(),)}},
            "tasks 'verdict' and 'turned' share one head, which LogisticRegression fits in one go",
        ),
        (
            {"objectives": {"verdict": (LogisticRegression(),), "turned": (LogisticRegression(C=3.0),)}},
            "tasks 'verdict' and 'turned' share one head",
        ),
        ({"averaging": EMA()}, "task 'verdict': LogisticRegression takes no step, so no weights can be averaged"),
    ],
    ids=["joint", "other objective", "other baseline", "averaging"],
)
def test_what_is_not_one_fit_is_refused(two, settings, tmp_path, given, match):
    arguments = {"objectives": REGRESSION, "method": Pooled(), "settings": settings(tune="head")} | given
    with pytest.raises(SettingsError, match=match):
        train_tasks(two, **arguments, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_may_have_its_labels_in_another_task(two, settings, tmp_path):
    three = {name: replace(split, classes=("bad", "good", "rare")) for name, split in two.items()}
    labeled = three["turned"].labeled
    with_rare = replace(labeled, labels=(*labeled.labels[:-2], 2, 2))
    three["turned"] = replace(three["turned"], labeled=with_rare, unlabeled=())
    given = {"objectives": (SelfTraining(),), "method": Pooled(), "settings": settings(tune="head")}
    result = train_tasks(three, **given, out=tmp_path / "run")
    assert {*result["tasks"]} == {*three}
    none = {name: replace(split, unlabeled=()) for name, split in two.items()}
    with pytest.raises(SettingsError, match="task 'verdict': there are no unlabeled texts"):
        train_tasks(none, **given, out=tmp_path / "none")


def test_a_text_with_a_label_is_no_unlabeled_row_of_another_task(two, settings, tmp_path, monkeypatch):
    seen = {}

    def fit(_self, features, labels, unlabeled, *, classes, seed):
        seen.update(features=features, labels=labels, unlabeled=unlabeled)
        return original(_self, features, labels, unlabeled, classes=classes, seed=seed)

    original = SelfTraining.fit
    monkeypatch.setattr(SelfTraining, "fit", fit)
    verdict = two["verdict"]
    texts = verdict.labeled.texts
    same = {
        "verdict": replace(verdict, unlabeled=(*verdict.unlabeled, texts[0])),
        "again": replace(verdict, name="again", unlabeled=(*texts[:3], *verdict.unlabeled, "a new text")),
    }
    given = {"objectives": (SelfTraining(),), "method": Pooled(), "settings": settings(tune="head")}
    train_tasks(same, **given, out=tmp_path / "run")
    assert len(seen["labels"]) == 2 * len(texts)
    assert len(seen["unlabeled"]) == len(verdict.unlabeled) + 1, "the texts of both once, and the new one"


def test_the_card_says_what_the_fit_read(two, settings, tmp_path):
    train_tasks(two, objectives=REGRESSION, method=Pooled(), settings=settings(tune="head"), out=tmp_path / "run")
    card = (tmp_path / "run" / "tasks" / "turned" / "model" / "README.md").read_text()
    assert "Trained from 20 labeled texts with LogisticRegression" in card
    assert "The fit reads the labeled texts of the task verdict too." in card and "encoder learned" not in card
    assert "It learned from 20 labels of this task." in card


def test_a_class_without_a_label_is_refused(two, settings, tmp_path):
    three = {name: replace(split, classes=("bad", "good", "never")) for name, split in two.items()}
    with pytest.raises(SettingsError, match="task 'verdict': no text of class 'never' has a label"):
        train_tasks(three, objectives=REGRESSION, method=Pooled(), settings=settings(tune="head"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
