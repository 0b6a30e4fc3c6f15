"""The UDA loss: values, gradient flow, mask, temperature, ramp-up and alignment."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.classifier import ClassifierOutput
from text_uda.model.inputs import Batch, Features
from text_uda.objectives import UDA, Context
from text_uda.objectives.uda import consistency_loss

ROWS = Batch(Features(torch.zeros(1, 3)), torch.zeros(1, dtype=torch.long))


def call(objective: UDA, original: torch.Tensor, augmented: torch.Tensor, *, step=0, steps=10, state=None):
    classes = original.shape[-1]
    context = Context(
        student=None,  # pyright: ignore[reportArgumentType]
        views={"second": ClassifierOutput(augmented, augmented)},
        targets=original,
        step=step,
        steps=steps,
        classes=classes,
        key=0,
        state=objective.initial_state(torch.full((classes,), 1 / classes), 1) if state is None else state,
    )
    return objective(context, ROWS)


def random_views(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: torch.randn(12, 4, generator=generator, dtype=torch.float64) * 2  # noqa: E731
    return draw(), draw()


def numpy_uda(original: np.ndarray, augmented: np.ndarray, temperature: float, threshold: float) -> float:
    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    target, other = softmax(original / temperature), softmax(augmented)
    divergence = (target * (np.log(target) - np.log(other))).sum(axis=-1)
    mask = softmax(original).max(axis=-1) > threshold
    return float((divergence * mask).sum() / len(original))


@pytest.mark.parametrize(("temperature", "threshold"), [(1.0, 0.0), (0.4, 0.0), (0.85, 0.6), (0.5, 0.8)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(seed, temperature, threshold):
    original, augmented = random_views(seed)
    loss = call(UDA(temperature=temperature, confidence_threshold=threshold), original, augmented)
    expected = numpy_uda(original.numpy(), augmented.numpy(), temperature, threshold)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)


def test_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 log(3/2) + 1/4 log(1/2)
    loss = call(UDA(weight=2.0), torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2))
    assert loss.total.item() == pytest.approx(2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)), abs=1e-6)


def test_the_gradient_reaches_the_augmented_view_only():
    original, augmented = (view.requires_grad_() for view in random_views(0))
    call(UDA(temperature=0.5), original, augmented).total.backward()
    assert original.grad is None
    assert augmented.grad is not None and augmented.grad.abs().sum() > 0


def test_the_loss_itself_takes_no_gradient_into_the_targets():
    logits, augmented = (view.requires_grad_() for view in random_views(0))
    loss, _ = consistency_loss(logits.softmax(-1), augmented, temperature=0.5, confidence_threshold=0.0)
    loss.backward()
    assert logits.grad is None
    assert augmented.grad is not None and augmented.grad.abs().sum() > 0


def test_the_gradient_equals_finite_differences():
    original, augmented = random_views(1)
    augmented.requires_grad_()
    objective = UDA(temperature=0.5, confidence_threshold=0.5)
    assert torch.autograd.gradcheck(lambda z: call(objective, original, z).total, (augmented,))


def test_identical_views_give_zero():
    original, _ = random_views(2)
    assert call(UDA(), original, original.clone()).total.item() == pytest.approx(0.0, abs=1e-9)


def test_a_weight_of_zero_gives_no_loss():
    assert call(UDA(weight=0.0), *random_views(3)).total.item() == 0.0


def test_the_mask_looks_at_the_probabilities_before_sharpening_and_divides_by_all_rows():
    # p = (0.7, 0.3); sharpened at T = 0.25 it is (0.967, 0.033), which would pass a threshold of 0.9
    original = torch.tensor([[math.log(7 / 3), 0.0], [math.log(99.0), 0.0]])
    augmented = torch.zeros(2, 2)
    masked = call(UDA(temperature=0.25, confidence_threshold=0.9), original, augmented)
    assert masked.terms["confident"] == 0.5
    alone = call(UDA(temperature=0.25), original[1:], augmented[1:])
    assert masked.total.item() == pytest.approx(alone.total.item() / 2, abs=1e-6)


def test_the_temperature_sharpens_the_target_and_not_the_augmented_view():
    probabilities = torch.tensor([[0.8, 0.2]])
    loss, _ = consistency_loss(
        probabilities, torch.zeros(1, 2), temperature=0.5, confidence_threshold=0.0
    )  # the target is (16/17, 1/17), the augmented view stays (1/2, 1/2)
    expected = 16 / 17 * math.log(32 / 17) + 1 / 17 * math.log(2 / 17)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_the_ramp_up_ends_where_it_says():
    original, augmented = random_views(4)
    full = call(UDA(), original, augmented).total.item()
    objective = UDA(ramp_up=0.5)
    at = [call(objective, original, augmented, step=step).total.item() for step in (0, 3, 5)]
    assert at[0] == pytest.approx(full * math.exp(-5.0))
    assert at[0] < at[1] < at[2] == pytest.approx(full)


def test_alignment_keeps_a_running_mean_and_pulls_the_targets_away_from_it():
    objective = UDA(alignment="uniform", alignment_momentum=0.5)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    original = torch.tensor([[math.log(9.0), 0.0]]).repeat(4, 1)  # everything is class 0 with 0.9
    for _ in range(20):
        call(objective, original, torch.zeros(4, 2), state=state)
    torch.testing.assert_close(state["mean_prediction"], torch.tensor([0.9, 0.1]), atol=1e-4, rtol=0)
    # the target is now (0.9/0.9, 0.1/0.1) renormalised: uniform, as is the augmented view
    assert call(objective, original, torch.zeros(4, 2), state=state).total.item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("prior", [(0.25, 0.25, 0.25, 0.25), (0.6, 0.2, 0.1, 0.1)])
def test_alignment_agrees_with_numpy_over_several_steps(prior):
    objective = UDA(alignment=prior, alignment_momentum=0.6, temperature=0.5, confidence_threshold=0.5)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((4,), 1 / 4), 1).items()}
    mean = np.array(prior)
    for seed in range(4):
        original, augmented = random_views(seed)
        p = np.exp(original.numpy()) / np.exp(original.numpy()).sum(axis=1, keepdims=True)
        mean = 0.6 * mean + 0.4 * p.mean(axis=0)
        aligned = p * np.array(prior) / mean
        aligned /= aligned.sum(axis=1, keepdims=True)
        loss = call(objective, original, augmented, state=state)
        expected = numpy_uda(np.log(aligned), augmented.numpy(), 0.5, 0.5)
        assert loss.total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_under_an_alignment_equals_finite_differences():
    original, augmented = random_views(1)
    augmented.requires_grad_()
    objective = UDA(alignment=(0.4, 0.3, 0.2, 0.1), alignment_momentum=0.5)
    assert torch.autograd.gradcheck(lambda z: call(objective, original, z).total, (augmented,))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("weight", -1),
        ("temperature", 0),
        ("confidence_threshold", 1),
        ("ramp_up", 1.5),
        ("alignment_momentum", 1),
        ("alignment", "even"),
    ],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        UDA(**{argument: value})
