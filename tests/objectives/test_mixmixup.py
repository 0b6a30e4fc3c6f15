"""mixmixup: trusted partners, values, no gradient into pseudo-labels, refusals."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch, Features, Tokens
from text_uda.model.mixing import draw_mixing
from text_uda.objectives import mixmixup
from text_uda.objectives.guessed_labels import guess_labels
from text_uda.objectives.mixmixup import MixMixup, trusted_and_untrusted

KEY = 4
LABELS = torch.tensor([0, 2])


def softmax(z):
    powers = np.exp(z)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.fixture
def features() -> Batch:
    draw = lambda rows: Features(15 * torch.randn(rows, 32, generator=generator, dtype=torch.float64))  # noqa: E731
    generator = torch.Generator().manual_seed(0)
    return Batch(draw(2), LABELS, draw(5))


def test_by_hand():
    # trusted: p = (1/2, 1/2) costs log 2; untrusted: p = (3/4, 1/4), label (1/2, 1/2)
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]], dtype=torch.float64)
    targets = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    trusted, untrusted = trusted_and_untrusted(logits, targets, labeled=1)
    assert trusted.item() == pytest.approx(math.log(2), abs=1e-12)
    assert untrusted.item() == pytest.approx(-0.5 * math.log(3 / 16), abs=1e-12)


@pytest.mark.parametrize(("alpha", "temperature"), [(0.75, 0.5), (8.0, 1.0)])
def test_agrees_with_numpy(evaluate, student, features, alpha, temperature):
    objective = MixMixup(alpha=alpha, temperature=temperature, unlabeled_weight=3.0, ramp_up=0.8)
    loss = evaluate(objective, batch=features, student=student, key=KEY, classes=3, step=2)
    mixing = draw_mixing(KEY, [2, 5], alpha=alpha, with_first_group=True, device=LABELS.device)
    assert mixing.partner.max() < 2  # trusted rows
    pooler, head = student.model.bert.pooler.dense, student.model.classifier
    weights = [each.detach().numpy() for each in (pooler.weight, pooler.bias, head.weight, head.bias)]
    predict = lambda x: softmax(np.tanh(x @ weights[0].T + weights[1]) @ weights[2].T + weights[3])  # noqa: E731
    labeled, original = (part.values.numpy() for part in (features.labeled, features.original))
    sharp = predict(original) ** (1 / temperature)
    rows = np.concatenate([labeled, original])
    targets = np.concatenate([np.eye(3)[LABELS], sharp / sharp.sum(axis=1, keepdims=True)])
    losses: list[list[float]] = [[], []]
    for row, (m, other) in enumerate(zip(mixing.weight.double().tolist(), mixing.partner.tolist(), strict=True)):
        log_p = np.log(predict(m * rows[row] + (1 - m) * rows[other]))
        losses[row >= 2].append(-m * (targets[row] * log_p).sum() - (1 - m) * (targets[other] * log_p).sum())
    assert loss.total.item() == pytest.approx(np.mean(losses[0]) + 0.75 * np.mean(losses[1]), abs=1e-6)
    assert all(not getattr(term, "requires_grad", False) for term in loss.terms.values())


def test_no_gradient_through_the_pseudo_labels_and_finite_differences(evaluate, student, monkeypatch):
    ids = torch.tensor([[2, 80, 90, 85, 3], [2, 95, 70, 3, 0], [2, 88, 3, 0, 0], [2, 75, 86, 92, 3], [2, 71, 3, 0, 0]])
    rows = Tokens(ids, ids.ne(0).long())
    batch = Batch(Tokens(rows.input_ids[:2], rows.attention_mask[:2]), LABELS, rows)
    given = {"batch": batch, "student": student, "key": KEY, "classes": 3, "step": 5}
    call = lambda: evaluate(MixMixup(), **given).total  # noqa: E731
    call().backward()
    fixed = guess_labels(student, (rows,), temperature=0.5)
    monkeypatch.setattr(mixmixup, "guess_labels", lambda *_, **__: fixed)
    for name in ("bert.embeddings.word_embeddings", "bert.encoder.layer.0.attention.self.query", "classifier"):
        weight = student.model.get_parameter(f"{name}.weight")
        direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=weight.dtype)
        sides = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                weight += step * direction
                sides.append(call().item())
            weight += 1e-6 * direction
        expected = (weight.grad * direction).sum().item()
        assert abs(expected) > 1e-4 and (sides[0] - sides[1]) / 2e-6 == pytest.approx(expected, rel=1e-3)


def test_the_gradient_of_the_losses_equals_finite_differences(random_logits):
    targets = random_logits(1).softmax(dim=-1).requires_grad_()
    logits = random_logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: sum(trusted_and_untrusted(z, targets, labeled=5)), (logits,))
    sum(trusted_and_untrusted(logits, targets, labeled=5)).backward()
    assert targets.grad is None


def test_without_a_weight_it_is_mixup_of_the_labeled_rows(evaluate, student, features):
    given = {"student": student, "classes": 3, "step": 9, "key": KEY}
    other = Batch(features.labeled, LABELS, Features(features.original.values + 1))  # pyright: ignore
    losses = [evaluate(MixMixup(unlabeled_weight=0.0), batch=each, **given).total.item() for each in (features, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12) and losses[0] > 0


@pytest.mark.parametrize(
    ("argument", "value"), [("unlabeled_weight", -1), ("temperature", 0), ("alpha", 0), ("ramp_up", 1.5)]
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        MixMixup(**{argument: value})
