"""TMix / MixText: layers, both losses, the entropy term, no gradient into targets, refusals."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch, Features, Tokens
from text_uda.model.mixing import Mixing, draw_mixing
from text_uda.objectives import tmix
from text_uda.objectives.guessed_labels import guess_labels
from text_uda.objectives.tmix import TMix, hidden_mix_losses, mixed_layers

KEY = 4
LABELS = torch.tensor([0, 2])


def softmax(z):
    powers = np.exp(z)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.fixture
def batch() -> Batch:
    def tokens(*rows: list[int]) -> Tokens:
        ids = torch.tensor([[2, *row, 3] + [0] * (4 - len(row)) for row in rows])
        return Tokens(ids, ids.ne(0).long())

    original = tokens([80, 90, 85], [95, 70], [88], [75, 86, 92])
    return Batch(tokens([71, 72], [73, 74, 75, 76]), LABELS, original, tokens([80, 91, 85], [95], [89, 70], [75]))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(12, [7, 9, 12]), (24, [14, 18, 24]), (6, [4, 5, 6]), (3, [2, 3]), (2, [1, 2]), (1, [1])],
)
def test_layers_are_those_of_the_paper_in_proportion(layers, expected):
    assert mixed_layers(layers) == expected


def test_by_hand():
    # labeled: p = (1/2, 1/2) costs log 2; unlabeled: KL((3/4, 1/4) || (1/2, 1/2))
    targets = torch.tensor([[0.9, 0.1], [0.75, 0.25]], dtype=torch.float64)
    supervised, unlabeled = hidden_mix_losses(torch.zeros(2, 2, dtype=torch.float64), targets, labeled=1)
    assert supervised.item() == pytest.approx(math.log(2), abs=1e-12)
    assert unlabeled.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-12)


def test_the_numbers_of_the_authors_code():
    # SemiLoss of SALT-NLP/MixText at 1fac8ec in float64, with max(l, 1 - l) = 0.65; the guess is that of MixMatch
    guessed = torch.tensor(
        [
            [0.5928335490004203, 0.0774919583346682, 0.3296744926649114],
            [0.3304713600871475, 0.33628463174263484, 0.33324400817021765],
        ],
        dtype=torch.float64,
    )
    logits = [[0.2, 0.4, -0.3], [1.5, -0.5, 0.1], [-0.7, 0.9, 0.3], [0.6, 0.6, -1.1], [0.05, -0.2, 1.3], [2, 0.1, -0.4]]
    mixing = Mixing(torch.full((6,), 0.65, dtype=torch.float64), torch.tensor([3, 0, 5, 1, 2, 4]), (2, 2, 2))
    targets = mixing(torch.cat([torch.eye(3, dtype=torch.float64)[LABELS], guessed, guessed]))
    supervised, unlabeled = hidden_mix_losses(torch.tensor(logits, dtype=torch.float64), targets, labeled=2)
    assert supervised.item() == pytest.approx(1.1539033400098977, abs=1e-12)
    assert unlabeled.item() == pytest.approx(0.5266371227099139, abs=1e-12)


@pytest.mark.parametrize(("alpha", "margin_weight"), [(16.0, 0.0), (0.75, 2.0)])
def test_agrees_with_numpy(evaluate, student, alpha, margin_weight):
    generator = torch.Generator().manual_seed(0)
    features = [Features(15 * torch.randn(rows, 32, generator=generator, dtype=torch.float64)) for rows in (2, 5, 5)]
    batch = Batch(features[0], LABELS, features[1], features[2])
    objective = TMix(alpha=alpha, margin_weight=margin_weight, margin=0.6, unlabeled_weight=3.0, ramp_up=0.8)
    loss = evaluate(objective, batch=batch, student=student, key=KEY, classes=3, step=2)
    mixing = draw_mixing(KEY, [2, 5, 5], alpha=alpha, larger_weight=True, device=LABELS.device)
    pooler, head = student.model.bert.pooler.dense, student.model.classifier
    weights = [each.detach().numpy() for each in (pooler.weight, pooler.bias, head.weight, head.bias)]
    predict = lambda x: softmax(np.tanh(x @ weights[0].T + weights[1]) @ weights[2].T + weights[3])  # noqa: E731
    labeled, original, second = (part.values.numpy() for part in features)
    sharp = ((predict(original) + predict(second)) / 2) ** 2
    q = sharp / sharp.sum(axis=1, keepdims=True)
    rows, targets = np.concatenate([labeled, original, second]), np.concatenate([np.eye(3)[LABELS], q, q])
    losses: list[list[float]] = [[], []]
    for row, (m, other) in enumerate(zip(mixing.weight.double().tolist(), mixing.partner.tolist(), strict=True)):
        p, target = predict(m * rows[row] + (1 - m) * rows[other]), m * targets[row] + (1 - m) * targets[other]
        cost = target * (-np.log(p) if row < 2 else np.log(target / p))
        losses[row >= 2].append(cost.sum())
    entropies = -(predict(original) * np.log(predict(original))).sum(axis=1)
    assert entropies.min() < 0.6 < entropies.max()
    expected = np.mean(losses[0]) + 0.75 * np.mean(losses[1]) + margin_weight * np.maximum(0, entropies - 0.6).mean()
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    assert all(not getattr(term, "requires_grad", False) for term in loss.terms.values())


def test_rows_are_mixed_after_a_layer_that_the_key_decides(evaluate, student, batch, monkeypatch):
    layers = []

    class Recorded(type(student)):
        def __call__(self, inputs, *, mixing=None, layer=0):
            if mixing is not None:
                layers.append(layer)
            return super().__call__(inputs, mixing=mixing, layer=layer)

    given = {"batch": batch, "student": Recorded(student.model), "classes": 3}
    for key in (*range(20), 0):
        evaluate(TMix(), **given, key=key)
    assert set(Counter(layers)) == {1, 2} and layers[0] == layers[-1]


@pytest.mark.parametrize("key", [1, 2, 3])
def test_no_gradient_through_the_guessed_labels_and_finite_differences(evaluate, student, batch, key, monkeypatch):
    given = {"batch": batch, "student": student, "key": key, "classes": 3, "step": 5}
    call = lambda: evaluate(TMix(margin_weight=0.5, margin=0.2), **given).total  # noqa: E731
    call().backward()
    fixed = guess_labels(student, (batch.original, batch.second), temperature=0.5)
    monkeypatch.setattr(tmix, "guess_labels", lambda *_, **__: fixed)
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
    assert torch.autograd.gradcheck(lambda z: sum(hidden_mix_losses(z, targets, labeled=5)), (logits,))
    sum(hidden_mix_losses(logits, targets, labeled=5)).backward()
    assert targets.grad is None


def test_predictions_that_are_the_targets_give_zero_divergence(random_logits):
    logits = random_logits(0)
    _, unlabeled = hidden_mix_losses(logits, logits.softmax(dim=-1), labeled=5)
    assert unlabeled.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("unlabeled_weight", -1), ("temperature", 0), ("alpha", 0), ("ramp_up", 1.5), ("margin_weight", -1)],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        TMix(**{argument: value})
