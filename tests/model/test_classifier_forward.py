"""The model as the objectives see it: logits, last hidden vector, and rows mixed at the embeddings or after a layer."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.errors import SettingsError
from text_uda.model.capabilities import check_accepts_embeddings, check_last_layer_is_linear
from text_uda.model.classifier import Classifier, layers, logits
from text_uda.model.inputs import Embedded, Features, Tokens, pad_to_width
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.mixing import Mixing
from text_uda.model.packing import is_packed, pack

WIDTH = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
ENCODERS = {
    "bert": WIDTH,
    "roberta": WIDTH,
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16},
    "deberta-v2": WIDTH | {"pooler_hidden_size": 16, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": WIDTH
    | {"local_attention": 4, "global_attn_every_n_layers": 2}
    | {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
    "modernbert, mean of the tokens": WIDTH
    | {"local_attention": 4, "global_attn_every_n_layers": 2, "classifier_pooling": "mean"}
    | {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
    "electra": WIDTH | {"embedding_size": 8},
}
MIXING = Mixing(torch.tensor([0.7, 0.5, 0.4, 1.0]), torch.tensor([1, 2, 0, 3]), (4,))


@pytest.fixture(params=ENCODERS, scope="module")
def classifier(request) -> Classifier:
    """Random, and far enough from zero that rows, layers and what stands at padding make a difference."""
    return new_classifier(request.param)


def new_classifier(kind: str) -> Classifier:
    config = CONFIG_MAPPING[kind.split(",")[0]](vocab_size=60, num_labels=3, pad_token_id=0, **ENCODERS[kind])
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    return Classifier(model)


def tokens_of(*lengths: int) -> Tokens:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, 60, mask.shape, generator=torch.Generator().manual_seed(2))
    return Tokens(ids * mask, mask.long())


LONG, RAGGED = tokens_of(9, 9, 9, 9), tokens_of(4, 9, 6, 8)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def run(classifier: Classifier, rows, **settings) -> Tensor:
    with torch.no_grad():
        return classifier(rows, **settings).logits


def after(classifier: Classifier, layer: int, run_it, replacement: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What `run_it` gives, and the states after this layer, which may be replaced by others."""
    seen = []

    def hook(_module, _arguments, output):
        seen.append(output[0] if isinstance(output, tuple) else output)
        if replacement is None:
            return None
        return (replacement, *output[1:]) if isinstance(output, tuple) else replacement

    handle = layers(classifier.model)[layer - 1].register_forward_hook(hook)
    with torch.no_grad():
        result = run_it()
    handle.remove()
    return result, seen[0]


def by_hand(classifier: Classifier, tokens: Tokens, mixing: Mixing, layer: int) -> Tensor:
    """Mix the states of tokens in a loop over rows, and have the model go on with a mask that it makes itself."""
    model, partner = classifier.model, mixing.partner.tolist()

    def mixed(states: Tensor) -> Tensor:
        there = states * tokens.attention_mask[..., None]
        pairs = zip(mixing.weight.tolist(), range(len(there)), partner, strict=True)
        return torch.stack([m * there[own] + (1 - m) * there[other] for m, own, other in pairs])

    either = (tokens.attention_mask + tokens.attention_mask[partner] > 0).long()
    if layer == 0:
        with torch.no_grad():
            embedded = mixed(model.get_input_embeddings()(tokens.input_ids))
            return model(inputs_embeds=embedded, attention_mask=either).logits
    _, states = after(classifier, layer, lambda: model(tokens.input_ids, attention_mask=tokens.attention_mask))
    result, _ = after(classifier, layer, lambda: model(tokens.input_ids, attention_mask=either), mixed(states))
    return result.logits


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize("tokens", [LONG, RAGGED], ids=["long", "ragged"])
def test_mixing_is_what_it_is_by_hand(classifier, tokens, layer):
    expected = by_hand(classifier, tokens, MIXING, layer)
    assert (expected - run(classifier, tokens)).abs().max() > 1e-3  # else it says nothing
    close(run(classifier, tokens, mixing=MIXING, layer=layer), expected)
    if layer > 0:
        with torch.no_grad():
            embedded = classifier.embed(tokens)
        close(run(classifier, embedded, mixing=MIXING, layer=layer), expected)


@pytest.mark.parametrize("layer", range(4))
def test_a_row_that_is_its_own_partner_stays_what_it_is(classifier, layer):
    own = Mixing(torch.tensor([0.3, 0.5, 0.9, 1.0]), torch.arange(4), (4,))
    close(run(classifier, RAGGED, mixing=own, layer=layer), run(classifier, RAGGED))


@pytest.mark.parametrize("layer", range(4))
def test_weights_of_one_and_zero_give_the_row_and_its_partner(classifier, layer):
    plain, partner = run(classifier, LONG), MIXING.partner
    close(run(classifier, LONG, mixing=Mixing(torch.ones(4), partner, (4,)), layer=layer), plain)
    close(run(classifier, LONG, mixing=Mixing(torch.zeros(4), partner, (4,)), layer=layer), plain[partner])


@pytest.mark.parametrize("layer", range(4))
def test_what_stands_at_padding_and_how_much_changes_nothing(classifier, layer):
    """So that it is the same in one process and in several, which pad to another width."""
    wide = pad_to_width(RAGGED, 13, pad_id=0)
    with torch.no_grad():
        embedded = classifier.embed(RAGGED)
    zeros = Embedded(embedded.values * RAGGED.attention_mask[..., None], RAGGED.attention_mask)
    expected = run(classifier, RAGGED, mixing=MIXING, layer=layer)
    for rows in (wide, zeros, pad_to_width(zeros, 13, pad_id=0)):
        close(run(classifier, rows, mixing=MIXING, layer=layer), expected)


@pytest.mark.parametrize("kind", [kind for kind in ENCODERS if kind != "deberta-v2"])
def test_encoders_that_do_without_padding_mix_as_others(kind):
    classifier = new_classifier(kind)
    mixed, plain = [run(classifier, RAGGED, mixing=MIXING, layer=layer) for layer in range(4)], run(classifier, RAGGED)
    pack(classifier.model)
    assert is_packed(classifier.model)
    for layer in range(4):
        close(run(classifier, RAGGED, mixing=MIXING, layer=layer), mixed[layer])
        close(run(classifier, RAGGED), plain)  # and no hook is left behind


def test_features_are_mixed_as_they_are():
    config = CONFIG_MAPPING["bert"](vocab_size=60, num_labels=3, **WIDTH)
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(config).eval()
        values = torch.randn(4, 16)
    mixed = torch.stack([0.7 * values[0] + 0.3 * values[1], 0.5 * (values[1] + values[2])])
    mixed = torch.cat([mixed, 0.4 * values[2:3] + 0.6 * values[:1], values[3:]])
    for layer in (0, 2):
        found = run(Classifier(model), Features(values), mixing=MIXING, layer=layer)
        with torch.no_grad():
            close(found, logits(model, Features(mixed)))


def test_the_gradient_goes_through_both_rows(classifier):
    for layer in range(4):
        embedded = classifier.embed(RAGGED)
        values = embedded.values.detach().requires_grad_()
        output = classifier(Embedded(values, RAGGED.attention_mask), mixing=MIXING, layer=layer)
        (gradient,) = torch.autograd.grad(output.logits[0].sum(), values)
        reached = gradient.abs().sum(dim=(1, 2)) > 0
        assert reached.tolist() == [True, True, False, False]  # row 0 and its partner 1


def test_the_last_layer_of_the_hidden_vectors_is_the_logits(classifier):
    check_last_layer_is_linear(classifier.model)
    check_accepts_embeddings(classifier.model)
    with torch.no_grad():
        output = classifier(RAGGED)
        assert output.hidden.shape == (4, 16) and output.logits.dtype == output.hidden.dtype == torch.float32
        close(classifier.last_layer(output.hidden), output.logits)
        close(output.logits, classifier.model(RAGGED.input_ids, attention_mask=RAGGED.attention_mask).logits)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = classifier(RAGGED)
    assert output.logits.dtype == output.hidden.dtype == torch.float32


def test_a_last_layer_that_is_not_one_is_refused():
    classifier = new_classifier("bert")
    forward = classifier.model.forward

    def squared(*arguments, **named):
        output = forward(*arguments, **named)
        output.logits = output.logits.square()
        return output

    classifier.model.forward = squared
    with pytest.raises(SettingsError, match="not a linear layer"):
        check_last_layer_is_linear(classifier.model)


def test_without_dropout_ends_as_it_began(classifier):
    for training in (True, False):
        classifier.model.train(training)
        with classifier.without_dropout():
            assert not classifier.model.training
        assert classifier.model.training is training
