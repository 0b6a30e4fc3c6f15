"""Rows that no objective counts are left out of the second view, and nothing changes by it but the work."""

import math
from dataclasses import replace

import pytest
import torch

from text_uda.model.classifier import Classifier, logits
from text_uda.model.inputs import Batch
from text_uda.model.pretrained import load_tokenizer
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import PRESETS, UDA, EntMin, FixMatch, PiModel, Selective, Supervised
from text_uda.training.step import Step

SELECTIVE = [name for name, preset in PRESETS.items() if any(isinstance(o, Selective) for o in preset.objectives)]
LABELED = ["a good film", "a bad plot", "not fine"]
ORIGINAL = ["the actor was great", "the worst scene", "love this phone", "really dull", "it is fine", "a poor plot"]
SECOND = ["an actor was very great", "the bad scene", "love that product", "really poor", "it was fine", "dull plot"]


@pytest.fixture
def batch(tiny_bert) -> Batch:
    tokenizer = load_tokenizer(str(tiny_bert))
    labeled, original, second = (
        TokenRows(texts, tokenizer, max_tokens=16).batch(range(len(texts))) for texts in (LABELED, ORIGINAL, SECOND)
    )
    return Batch(labeled, torch.tensor([2, 0, 1]), original, second, torch.arange(3), torch.arange(6))


@pytest.fixture
def half(student: Classifier, batch: Batch) -> float:
    """A confidence that half of the rows have."""
    assert batch.original is not None
    with torch.no_grad():
        return logits(student.model, batch.original).softmax(-1).amax(-1).median().item() + 1e-9


def run(student: Classifier, objectives, batch: Batch, *, leave_out: bool, monkeypatch):
    """Loss, terms, gradients and states of two steps, and the rows of each forward with gradient."""
    rows, call = [], Classifier.__call__

    def seen(self, inputs, **named):
        if torch.is_grad_enabled():
            rows.append(len(inputs))
        return call(self, inputs, **named)

    step = Step(student.model, objectives, steps=10, unlabeled=6, leave_out_masked=leave_out)
    results = []
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "__call__", seen)
        for number in (3, 4):
            student.model.zero_grad()
            result = step(batch, number)
            result.loss.backward()
            gradients = {name: p.grad.clone() for name, p in student.model.named_parameters() if p.grad is not None}
            state = {name: value.clone() for name, value in step.named_buffers()}
            terms = {name: float(value) for name, value in result.terms.items()}
            results.append((result.loss.detach(), terms, gradients, state))
    return results, rows


def with_threshold(name: str, threshold: float):
    """The method with a threshold that about half of the rows pass."""
    chosen = {
        "confidence_threshold": threshold,
        "relative_threshold": 0.98,
        "least": -math.log(threshold),
        "gamma": 100.0,
        "momentum": 0.5,
        "ramp_up": 0.0,
    }
    for objective in PRESETS[name].objectives:
        changes = {field: value for field, value in chosen.items() if field in vars(objective)}
        yield replace(objective, **changes)  # pyright: ignore[reportArgumentType]


def test_which_methods_choose():
    assert set(SELECTIVE) == {"uda", "fixmatch", "flexmatch", "freematch", "adamatch", "dash"}


@pytest.mark.parametrize("name", SELECTIVE)
def test_loss_gradient_terms_and_state_are_those_with_all_rows(name, student, batch, half, monkeypatch):
    objectives = tuple(with_threshold(name, half))
    found, rows = run(student, objectives, batch, leave_out=True, monkeypatch=monkeypatch)
    expected, all_rows = run(student, objectives, batch, leave_out=False, monkeypatch=monkeypatch)
    assert all_rows == [9, 9] and sum(rows) < 18, "something was left out"
    for (loss, terms, gradients, state), (other, other_terms, others, other_state) in zip(found, expected, strict=True):
        torch.testing.assert_close(loss, other, atol=1e-12, rtol=1e-9)
        assert any(gradient.abs().sum() > 0 for gradient in gradients.values())
        for weight, gradient in others.items():
            torch.testing.assert_close(gradients[weight], gradient, atol=1e-12, rtol=1e-8, msg=weight)
        assert terms == pytest.approx(other_terms)
        assert all(torch.allclose(value, other_state[buffer]) for buffer, value in state.items())


def test_how_many_rows_are_run(student, batch, half, monkeypatch):
    objectives = (Supervised(), FixMatch(confidence_threshold=half))
    results, rows = run(student, objectives, batch, leave_out=True, monkeypatch=monkeypatch)
    counted = round(6 * results[0][1]["confident"])
    assert 0 < counted < 6 and rows == [3 + counted] * 2, "labeled rows and those that count, in one forward"


def test_where_two_methods_choose_a_row_of_either_is_run(student, batch, half, monkeypatch):
    objectives = (FixMatch(confidence_threshold=0.999), UDA(confidence_threshold=half))
    both, rows = run(student, objectives, batch, leave_out=True, monkeypatch=monkeypatch)
    expected, _ = run(student, objectives, batch, leave_out=False, monkeypatch=monkeypatch)
    torch.testing.assert_close(both[0][0], expected[0][0], atol=1e-12, rtol=1e-9)
    assert rows[0] == round(6 * both[0][1]["confident"])


def test_all_rows_are_run_for_a_method_that_does_not_choose(student, batch, monkeypatch):
    objectives = (FixMatch(confidence_threshold=0.999), PiModel())
    _, rows = run(student, objectives, batch, leave_out=True, monkeypatch=monkeypatch)
    assert rows == [12, 12], "both views of all rows"


def test_where_no_row_counts_each_weight_has_a_gradient_of_zero(student, batch, monkeypatch):
    """Of several processes one may have no row that counts, and the others wait for its gradients."""
    results, rows = run(student, (UDA(confidence_threshold=0.9999),), batch, leave_out=True, monkeypatch=monkeypatch)
    loss, terms, gradients, _ = results[0]
    assert rows == [1, 1] and loss == 0 and terms["agreement"] == 0
    assert len(gradients) == len(list(student.model.parameters()))
    assert not any(gradient.any() for gradient in gradients.values())


def test_an_original_view_with_a_gradient_is_run_once(student, batch, half, monkeypatch):
    """EntMin reads it with its gradient; the targets of FixMatch are the same pass, so the second view comes after."""
    objectives = (EntMin(), FixMatch(confidence_threshold=half))
    found, rows = run(student, objectives, batch, leave_out=True, monkeypatch=monkeypatch)
    expected, _ = run(student, objectives, batch, leave_out=False, monkeypatch=monkeypatch)
    assert rows[0] == 6 and 0 < rows[1] < 6
    torch.testing.assert_close(found[0][0], expected[0][0], atol=1e-12, rtol=1e-9)
