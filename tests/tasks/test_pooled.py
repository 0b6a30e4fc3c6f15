"""One head for all tasks."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from text_uda.errors import SettingsError
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import LogisticRegression, Supervised
from text_uda.runs.prediction import predict
from text_uda.runs.seen_texts import seen_in_training
from text_uda.tasks.joint import Joint
from text_uda.tasks.joint_step import JointStep
from text_uda.tasks.pooled import Pooled
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.step import Step

PLAIN = (Supervised(),)


@pytest.fixture
def two(splits):
    """Two tasks of two classes, on other texts."""
    verdict = splits["verdict"]
    things = splits["thing"]
    good = {text: int(word in text) for word in ("film",) for text in (*things.labeled.texts, *things.test.texts)}
    labels = [replace(rows, labels=tuple(good.get(t, 0) for t in rows.texts)) for rows in (things.labeled, things.test)]
    dev = replace(things.dev, labels=tuple(int("film" in text) for text in things.dev.texts))
    return {
        "verdict": verdict,
        "thing": replace(things, classes=verdict.classes, labeled=labels[0], test=labels[1], dev=dev),
    }


@pytest.mark.parametrize("tune", ["head", "last:1"])
def test_all_tasks_have_one_model(two, settings, tmp_path, tune):
    out = tmp_path / "run"
    result = train_tasks(two, objectives=PLAIN, method=Pooled(), settings=settings(tune=tune), out=out)
    one, other = (load_file(out / "tasks" / name / "model" / "model.safetensors") for name in two)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    configs = [json.loads((out / "tasks" / name / "config.json").read_text()) for name in two]
    assert [config["method"] for config in configs] == ["none, pooled head of 2 tasks"] * 2
    assert result["tasks"]["verdict"]["test_error"] != result["tasks"]["thing"]["test_error"]
    texts = two["verdict"].test.texts[:4]
    answers = [predict(out / "tasks" / name, texts) for name in two]
    assert [a["label"] for a in answers[0]] == [a["label"] for a in answers[1]]
    (out / "result.json").unlink()  # as a kill before the last write leaves it
    resumed = train_tasks(two, objectives=PLAIN, method=Pooled(), settings=settings(tune=tune), out=out)
    assert resumed["tasks"] == result["tasks"]


@pytest.mark.parametrize(
    ("method", "objectives", "tune", "expected"),
    [
        pytest.param(Pooled(), PLAIN, "head", "labeled", id="one-model"),
        pytest.param(Pooled(), (LogisticRegression(),), "head", "labeled", id="one-fit"),
        pytest.param(Joint(), PLAIN, "last:1", "unlabeled", id="one-encoder"),
        pytest.param(Joint(), PLAIN, "head", None, id="nothing-trained-together"),
    ],
)
def test_what_tasks_train_together_has_seen_the_texts_of_all(
    two, settings, tmp_path, method, objectives, tune, expected
):
    out = tmp_path / "run"
    train_tasks(two, objectives=objectives, method=method, settings=settings(tune=tune), out=out)
    used_as = {}
    for texts_of, split in two.items():
        seen = seen_in_training(out / "tasks" / "verdict", split.labeled.texts)
        assert seen is not None
        assert all(rows.all() or not rows.any() for rows in seen.values())
        used_as[texts_of] = {use for use, rows in seen.items() if rows.any()}
    assert used_as == {"verdict": {"labeled"}, "thing": {expected} if expected else set()}


@pytest.mark.parametrize(
    ("method", "tune", "words"),
    [
        (Pooled(), "last:1", "The labeled texts of the task thing trained the same model."),
        (Joint(), "last:1", "Its encoder learned the task thing too."),
        (Joint(), "head", "It was trained together with the task thing, with which it shares no trained weight."),
    ],
)
def test_the_card_says_what_other_tasks_trained(two, settings, tmp_path, method, tune, words):
    train_tasks(two, objectives=PLAIN, method=method, settings=settings(tune=tune), out=tmp_path / "run")
    card = (tmp_path / "run" / "tasks" / "verdict" / "model" / "README.md").read_text()
    assert f" {words}\n" in card and "of the dev rows, in the mean over the tasks, whose figures" in card


def test_its_gradient_is_the_sum_of_the_gradients_of_the_tasks(one_step, tiny_bert):
    models = SharedEncoder(
        [load_classifier(str(tiny_bert), ("a", "b", "c"), seed=seed, dropout=0.0).model for seed in (7, 8)],
        share_head=True,
    ).double()
    steps = {
        name: Step(model, PLAIN, steps=10) for name, model in zip(one_step.batches.batches, models.models, strict=True)
    }
    shared = sum(p.numel() for p in models.parameters())
    assert shared == sum(p.numel() for p in models.models[0].parameters()), "one head"
    copied = copy.deepcopy(models)
    assert {id(p) for p in copied.models[0].parameters()} == {id(p) for p in copied.models[1].parameters()}
    JointStep(models, steps, Pooled(), separable=True)(one_step.batches, 0).loss.backward()
    together = {name: p.grad.clone() for name, p in models.named_parameters() if p.grad is not None}
    models.zero_grad()
    for name, step in steps.items():
        step(one_step.batches.batches[name], 0).loss.backward()
    apart = {name: p.grad for name, p in models.named_parameters() if p.grad is not None}
    assert together.keys() == apart.keys() and any("classifier" in name for name in together)
    assert all(torch.allclose(together[name], apart[name], rtol=0, atol=1e-10) for name in together)


def test_other_classes_are_refused(splits, settings, tmp_path):
    with pytest.raises(
        SettingsError, match=r"task 'verdict' has 'bad', 'good', and 'thing' has 'film', 'plot', 'actor'"
    ):
        train_tasks(splits, objectives=PLAIN, method=Pooled(), settings=settings(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
