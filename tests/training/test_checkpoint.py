"""Checkpoints: what is put back is what was there, and damage is told, never read."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import UDA, Supervised
from text_uda.objectives.weight_averaging import EMA, Averaged, FastSWA
from text_uda.runs.run_files import DAMAGED_METRICS
from text_uda.training import checkpoint
from text_uda.training.elapsed import Elapsed
from text_uda.training.step import Step


@pytest.fixture
def make(tiny_bert: Path):
    """A step, its optimiser and a function that makes the n-th update."""

    def new(tune: str = "last:1"):
        classifier = load_classifier(str(tiny_bert), ("bad", "good"), seed=0)
        choose_trained_weights(classifier.model, tune)
        step = Step(classifier.model, (Supervised(), UDA(alignment="uniform")), steps=10)
        optimizer = torch.optim.AdamW([p for p in step.parameters() if p.requires_grad], lr=1e-2)
        rows = TokenRows(["a good film", "a bad plot"], classifier.tokenizer, max_tokens=16).batch([0, 1])
        batch = Batch(rows, torch.tensor([1, 0]), rows, rows)

        def update(number: int) -> None:
            with seeded_torch(number):
                step(batch, number).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return step, optimizer, update

    return new


def state(step: Step) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in step.state_dict().items()}


@pytest.mark.parametrize("tune", ["head", "last:1", "all"])
def test_going_on_is_the_same_as_not_having_stopped(make, tune, tmp_path):
    step, optimizer, update = make(tune)
    for number in range(3):
        update(number)
    best = checkpoint.Best(12.5, 2, checkpoint.trained_weights(step))
    checkpoint.save(tmp_path, step, optimizer, done=3, best=best)
    other, other_optimizer, other_update = make(tune)
    done, other_best, _ = checkpoint.load(tmp_path, other, other_optimizer)
    assert done == 3 and other_best is not None and (other_best.criterion, other_best.step) == (12.5, 2)
    assert all(torch.equal(value, other_best.weights[name]) for name, value in best.weights.items())
    for number in range(3, 6):
        update(number)
        other_update(number)
    expected, found = state(step), state(other)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("averaging", [EMA(decay=0.5), FastSWA(decay_until=0.5, cosine_length=0.5, cycle=0.3, every=1)])
def test_the_average_comes_back_and_goes_on(make, averaging, tmp_path):
    def averages(averaged: Averaged) -> list[torch.Tensor]:
        return [value.clone() for value in averaged.trained]

    step, optimizer, update = make("all")
    averaged = Averaged(step.model, averaging, steps=10)
    for number in range(4):
        update(number)
        averaged.update(step.model, number)
    checkpoint.save(tmp_path, step, optimizer, averaged, done=4, best=None)
    other, other_optimizer, other_update = make("all")
    other_averaged = Averaged(other.model, averaging, steps=10)
    checkpoint.load(tmp_path, other, other_optimizer, other_averaged)
    current = checkpoint.trained_weights(step)
    assert all(torch.equal(value, current[name]) for name, value in checkpoint.trained_weights(other).items())
    assert any(
        not torch.equal(value, current[name]) for name, value in checkpoint.trained_weights(step, averaged).items()
    )
    for number in range(4, 7):
        assert all(map(torch.equal, averages(averaged), averages(other_averaged)))
        for each, part, advance in ((averaged, step, update), (other_averaged, other, other_update)):
            advance(number)
            each.update(part.model, number)


def test_the_newest_stays_and_nothing_else(make, tmp_path):
    step, optimizer, update = make()
    for done in (1, 2):
        update(done)
        checkpoint.save(tmp_path, step, optimizer, done=done, best=None)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_a_save_that_fails_leaves_the_one_before(make, tmp_path, monkeypatch):
    step, optimizer, update = make()
    checkpoint.save(tmp_path, step, optimizer, done=1, best=None)
    update(1)

    def full(*_args):
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        checkpoint.save(tmp_path, step, optimizer, done=2, best=None)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_damage_is_told(make, tmp_path, name):
    step, optimizer, update = make()
    update(0)
    folder = checkpoint.save(tmp_path, step, optimizer, done=1, best=None)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content[:-1] if name == "state.json" else content)
    with pytest.raises(SettingsError, match=r"step-00000001 is damaged.*--no-resume"):
        checkpoint.load(tmp_path, step, optimizer)


@pytest.fixture
def two_checkpoints(make, tmp_path, monkeypatch):
    """(folder, metrics.jsonl): after one line of metrics and after two; a kill kept the first from being removed."""
    step, optimizer, update = make()
    metrics = tmp_path / "metrics.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", lambda path: None)
        for done in (1, 2):
            update(done)
            with metrics.open("a") as file:
                file.write(json.dumps({"step": done}) + "\n")
            checkpoint.save(tmp_path / "checkpoints", step, optimizer, done=done, best=None, metrics=metrics)
    return tmp_path / "checkpoints", metrics


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_checkpoints_stay(two_checkpoints, caplog):
    folder, metrics = two_checkpoints
    with metrics.open("a") as file:
        file.write('{"step": 3}\n{"st')  # later than the checkpoint, cut short
    checkpoint.set_damaged_aside(folder, metrics)
    assert names(folder) == ["step-00000001", "step-00000002"] and not caplog.text


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", [lambda content: b"\0" * len(content), lambda content: content[:-9], None])
def test_a_torn_checkpoint_is_set_aside_and_the_one_before_read(make, two_checkpoints, name, damage, caplog):
    folder, metrics = two_checkpoints
    file = folder / "step-00000002" / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    checkpoint.set_damaged_aside(folder, metrics)
    assert names(folder) == ["damaged-step-00000002", "step-00000001"]
    assert "step-00000002 is damaged" in caplog.text and "from the checkpoint step-00000001" in caplog.text
    assert checkpoint.load(folder, *make()[:2])[0] == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE])
def test_a_checkpoint_that_cannot_be_read_now_stays(two_checkpoints, monkeypatch, number):
    folder, metrics = two_checkpoints

    def refuse(path: Path) -> str:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(checkpoint, "file_digest", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        checkpoint.set_damaged_aside(folder, metrics)
    assert names(folder) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("damage", [lambda content: content[:5], lambda content: b"\0" * len(content), None])
def test_other_metrics_than_the_checkpoint_knows_do_not_cost_the_checkpoint(make, two_checkpoints, damage, caplog):
    folder, metrics = two_checkpoints
    kept = metrics.with_name(DAMAGED_METRICS)
    if damage is None:
        metrics.unlink()
    else:
        metrics.write_bytes(damaged := damage(metrics.read_bytes()))
    checkpoint.set_damaged_aside(folder, metrics)
    assert names(folder) == ["step-00000001", "step-00000002"]
    assert "metrics.jsonl" in caplog.text and "the first 2 steps" in caplog.text
    assert not metrics.exists() and kept.exists() == (damage is not None) == (DAMAGED_METRICS in caplog.text)
    assert damage is None or kept.read_bytes() == damaged
    assert checkpoint.load(folder, *make()[:2])[0] == 2


def test_a_checkpoint_of_an_earlier_version_knows_no_metrics(make, tmp_path, caplog):
    step, optimizer, _ = make()
    folder = checkpoint.save(tmp_path, step, optimizer, done=1, best=None)
    state = json.loads((folder / "state.json").read_text())
    del state["metrics"], state["digest"]
    (folder / "state.json").write_text(json.dumps(state | {"digest": checkpoint._state_digest(state)}))
    checkpoint.set_damaged_aside(tmp_path, tmp_path / "metrics.jsonl")
    assert names(tmp_path) == ["step-00000001"] and not caplog.text


def test_no_checkpoint_is_the_beginning(make, tmp_path):
    step, optimizer, _ = make()
    assert checkpoint.load(tmp_path / "none", step, optimizer) == (0, None, Elapsed())


def test_the_time_comes_back_and_none_of_an_earlier_version(make, tmp_path):
    step, optimizer, _ = make()
    folder = checkpoint.save(tmp_path, step, optimizer, done=1, best=None, elapsed=Elapsed(60.5, 90.25))
    assert checkpoint.load(tmp_path, step, optimizer)[2] == Elapsed(60.5, 90.25)
    state = json.loads((folder / "state.json").read_text())
    del state["spent"], state["digest"]
    (folder / "state.json").write_text(json.dumps(state | {"digest": checkpoint._state_digest(state)}))
    assert checkpoint.load(tmp_path, step, optimizer)[2] == Elapsed()


@pytest.mark.parametrize(
    "change",
    [{"step": 900}, {"files": {}}, {"best": {"error": 0.0, "step": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_a_state_that_was_edited_is_told(make, tmp_path, change):
    step, optimizer, update = make()
    update(0)
    file = checkpoint.save(tmp_path, step, optimizer, done=1, best=None) / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(SettingsError, match=r"step-00000001 is damaged.*digest"):
        checkpoint.load(tmp_path, step, optimizer)


def test_weights_of_another_model_are_told(make, tmp_path):
    step, optimizer, update = make("last:1")
    update(0)
    checkpoint.save(tmp_path, step, optimizer, done=1, best=None)
    with pytest.raises(SettingsError, match="does not hold the weights that are trained"):
        checkpoint.load(tmp_path, *make("all")[:2])
