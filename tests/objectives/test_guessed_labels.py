"""What the methods with mixing share: guessed labels, their rows, gradients, and the supervised loss as a limit."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from text_uda.model.classifier import ClassifierOutput
from text_uda.model.inputs import Batch, Embedded, Features, Tokens
from text_uda.model.mixing import Mixing
from text_uda.objectives.guessed_labels import guess_labels, join_rows
from text_uda.objectives.ict import ICT
from text_uda.objectives.mixmatch import MixMatch
from text_uda.objectives.mixmixup import MixMixup
from text_uda.objectives.tmix import TMix

MIXMATCH = MixMatch(ramp_up=0, unlabeled_weight=3.0)
TMIX = TMix(ramp_up=0, unlabeled_weight=3.0, alpha=1.0)
MIXMIXUP = MixMixup(ramp_up=0, unlabeled_weight=3.0)
GUESSING = [MIXMATCH, TMIX, MIXMIXUP]
WEIGHTS = "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight", "classifier.weight"


def name_of(value) -> str:
    return type(value).__name__


def tokens_of(*rows: list[int]) -> Tokens:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return Tokens(ids, ids.ne(0).long())


BATCH = Batch(
    tokens_of([2, 50, 60, 3], [2, 70, 3]),
    torch.tensor([2, 0]),
    tokens_of([2, 55, 65, 75, 3], [2, 80, 90, 3], [2, 45, 3]),
    tokens_of([2, 56, 65, 74, 3], [2, 80, 91, 92, 85, 3], [2, 3]),
)


class Says:
    """A student that says one thing after the other."""

    def __init__(self, *probabilities: np.ndarray | list[list[float]]) -> None:
        self.said = iter(probabilities)
        self.read: list = []
        self.gradient: list[bool] = []

    def __call__(self, inputs) -> ClassifierOutput:
        self.read.append(inputs)
        self.gradient.append(torch.is_grad_enabled())
        logits = torch.as_tensor(np.asarray(next(self.said))).log().requires_grad_()
        return ClassifierOutput(logits, logits)


def test_by_hand():
    # the mean of (0.9, 0.1) and (0.5, 0.5) is (0.7, 0.3); with T = 1/2 the squares, 0.49 and 0.09
    student = Says([[0.9, 0.1]], [[0.5, 0.5]])
    views = tokens_of([1]), tokens_of([2])
    labels = guess_labels(student, views, temperature=0.5)  # pyright: ignore[reportArgumentType]
    assert labels.tolist() == [pytest.approx([0.49 / 0.58, 0.09 / 0.58])]
    assert student.read == list(views) and student.gradient == [False, False] and not labels.requires_grad


def test_the_numbers_of_the_authors_code():
    # train.py of YU1ut/MixMatch-pytorch at 1492d71, T = 0.5; guess_label of google-research/mixmatch is the same
    weight = torch.tensor([[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5]], dtype=torch.float64)
    views = [torch.tensor(view, dtype=torch.float64) for view in ([[0.25, -0.5], [1.5, 1]], [[0.5, -0.25], [1, 1.25]])]
    student = Says(*((view @ weight.T).softmax(dim=-1).numpy() for view in views))
    labels = guess_labels(student, [Features(view) for view in views], temperature=0.5)  # pyright: ignore[reportArgumentType]
    expected = [[0.5872610549230859, 0.33839299579230625, 0.07434594928460798]]
    expected += [[0.016561404702194932, 0.9584495118362452, 0.02498908346155989]]
    torch.testing.assert_close(labels, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_agrees_with_numpy(views, temperature):
    said = np.random.default_rng(views).dirichlet(np.ones(4), size=(views, 6))
    labels = guess_labels(Says(*said), [BATCH.labeled] * views, temperature=temperature)  # pyright: ignore[reportArgumentType]
    powers = sum(said) ** (1 / temperature)
    np.testing.assert_allclose(labels.numpy(), powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


def test_joined_rows_keep_their_order_and_their_labels(student):
    guessed = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]], dtype=torch.float64)
    assert BATCH.original is not None
    views = BATCH.original, student.embed(BATCH.second)  # an augmentation of embeddings gives these
    rows, labels = join_rows(student, BATCH, views, guessed)
    assert isinstance(rows, Embedded) and rows.values.shape == (8, 6, 32)
    assert rows.attention_mask.sum(dim=1).tolist() == [4, 3, 5, 4, 3, 5, 6, 2]
    torch.testing.assert_close(rows.values[2:5, :5], student.embed(BATCH.original).values)
    assert labels[:2].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert torch.equal(labels[2:5], guessed) and torch.equal(labels[5:], guessed)
    features = replace(BATCH, labeled=Features(torch.zeros(2, 4)))
    rows, labels = join_rows(student, features, (Features(torch.ones(3, 4)),), guessed)
    assert isinstance(rows, Features) and rows.values[:, 0].tolist() == [0, 0, 1, 1, 1] and len(labels) == 5


def gradients(student, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names = [name for name, _ in student.model.named_parameters()]
    return dict(zip(names, torch.autograd.grad(loss, list(student.model.parameters())), strict=True))


@pytest.mark.parametrize("objective", [ICT(ramp_up=0), *GUESSING], ids=name_of)
def test_the_gradient_equals_finite_differences_with_the_targets_held(evaluate, student, monkeypatch, objective):
    teacher_logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def total() -> torch.Tensor:
        settings = {"batch": BATCH, "classes": 3, "key": 5, "teacher_logits": teacher_logits}
        return evaluate(objective, student=student, **settings).total

    whole = gradients(student, total())
    assert all(gradient.isfinite().all() for gradient in whole.values())
    if objective in GUESSING:
        views = (BATCH.original,) if objective is MIXMIXUP else (BATCH.original, BATCH.second)
        held = guess_labels(student, views, temperature=objective.temperature)
        monkeypatch.setattr(import_module(type(objective).__module__), "guess_labels", lambda *_, **__: held)
        for name, gradient in gradients(student, total()).items():  # none went through the guess
            torch.testing.assert_close(gradient, whole[name], atol=1e-12, rtol=1e-9)
    for seed, name in enumerate(WEIGHTS):
        weight = student.model.get_parameter(name)
        direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        sides = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                weight.add_(step * direction)
                sides.append(total().item())
            weight.add_(1e-6 * direction)
        slope = (whole[name] * direction).sum().item()
        assert abs(slope) > 1e-4 and (sides[0] - sides[1]) / 2e-6 == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("objective", GUESSING, ids=name_of)
def test_unmixed_and_without_unlabeled_weight_it_is_the_supervised_loss(evaluate, student, monkeypatch, objective):
    def unmixed(_key, sizes, **_) -> Mixing:
        return Mixing(torch.ones(sum(sizes)), torch.arange(sum(sizes)), tuple(sizes))

    monkeypatch.setattr(import_module(type(objective).__module__), "draw_mixing", unmixed)
    alone = replace(objective, unlabeled_weight=0.0)
    loss = evaluate(alone, student=student, batch=BATCH, classes=3)
    expected = cross_entropy(student(BATCH.labeled).logits, BATCH.labels)
    torch.testing.assert_close(loss.total, expected, atol=1e-9, rtol=0)
    supervised = gradients(student, expected)
    for name, gradient in gradients(student, loss.total).items():
        torch.testing.assert_close(gradient, supervised[name], atol=1e-9, rtol=1e-6)
    weighted = evaluate(objective, student=student, batch=BATCH, classes=3)
    unlabeled = weighted.terms[type(objective).__name__.lower()]
    assert (weighted.total - loss.total).item() == pytest.approx(3 * float(unlabeled)) and unlabeled > 0


@pytest.mark.parametrize("objective", GUESSING, ids=name_of)
def test_weights_get_a_gradient_in_bf16_though_the_guess_has_none(evaluate, student, objective):
    student.model.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = evaluate(objective, student=student, batch=BATCH, classes=3)
    loss.total.backward()
    assert all(weight.grad is not None for weight in student.model.parameters())
    assert loss.total.dtype == torch.float32
