"""The layer that averages: a BERT layer by its weights, and a mean by its arithmetic."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from text_uda.model.averaging_layer import AveragingLayer, append_averaging_layer, restore_averaging_layer
from text_uda.model.classifier import encode, layers
from text_uda.model.inputs import Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack

TOKENS = Tokens(
    torch.tensor([[1, 5, 9, 2, 8], [1, 7, 2, 0, 0], [1, 6, 3, 2, 0]]),
    torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]),
)


@pytest.fixture
def model():
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, pad_token_id=0
    )
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(config).eval()
        append_averaging_layer(model)
    return model


@pytest.mark.parametrize("packed", [False, True])
@torch.no_grad()
def test_the_mean_is_what_the_weights_come_to(model, packed, tmp_path):
    model.save_pretrained(tmp_path)
    ordinary = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(layers(ordinary)[-1]) is BertLayer
    expected = encode(ordinary, TOKENS)
    if packed:
        pack(model)
    torch.testing.assert_close(encode(model, TOKENS), expected, atol=1e-4, rtol=1e-4)
    restore_averaging_layer(ordinary)
    assert isinstance(layers(ordinary)[-1], AveragingLayer)
    torch.testing.assert_close(encode(ordinary, TOKENS), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_layer_that_was_trained_elsewhere_is_left_alone(model, tmp_path):
    layers(model)[-1].output.dense.bias[3] = 0.5
    model.save_pretrained(tmp_path)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    restore_averaging_layer(opened)
    assert type(layers(opened)[-1]) is BertLayer


@torch.no_grad()
def test_the_mean_of_padded_rows_is_not_rounded_in_a_bf16_pass(model):
    layer, states = layers(model)[-1], torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    mask = TOKENS.attention_mask[:, None, None].bool()
    expected = layer(states, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(states, mask), expected)


def test_padded_and_packed_have_one_gradient(model):
    gradients = []
    for packed in (False, True):
        if packed:
            pack(model)
        model.zero_grad()
        encode(model, TOKENS).square()[:, ::3].sum().backward()
        gradients.append(layers(model)[0].output.dense.weight.grad.clone())
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)
