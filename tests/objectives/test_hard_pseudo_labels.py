"""What holds for every method with pseudo-labels: who gets a gradient, and that the mean is over all rows."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from text_uda.objectives.adamatch import AdaMatch
from text_uda.objectives.dash import Dash
from text_uda.objectives.fixmatch import FixMatch
from text_uda.objectives.flexmatch import FlexMatch
from text_uda.objectives.freematch import FreeMatch
from text_uda.objectives.hard_pseudo_labels import histogram, pseudo_label_loss, update_running_mean
from text_uda.objectives.pseudo_label import PseudoLabel
from text_uda.objectives.softmatch import SoftMatch

U, C = 8, 3
LATE = {"step": 5, "steps": 10}  # when every ramp is over
UNIFORM = {"prior": torch.full((C,), 1 / C)}
KEPT = UNIFORM | {"mean_prediction": torch.full((C,), 1 / C)}
CERTAIN_LABELED = torch.eye(C) * 20

# Each with a state in which predictions that are nearly uniform do not count.
METHODS = {
    "pseudo-label": (PseudoLabel(), {}),
    "fixmatch": (FixMatch(), {}),
    "flexmatch": (FlexMatch(confidence_threshold=0.9), UNIFORM | {"known": torch.arange(U) % C}),
    "freematch": (
        FreeMatch(momentum=0.999),
        KEPT | {"threshold": torch.tensor(0.9), "label_share": torch.full((C,), 1 / C)},
    ),
    "softmatch": (
        SoftMatch(momentum=0.999),
        KEPT | {"mean": torch.tensor(0.9), "variance": torch.tensor(1e-6)},
    ),
    "adamatch": (AdaMatch(momentum=0.999), KEPT | {"labeled_mean": torch.full((C,), 1 / C)}),
    "dash": (Dash(), {"initial_loss": torch.tensor(0.05)}),
}
TWO_VIEWS = [name for name in METHODS if name != "pseudo-label"]


@pytest.fixture
def run(evaluate):
    """Call a method on the weak and the strong view; the one view of Pseudo-Label is the strong one."""

    def call(name, weak, strong, *, labeled=CERTAIN_LABELED):
        objective, state = METHODS[name]
        view = {"original": strong} if name == "pseudo-label" else {"second": strong, "targets": weak}
        return evaluate(
            objective,
            labels=torch.arange(C),
            labeled=labeled,
            unlabeled_rows=torch.arange(len(strong)),
            state={key: value.clone() for key, value in state.items()},
            **view,
            **LATE,
        )

    return call


def some_count() -> torch.Tensor:
    """Weak logits, (U, C): every second row is certain, of class 0, 1, 2, 0, and the others nearly uniform."""
    logits = 0.1 * torch.sin(torch.arange(U * C, dtype=torch.float64)).view(U, C)
    for index, row in enumerate(range(0, U, 2)):
        logits[row, index % C] += 12.0
    return logits


def test_the_loss_by_hand():
    # CE of (3/4, 1/4) to class 0 and to class 1, and of (1/2, 1/2), the last without a weight: the mean of three
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0], [0.0, 0.0]])
    loss = pseudo_label_loss(logits, torch.tensor([0, 1, 1]), torch.tensor([1.0, 0.5, 0.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + 0.5 * math.log(4)) / 3, abs=1e-6)


def test_the_share_of_each_class_and_a_running_mean():
    assert histogram(torch.tensor([0, 2, 2, 2]), 4).tolist() == [0.25, 0.0, 0.75, 0.0]
    assert histogram(torch.empty(0).long(), 2).tolist() == [0.0, 0.0]
    mean = torch.tensor([0.5, 0.5])
    assert update_running_mean(mean, torch.tensor([1.0, 0.0], requires_grad=True), 0.9) is mean
    assert mean.tolist() == pytest.approx([0.55, 0.45]) and not mean.requires_grad


@pytest.mark.parametrize("name", METHODS)
def test_it_is_a_mean_over_the_whole_batch(run, random_logits, name):
    """The rows that count are half of them, so that the loss is half of their cross entropy."""
    weak, strong = some_count(), random_logits(0, U, C)
    if name == "pseudo-label":
        strong = weak
    counted = weak.softmax(-1).amax(-1) > 0.9
    loss = run(name, weak, strong)
    expected = cross_entropy(strong[counted], weak.argmax(-1)[counted]).item() / 2
    assert loss.terms["confident"] == pytest.approx(0.5)
    assert loss.terms[name.replace("-", "_")].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)
    if name in TWO_VIEWS:
        agreement = (weak.argmax(-1) == strong.argmax(-1))[counted].float().mean()
        assert float(loss.terms["agreement"]) == pytest.approx(float(agreement), rel=1e-3), "among those that count"


@pytest.mark.parametrize("name", METHODS)
def test_when_no_row_counts_there_is_no_loss_and_no_gradient(run, name):
    nearly_uniform = some_count()[1::2]
    strong = nearly_uniform.clone().requires_grad_()
    loss = run(name, nearly_uniform, strong)
    loss.total.backward()
    assert loss.total.item() == 0.0 and loss.terms["confident"] == 0.0
    assert strong.grad is not None and strong.grad.abs().sum() == 0.0


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_goes_through_the_strong_view_alone_and_equals_finite_differences(run, random_logits, name):
    weak, labeled = some_count().requires_grad_(), CERTAIN_LABELED.clone().requires_grad_()
    strong = (weak.detach() if name == "pseudo-label" else random_logits(1, U, C)).requires_grad_()
    run(name, weak, strong, labeled=labeled).total.backward()
    assert weak.grad is None and labeled.grad is None
    assert strong.grad is not None and strong.grad[::2].abs().sum(-1).all() and not strong.grad[1::2].any()
    assert torch.autograd.gradcheck(lambda z: run(name, weak, z, labeled=labeled).total, (strong,))


@pytest.mark.parametrize("name", METHODS)
def test_a_certain_model_that_agrees_with_itself_has_no_loss(run, name):
    certain = 30 * torch.eye(C, dtype=torch.float64)
    terms = run(name, certain, certain.clone()).terms
    assert terms[name.replace("-", "_")].item() == pytest.approx(0, abs=1e-9) and terms["confident"] == pytest.approx(1)


@pytest.mark.parametrize("name", METHODS)
def test_the_weight_multiplies_the_loss(evaluate, random_logits, name):
    views = {"labeled": random_logits(0), "second": random_logits(1), "targets": 3 * random_logits(2)}
    views["original"], rows = views["targets"], torch.arange(12) % 8
    one, three = (
        evaluate(type(METHODS[name][0])(weight=weight), **views, **LATE, unlabeled_rows=rows) for weight in (1.0, 3.0)
    )
    fairness = 0.01 * one.terms.get("fairness", torch.tensor(0.0))
    assert (three.total - fairness).item() == pytest.approx(3 * (one.total - fairness).item(), rel=1e-6)
    assert one.total.item() != 0 and three.terms[f"{name.replace('-', '_')}_weight"] == 3.0
