"""Splitting rows into passes: their grouping, and that outputs and gradients equal those of one pass."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.classifier import Classifier, embed
from text_uda.model.inputs import Batch, Embedded, Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.micro_batches import LENGTH_TOLERANCE, lengths_to_last_token, split_into_passes
from text_uda.model.packing import pack
from text_uda.objectives import VAT
from text_uda.training.step import Step

WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
LENGTHS = [40, 3, 9, 40, 30, 5, 12, 2]


def test_by_hand():
    assert split_into_passes([3, 30, 5], max_tokens=None, packed=True) == [[0, 1, 2]], "packed rows go together"
    assert split_into_passes([3, 40, 5, 38], max_tokens=None, packed=False) == [[1, 3], [2, 0]], "longest first"
    assert split_into_passes([3, 5, 4], max_tokens=None, packed=False) == [[0, 1, 2]], "in their order"
    assert split_into_passes([3, 5, 4, 6], max_tokens=9, packed=True) == [[3], [1, 2], [0]]
    assert split_into_passes([3, 5, 4, 6], max_tokens=12, packed=False) == [[3, 1], [2, 0]], (
        "two rows of 6 positions, then two of 4"
    )
    assert split_into_passes([30], max_tokens=9, packed=True) == [[0]] and split_into_passes(
        [], max_tokens=9, packed=True
    ) == [[]]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.none() | st.integers(1, 500), st.booleans())
def test_every_row_once_and_no_pass_too_large(lengths, most, packed):
    passes = split_into_passes(lengths, max_tokens=most, packed=packed)
    assert sorted(row for each in passes for row in each) == list(range(len(lengths)))
    for each in passes:
        own = [lengths[row] for row in each]
        assert packed or max(own) - min(own) <= max(LENGTH_TOLERANCE, max(own) // 4)
        assert most is None or len(each) == 1 or (sum(own) if packed else max(own) * len(own)) <= most


def test_lengths_count_up_to_the_last_token():
    assert lengths_to_last_token(torch.tensor([[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])) == [3, 1, 0]


def new_model(kind: str):
    extra = {"pooler_hidden_size": 16, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    config = CONFIG_MAPPING[kind](
        vocab_size=60, num_labels=3, pad_token_id=0, **WIDTH, **(extra if "deb" in kind else {})
    )
    with seeded_torch(0):
        model = AutoModelForSequenceClassification.from_config(config).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    pack(model)
    return model


def new_rows() -> Tokens:
    with seeded_torch(1):
        ids = torch.randint(3, 60, (len(LENGTHS), max(LENGTHS)))
    for row, length in enumerate(LENGTHS):
        ids[row, length:] = 0
    return Tokens(ids, ids.ne(0).long())


@pytest.mark.parametrize("most", [None, 50, 1])
@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
@pytest.mark.parametrize("embedded", [False, True])
def test_outputs_and_gradients_are_those_of_one_padded_pass(kind, most, embedded, monkeypatch):
    model, rows = new_model(kind), new_rows()
    together = Classifier(model)._run(rows, padded=True)
    (together.logits.square().sum() + together.hidden.sum()).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    widths, forward = [], model.base_model.forward

    def seen(*arguments, **named):
        widths.append(tuple(named["attention_mask"].shape))
        return forward(*arguments, **named)

    monkeypatch.setattr(model.base_model, "forward", seen)
    model.zero_grad()
    output = Classifier(model, tokens_per_pass=most)(embed(model, rows) if embedded else rows)
    assert (len(widths) > 1) == (most is not None or kind == "deberta-v2")
    if most is None and kind == "deberta-v2":
        assert widths == [(3, 40), (5, 12)], "rows of like lengths, no wider than they are"
    torch.testing.assert_close(output.logits, together.logits, atol=1e-10, rtol=1e-8)
    (output.logits.square().sum() + output.hidden.sum()).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-10, rtol=1e-8, msg=name)


@pytest.mark.parametrize("name", ["classifier.weight", "bert.encoder.layer.0.output.dense.weight"])
def test_a_recomputed_pass_has_the_same_dropout(name):
    """With other dropout masks, the gradient would differ from finite differences."""
    model, rows = new_model("bert").train(), new_rows()
    classifier, weight = Classifier(model, tokens_per_pass=50), model.get_parameter(name)

    def loss():
        with seeded_torch(3):
            output = classifier(rows)
        return output.logits.square().sum() + output.hidden.sum()

    loss().backward()
    with torch.no_grad():
        weight[1, 2] += 1e-6
        more = loss()
        weight[1, 2] -= 2e-6
        less = loss()
    assert weight.grad is not None
    assert weight.grad[1, 2].item() == pytest.approx(((more - less) / 2e-6).item(), rel=1e-5)


def test_activations_of_a_pass_are_not_stored():
    model, rows = new_model("bert"), new_rows()
    kept = {}
    for most in (None, 50):
        numbers = []

        def note(tensor, numbers=numbers):
            numbers.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            Classifier(model, tokens_per_pass=most)(rows)
        kept[most] = sum(numbers)
    assert kept[50] < kept[None] / 10


def test_embedded_rows_keep_their_gradient():
    model, rows = new_model("bert"), new_rows()
    gradients = []
    for most in (None, 50):
        embedded = embed(model, rows)
        values = embedded.values.detach().requires_grad_()
        output = Classifier(model, tokens_per_pass=most)(Embedded(values, embedded.attention_mask))
        gradients += torch.autograd.grad(output.logits.square().sum(), values)
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=1e-8)


def test_a_pass_without_dropout_is_recomputed_without_dropout():
    """VAT runs its passes in evaluation mode, and the backward pass comes when the model is in training mode again."""
    model, tokens = new_model("bert").train(), new_rows()
    batch = Batch(tokens, torch.tensor([0, 1] * 4), tokens, tokens)
    gradients = []
    for most in (None, 50):
        model.zero_grad()
        with seeded_torch(0):
            Step(model, (VAT(),), steps=10, tokens_per_pass=most)(batch, 0, 5).loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert model.training
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-10, rtol=1e-8, msg=name)
