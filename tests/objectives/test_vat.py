"""VAT: the direction, values, gradient through the perturbed pass alone, precision, padding, dropout."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model import keyed_tensors
from text_uda.model.classifier import Classifier, ClassifierOutput
from text_uda.model.inputs import Batch, Embedded, Features, Tokens
from text_uda.objectives.functional import kl_divergence
from text_uda.objectives.vat import VAT, adversarial_direction, token_norm

KEY = 3
NARROW = torch.tensor([[0.5, -1.0, 0.25], [1.0, 0.75, -0.5]], dtype=torch.float64)
WIDE = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-1.5, 0.25]], dtype=torch.float64)


class Network:
    """Features -> two hidden units -> three classes."""

    def __call__(self, inputs: Features) -> ClassifierOutput:
        hidden = torch.tanh(inputs.values @ NARROW.T)
        return ClassifierOutput(hidden @ WIDE.T, hidden)

    embed = staticmethod(lambda inputs: inputs)
    without_dropout = nullcontext


def features(seed: int, rows: int = 5) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(original) -> Batch:
    return Batch(Features(torch.zeros(1, 1)), torch.zeros(1, dtype=torch.long), original)


@pytest.fixture
def tokens() -> Tokens:
    ids = torch.tensor([[2, 50, 60, 70, 3], [2, 80, 90, 3, 0], [2, 65, 3, 0, 0]])
    return Tokens(ids, ids.ne(0).long())


def numpy_gradient(x, target):
    hidden = np.tanh(x @ NARROW.numpy().T)
    powers = np.exp(hidden @ WIDE.numpy().T)
    p = powers / powers.sum(axis=1, keepdims=True)
    return p, (((p - target) @ WIDE.numpy()) * (1 - hidden**2)) @ NARROW.numpy()


def test_by_hand(evaluate):
    # one feature, e = 2, logits (e, 0): the only directions are -1 and 1, and that of the start is kept
    class Sigmoid(Network):
        def __call__(self, inputs):
            return ClassifierOutput(torch.cat([inputs.values, torch.zeros_like(inputs.values)], dim=1), inputs.values)

    loss = evaluate(
        VAT(epsilon=5.0, weight=3.0),  # in tenths of the norm, for features
        student=Sigmoid(),
        batch=batch_of(Features(torch.tensor([[2.0]], dtype=torch.float64))),
        classes=2,
        key=KEY,
    )
    sign = math.copysign(1, keyed_tensors.normal(keyed_tensors.row_keys(KEY, 1, device=torch.device("cpu")), 1).item())
    p, q = (1 / (1 + math.exp(-z)) for z in (2.0, 2.0 + 0.5 * 2.0 * sign))
    assert loss.total.item() == pytest.approx(
        3 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))), abs=1e-9
    )


@pytest.mark.parametrize(("power_iterations", "expected"), [(1, 0.12517879549242247), (2, 0.12519979062164308)])
def test_the_numbers_of_the_authors_code(power_iterations, expected):
    # generate_virtual_adversarial_perturbation of takerum/vat_tf at 23c1610 in float64, with xi 1e-6 and epsilon 1
    x = torch.tensor([[1.0, 0.5, -1.0], [-0.25, 2.0, 0.75]], dtype=torch.float64)
    start = torch.tensor([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]], dtype=torch.float64)
    target = Network()(Features(x)).logits.softmax(dim=-1)
    divergence = lambda r: kl_divergence(target, Network()(Features(x + r)).logits)  # noqa: E731
    direction = adversarial_direction(
        divergence, start, step=torch.tensor(1e-6, dtype=torch.float64), power_iterations=power_iterations
    )
    assert divergence(direction).mean().item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("power_iterations", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, seed, power_iterations):
    x = features(seed)
    objective = VAT(power_iterations=power_iterations, epsilon=0.7, xi=0.02)
    loss = evaluate(objective, student=Network(), batch=batch_of(Features(x)), classes=3, key=KEY)
    e = x.numpy()
    size = np.sqrt((e**2).sum(axis=1, keepdims=True)) / 10  # features count as a hundred tokens
    target, _ = numpy_gradient(e, 0)
    d = keyed_tensors.normal(keyed_tensors.row_keys(KEY, 5, device=x.device), 3).double().numpy()
    for _ in range(power_iterations):
        _, d = numpy_gradient(e + 0.02 * size * d / np.sqrt((d**2).sum(axis=1, keepdims=True)), target)
    moved, _ = numpy_gradient(e + 0.7 * size * d / np.sqrt((d**2).sum(axis=1, keepdims=True)), 0)
    expected = (target * np.log(target / moved)).sum(axis=1).mean()
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_goes_through_the_perturbed_pass_only(evaluate, student, tokens):
    names = "classifier.weight", "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"
    weights = [student.model.get_parameter(name) for name in names]
    objective, batch = VAT(epsilon=0.5), batch_of(tokens)
    constants: list[torch.Tensor] = []

    class Spied(Classifier):
        def __call__(self, inputs, **options):
            constants.append(inputs.values.detach())
            return super().__call__(inputs, **options)

    loss = evaluate(objective, student=Spied(student.model), batch=batch, classes=3, key=KEY)
    assert all(parameter.grad is None for parameter in student.model.parameters())  # the search leaves none behind
    loss.total.backward()
    clean, _, moved = constants
    perturbation = moved - clean
    assert perturbation[2, 3:].abs().sum() == 0 and perturbation[2, :3].abs().sum() > 0  # nothing at padding
    torch.testing.assert_close(perturbation.flatten(1).norm(dim=1), 0.5 * token_norm(student.embed(tokens)))
    with torch.no_grad():
        target = student(Embedded(clean, tokens.attention_mask)).logits.softmax(dim=-1)

        def frozen() -> float:
            e = student.embed(tokens).values
            logits = student(Embedded(e + perturbation, tokens.attention_mask)).logits
            return kl_divergence(target, logits).mean().item()

        assert frozen() == pytest.approx(loss.total.item(), abs=1e-9)
        for seed, weight in enumerate(weights):
            assert weight.grad is not None and weight.grad.abs().sum() > 0
            generator = torch.Generator().manual_seed(seed)
            direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            slope = (weight.grad * direction).sum().item()
            weight.add_(1e-6 * direction)
            above = frozen()
            weight.sub_(2e-6 * direction)
            below = frozen()
            weight.add_(1e-6 * direction)
            assert (above - below) / 2e-6 == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(("xi", "lowest", "highest"), [(VAT().xi, 0.9999, 1.0), (1e-7, -1.0, 0.95)])
def test_the_direction_in_float32_is_that_of_float64(student, tokens, xi, lowest, highest):
    directions = []
    for dtype, step in ((torch.float64, 1e-6), (torch.float32, xi)):
        rows = Classifier(student.model.to(dtype))
        e = rows.embed(tokens).values.detach()
        there = tokens.attention_mask[..., None]
        with torch.no_grad():
            target = rows(Embedded(e, tokens.attention_mask)).logits.softmax(dim=-1)
        start = keyed_tensors.normal(keyed_tensors.row_keys(KEY, 3, device=e.device), *e.shape[1:]).to(e.dtype) * there
        size = token_norm(Embedded(e, tokens.attention_mask)).view(-1, 1, 1)
        directions.append(
            adversarial_direction(
                lambda r: kl_divergence(target, rows(Embedded(e + r * there, tokens.attention_mask)).logits),  # noqa: B023
                start,
                step=step * size,
                power_iterations=1,
            ).double()
        )
    cosine = (directions[0] * directions[1]).flatten(1).sum(dim=1).min().item()
    assert lowest <= cosine <= highest + 1e-6


def test_more_padding_and_dropout_change_nothing(evaluate, student, tokens):
    loss = evaluate(VAT(), student=student, batch=batch_of(tokens), classes=3, key=KEY).total
    for module in student.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    wider = Tokens(*(torch.nn.functional.pad(part, (0, 4)) for part in (tokens.input_ids, tokens.attention_mask)))
    again = evaluate(VAT(), student=student, batch=batch_of(wider), classes=3, key=KEY).total
    torch.testing.assert_close(again, loss)
    assert student.model.training


def test_the_direction_is_found_in_float32_under_autocast(evaluate):
    enabled = []

    class Spied(Network):
        def __call__(self, inputs):
            enabled.append(torch.is_autocast_enabled("cpu"))
            return super().__call__(inputs)

    with torch.autocast("cpu", torch.bfloat16):
        evaluate(VAT(), student=Spied(), batch=batch_of(Features(features(0))), classes=3, key=KEY)
    assert enabled == [False, False, True]  # p(e), p(e + xi d), p(e + r)


def test_padding_neither_counts_nor_moves_where_a_model_reads_it(evaluate):
    rows = []

    class Mean(Network):
        def __call__(self, inputs):
            rows.append(inputs.values.detach())
            return super().__call__(Features(inputs.values.mean(dim=1)))

    original = Embedded(torch.stack([features(0), features(1)]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    evaluate(VAT(), student=Mean(), batch=batch_of(original), classes=3, key=KEY)
    perturbation = rows[-1] - original.values
    assert not perturbation[1, 2:].any()
    size = features(1)[:2].square().sum(dim=1).mean().sqrt()
    torch.testing.assert_close(perturbation[1].norm(), size)


def test_where_nothing_changes_the_prediction_the_loss_and_its_gradient_are_zero(evaluate, student, tokens):
    weight = student.model.get_parameter("classifier.weight")
    with torch.no_grad():
        weight.zero_()
    loss = evaluate(VAT(), student=student, batch=batch_of(tokens), classes=3, key=KEY).total
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert weight.grad is not None and weight.grad.abs().max() < 1e-12


def test_only_trained_weights_get_a_gradient(evaluate, student, tokens):
    student.model.requires_grad_(False)
    student.model.get_parameter("classifier.weight").requires_grad_(True)
    evaluate(VAT(), student=student, batch=batch_of(tokens), classes=3, key=KEY).total.backward()
    assert [name for name, weight in student.model.named_parameters() if weight.grad is not None] == [
        "classifier.weight"
    ]


@pytest.mark.parametrize(
    ("argument", "value"), [("weight", -1), ("epsilon", 0), ("xi", 0), ("power_iterations", 0), ("ramp_up", 2)]
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        VAT(**{argument: value})
