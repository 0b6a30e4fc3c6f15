"""One linear layer on the feature, and the ordinary model that is saved in its place."""

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    CamembertConfig,
    ConvBertConfig,
    DistilBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.classifier import Classifier, encode, logits
from text_uda.model.inputs import Features, Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import (
    add_penalty,
    can_be_linear,
    is_linear,
    is_saved_linear,
    last_layer,
    make_linear,
    saved_form,
    set_linear,
)

SMALL = {"vocab_size": 50, "num_labels": 3, "pad_token_id": 0}
WIDE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, **SMALL}
CONFIGS = {
    "bert": BertConfig(**WIDE),
    "roberta": RobertaConfig(**WIDE),
    "xlm-roberta": XLMRobertaConfig(**WIDE),
    "camembert": CamembertConfig(**WIDE),
    "distilbert": DistilBertConfig(dim=64, n_layers=2, n_heads=2, hidden_dim=32, **SMALL),
}
TOKENS = Tokens(torch.tensor([[1, 5, 9, 2], [1, 7, 2, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]))


@pytest.fixture(params=CONFIGS)
def model(request):
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(CONFIGS[request.param]).eval()
        make_linear(model)
        set_linear(model, torch.randn(3, 64) / 8, torch.randn(3))
    return model


@torch.no_grad()
def test_the_head_is_linear_in_the_feature(model):
    features = encode(model, TOKENS)  # (B, D)
    expected = features @ last_layer(model).weight.T / 8 + last_layer(model).bias
    torch.testing.assert_close(logits(model, TOKENS), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits(model, Features(features)), expected)
    output = Classifier(model)(Features(features))
    torch.testing.assert_close(output.hidden, features)  # what objectives compare is the feature itself
    check_head_is_separable(model)


@torch.no_grad()
def test_what_is_saved_is_an_ordinary_model_of_the_same_logits(model, tmp_path):
    expected, weight = logits(model, TOKENS), last_layer(model).weight.clone()
    with saved_form(model):
        model.save_pretrained(tmp_path)
    assert torch.equal(last_layer(model).weight, weight) and is_linear(model), "training goes on as before"
    opened, found = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    torch.testing.assert_close(logits(opened.eval(), TOKENS), expected, atol=1e-4, rtol=0)
    # Opened to be trained further, it is linear again.
    assert is_saved_linear(opened)
    make_linear(opened)
    torch.testing.assert_close(last_layer(opened).weight, weight)
    torch.testing.assert_close(logits(opened, TOKENS), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_features_as_large_as_layer_norm_allows(model):
    """One number of a layer-normed vector can be as large as the root of its width."""
    features = torch.zeros(1, 64)
    features[0, 3], features[0, 5] = 8.0, -8.0
    expected = logits(model, Features(features))
    with saved_form(model):
        match model.config.model_type:
            case "bert":
                found = model.classifier(model.bert.pooler(features[:, None]))
            case "distilbert":
                found = model.classifier(torch.relu(model.pre_classifier(features)))
            case _:
                found = model.classifier(features[:, None])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_both_forms_move_with_the_model(model):
    """Of a model on a GPU the saved form was left on the CPU, so that no head could be trained there."""
    model.to(device="meta", dtype=torch.float64)
    for _ in range(2):
        with saved_form(model):
            assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float64)}
        assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float64)}


def test_the_forms_agree_where_the_numbers_were_changed(model):
    check_head_is_separable(model.double())


def test_only_the_linear_layer_is_trained(model):
    model.train()
    loss = logits(model, Features(torch.ones(2, 64))).square().sum()
    loss.backward()
    outside = {name for name, p in model.named_parameters() if p.grad is not None}
    assert len(outside) == 2 and last_layer(model).weight.grad is not None


def test_the_gradient_of_the_penalty(model):
    """That of 0.3/2 |W|^2, on the weights alone: 0.3 W more."""
    loss = logits(model, Features(torch.ones(2, 64))).square().sum()
    loss.backward()
    last = last_layer(model)
    weight, bias = last.weight.grad.clone(), last.bias.grad.clone()
    add_penalty(model, 0.3)
    torch.testing.assert_close(last.weight.grad - weight, 0.3 * last.weight.detach(), atol=1e-5, rtol=1e-4)
    assert torch.equal(last.bias.grad, bias)


def test_an_untrained_head_prefers_no_class():
    model = AutoModelForSequenceClassification.from_config(CONFIGS["bert"])
    make_linear(model)
    assert not last_layer(model).weight.any() and not last_layer(model).bias.any()


def test_a_head_that_is_not_linear_is_not_taken_for_one():
    model = AutoModelForSequenceClassification.from_config(CONFIGS["roberta"])
    assert can_be_linear(model) and not is_saved_linear(model) and not is_linear(model)
    conv_bert = ConvBertConfig(
        hidden_size=16, embedding_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, **SMALL
    )
    other = AutoModelForSequenceClassification.from_config(conv_bert)
    assert not can_be_linear(other) and not is_saved_linear(other)
    with saved_form(other) as same:
        assert same is other
