"""Training: each method for three steps in bf16, what a step waits for, and a run that stops and goes on."""

import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from text_uda.augment.switchout import SwitchOut
from text_uda.data import Rows, Split
from text_uda.model.inputs import Batch
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import autocast
from text_uda.model.pretrained import load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import PRESETS
from text_uda.objectives.weight_averaging import EMA, Averaged
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train

CLASSES = ("bad", "good")
LABELED = ("a good film", "a bad film and a bad plot", "not fine", "the best story")
ORIGINAL = ("the actor was great", "the worst scene", "love this phone", "really dull", "fine", "a plot")
AUGMENTED = ("an actor was very great", "the bad scene", "love that product", "really poor", "great", "the story")


@pytest.fixture
def model(tiny_bert, device):
    classifier = load_classifier(str(tiny_bert), CLASSES, seed=0)
    rows = [TokenRows(texts, classifier.tokenizer, max_tokens=32) for texts in (LABELED, ORIGINAL, AUGMENTED)]
    labeled, original, augmented = (part.batch(range(len(part))) for part in rows)
    indices = torch.arange(len(LABELED)), torch.arange(len(ORIGINAL))
    batch = Batch(labeled, torch.tensor([1, 0, 0, 1]), original, augmented, *indices)
    if device.type == "cuda":
        batch = batch.pin_memory()
    return classifier.model.to(device).train(), batch


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.losses])
def test_three_steps_of_each_method_in_bf16(name, model, device):
    student, batch = model
    preset = PRESETS[name]
    step = Step(student, preset.losses, steps=4, unlabeled=len(ORIGINAL)).to(device)
    averaged = Averaged(student, preset.averaging or EMA(), steps=4)
    optimizer = torch.optim.AdamW(step.parameters(), lr=1e-3, fused=True)
    before = {name: weight.detach().clone() for name, weight in student.named_parameters()}
    for number in range(3):
        with seeded_torch(number), autocast(device, "bf16"):
            result = step(batch.to(device), number, number, averaged.model)
        assert torch.isfinite(result.loss)
        result.loss.backward()
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in student.parameters())
        optimizer.step()
        optimizer.zero_grad()
        averaged.update(student, number)
    assert any(not torch.equal(weight, before[name]) for name, weight in student.named_parameters())


@pytest.mark.parametrize(("name", "most"), [("supervised", 0), ("uda", 1)])
def test_a_step_waits_for_the_gpu_as_often_as_it_must(name, most, model, cuda):
    """UDA asks once how many rows it leaves out. The update of a run asks once more: are loss and gradient finite?"""
    student, batch = model
    step = Step(student, PRESETS[name].losses, steps=4, unlabeled=len(ORIGINAL)).to(cuda)
    optimizer = torch.optim.AdamW(step.parameters(), lr=1e-3, fused=True)
    for number in range(3):  # the first steps set up the optimizer and try the kernel
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            try:
                torch.cuda.set_sync_debug_mode("warn")
                with seeded_torch(number), autocast(cuda, "bf16"):
                    loss = step(batch.to(cuda), number, number).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            finally:
                torch.cuda.set_sync_debug_mode("default")
    places = [f"{wait.filename}:{wait.lineno}" for wait in waits if "called a synchronizing" in str(wait.message)]
    assert len(places) <= most, places


def test_a_run_that_stops_goes_on_to_nearly_the_same_weights(tiny_bert, device, tmp_path, monkeypatch):
    """Atomic additions have no fixed order, so on a GPU the bytes can differ."""
    if device.type == "cpu":
        monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    labeled = Rows(LABELED * 4, (1, 0, 0, 1) * 4)
    split = Split("texts", CLASSES, labeled, ORIGINAL + AUGMENTED, Rows(LABELED, (1, 0, 0, 1)), labeled, "0" * 32)
    settings = TrainSettings(
        encoder=str(tiny_bert), steps=8, labeled_batch=4, max_tokens=32, precision="bf16", evaluate_every=4, log_every=1
    )
    augmentation = SwitchOut(tokenizer=str(tiny_bert), rate=0.2)

    def run(folder: str, **options) -> None:
        train(split, augmentation=augmentation, settings=settings, out=tmp_path / folder, **options)

    run("whole")
    with pytest.raises(Interrupted):
        run("stopped", max_minutes=1e-9)  # after one step
    run("stopped")
    weights = [load_file(tmp_path / folder / "model" / "model.safetensors") for folder in ("whole", "stopped")]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][name].numpy(), weight.numpy(), atol=2e-3, rtol=0.05, err_msg=name)
