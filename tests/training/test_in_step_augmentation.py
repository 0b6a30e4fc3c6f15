"""Augmentations in the step: which they are, that embeddings stand for their tokens, what is counted as changed."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from text_uda.augment.cutoff import Cutoff
from text_uda.errors import SettingsError
from text_uda.model.capabilities import check_accepts_embeddings
from text_uda.model.classifier import embed, logits
from text_uda.model.inputs import Embedded, Tokens, concatenate
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.training.in_step_augmentation import augmented_view, kind_of, special_ids

WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
SMALL = {"vocab_size": 50, "num_labels": 3}
CONFIGS = {
    "bert": BertConfig(pad_token_id=0, **WIDTH, **SMALL),
    "roberta": RobertaConfig(pad_token_id=1, **WIDTH, **SMALL),
    "xlm-roberta": XLMRobertaConfig(pad_token_id=1, **WIDTH, **SMALL),
    "distilbert": DistilBertConfig(pad_token_id=0, dim=16, n_layers=2, n_heads=2, hidden_dim=8, **SMALL),
}
SPECIAL = torch.tensor([0, 1, 2, 3])


@dataclass(frozen=True)
class Next:
    """The id after, on every second position, special or not."""

    def settings(self) -> dict:
        return {"method": "next"}

    def on_tokens(self, tokens: Tokens, generator: torch.Generator) -> Tokens:
        return Tokens(tokens.input_ids + torch.arange(tokens.input_ids.shape[1]) % 2, tokens.attention_mask)


@pytest.fixture(params=CONFIGS)
def model(request):
    with seeded_torch(1):
        return AutoModelForSequenceClassification.from_config(CONFIGS[request.param]).eval()


def tokens_of(model, *lengths: int) -> Tokens:
    """Rows between two special tokens (2 and 3), padded."""
    pad = model.config.pad_token_id
    ids = torch.full((len(lengths), max(lengths) + 2), pad)
    for row, length in enumerate(lengths):
        drawn = torch.randint(4, 50, (length,), generator=torch.Generator().manual_seed(row))
        ids[row, : length + 2] = torch.cat([torch.tensor([2]), drawn, torch.tensor([3])])
    return Tokens(ids, ids.ne(pad).long())


def test_kinds():
    assert kind_of(Cutoff()) == "embeddings" and kind_of(Next()) == "tokens"
    assert kind_of(object()) is None and kind_of(None) is None


@torch.no_grad()
def test_embeddings_stand_for_their_tokens_to_the_bit(model):
    tokens = tokens_of(model, 18, 11, 3, 1)
    assert torch.equal(logits(model, embed(model, tokens)), logits(model, tokens))
    check_accepts_embeddings(model)
    more = tokens_of(model, 5, 2)  # narrower: padded once more where rows come together
    pad_id = model.config.pad_token_id
    joint = concatenate([embed(model, more), embed(model, tokens)], pad_id=pad_id)
    assert torch.equal(logits(model, joint), logits(model, concatenate([more, tokens], pad_id=pad_id)))


def test_a_model_that_takes_no_embeddings_is_told(model, monkeypatch):
    monkeypatch.setattr(model.get_input_embeddings(), "forward", lambda ids: torch.zeros(*ids.shape, 16))
    ids_only = model.forward
    monkeypatch.setattr(
        model, "forward", lambda **given: ids_only(**{n: v for n, v in given.items() if n != "inputs_embeds"})
    )
    with pytest.raises(SettingsError, match="does not accept embeddings"):
        check_accepts_embeddings(model)


@pytest.mark.parametrize("kind", ["token", "span"])
def test_erased_tokens_are_out_of_the_attention(model, kind):
    tokens = tokens_of(model, 10, 4)
    view, changed = augmented_view(
        Cutoff(kind=kind, rate=0.3), model, tokens, SPECIAL, torch.Generator().manual_seed(0)
    )
    assert isinstance(view, Embedded)
    gone = tokens.attention_mask - view.attention_mask
    assert gone.sum(dim=1).tolist() == [3, 1] and changed.item() == pytest.approx(4 / 14)
    assert not gone[torch.isin(tokens.input_ids, SPECIAL)].any()
    without = model(input_ids=tokens.input_ids, attention_mask=view.attention_mask).logits
    torch.testing.assert_close(logits(model, view), without, atol=1e-6, rtol=1e-5)


def test_gradient_reaches_the_embeddings_of_kept_tokens_alone(model):
    tokens = tokens_of(model, 10)
    view, _ = augmented_view(Cutoff(rate=0.3), model, tokens, SPECIAL, torch.Generator().manual_seed(0))
    logits(model, view)[:, 0].sum().backward()
    table: Tensor = model.get_input_embeddings().weight.grad
    kept = set(tokens.input_ids[view.attention_mask.bool()].tolist())
    gone = set(tokens.input_ids[~view.attention_mask.bool()].tolist()) - kept
    assert gone and not table[sorted(gone)].any()
    assert all(table[index].any() for index in kept)


def test_the_share_of_features_and_of_ids(model):
    tokens, generator = tokens_of(model, 6, 4), torch.Generator().manual_seed(0)
    view, changed = augmented_view(Cutoff(kind="feature", rate=0.25), model, tokens, SPECIAL, generator)
    assert changed.item() == pytest.approx(4 / 16) and torch.equal(view.attention_mask, tokens.attention_mask)
    _, changed = augmented_view(Next(), model, tokens, SPECIAL, generator)
    assert changed.item() == pytest.approx(5 / 10), "odd positions 1, 3, 5 of six tokens and 1, 3 of four"


def test_special_ids_frame_a_text(tiny_bert):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    found = tokenizer.convert_ids_to_tokens(special_ids(tokenizer).tolist())
    assert sorted(found) == ["[CLS]", "[MASK]", "[PAD]", "[SEP]"], "an unknown word is a word"
