"""Dropout from 16 random bits: rates, scale, gradients, seeds, and the layers that get it."""

import pytest
import torch
from torch import nn

from text_uda.model.bit_dropout import BitDropout, dropped, use_bit_dropout
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import load_classifier, load_masked_language_model


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rate_and_scale(probability, dtype):
    values = torch.ones(1001, 1003, dtype=dtype)  # a number of elements that no word of bits divides
    with seeded_torch(0):
        found = dropped(values, probability)
    assert found.dtype == dtype
    rate = (found == 0).double().mean().item()
    assert rate == pytest.approx(probability, abs=5 * (probability * (1 - probability) / values.numel()) ** 0.5)
    (scale,) = found[found != 0].unique().tolist()
    assert scale == pytest.approx(1 / (1 - probability), rel=5e-3 if dtype == torch.bfloat16 else 1e-4)
    for axis in (0, 1):  # neighbours share a word of bits
        pairs = (found.roll(1, axis) == 0) & (found == 0)
        assert pairs.double().mean().item() == pytest.approx(probability**2, abs=5e-3)


def test_ends():
    values = torch.randn(5, 7)
    assert dropped(values, 0.0) is values
    assert torch.equal(dropped(values, 1.0), torch.zeros(5, 7))
    assert dropped(values[:0], 0.5).shape == (0, 7)


def test_the_gradient_has_the_same_zeros():
    values = torch.randn(40, 50, requires_grad=True)
    found = dropped(values, 0.3)
    found.sum().backward()
    assert values.grad is not None and torch.equal(values.grad == 0, found == 0)


def test_the_same_elements_in_either_precision():
    drawn = []
    for dtype in (torch.float32, torch.bfloat16):
        with seeded_torch(3):
            drawn.append(dropped(torch.ones(30, 40, dtype=dtype), 0.1) == 0)
    assert torch.equal(*drawn)


def test_a_seed_decides():
    layer, values = BitDropout(0.5), torch.ones(100)
    drawn = []
    for seed in (1, 1, 2):
        with seeded_torch(seed):
            drawn.append((layer(values), layer(values)))
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1]) and not torch.equal(drawn[0][0], drawn[2][0])


def test_evaluation_drops_nothing():
    values = torch.randn(50)
    assert torch.equal(BitDropout(0.5).eval()(values), values)


def test_layers_are_replaced_where_they_are_torch_s():
    class Own(nn.Dropout):
        pass

    shared = nn.Dropout(0.4).eval()
    model = nn.Sequential(nn.Dropout(0.2), nn.Sequential(Own(0.3), shared, shared))
    use_bit_dropout(model)
    assert type(model[0]) is BitDropout and model[0].p == 0.2 and model[0].training
    assert type(model[1][0]) is Own
    assert all(type(layer) is BitDropout and layer.p == 0.4 and not layer.training for layer in model[1][1:])
    assert not model.state_dict()


def test_compiled_code_has_the_dropout_of_torch():
    values, layer = torch.ones(200), BitDropout(0.5)
    with seeded_torch(0):
        expected = nn.Dropout(0.5)(values)
    with seeded_torch(0):
        assert torch.equal(torch.compile(layer, backend="eager")(values), expected)
    with seeded_torch(0):
        assert not torch.equal(layer(values), expected)


def test_loaded_models_have_it(tiny_bert):
    classifier = load_classifier(str(tiny_bert), ["a", "b"], seed=0, dropout=0.3).model
    masked_language_model = load_masked_language_model(str(tiny_bert), seed=0)[0].model
    for model in (classifier, masked_language_model):
        layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        assert layers and all(type(layer) is BitDropout for layer in layers)
        assert model is not classifier or all(layer.p == 0.3 for layer in layers)
