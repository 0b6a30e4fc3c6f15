"""That a step does not wait for a GPU. A fake tensor has no values, so code that asks for one fails."""

from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import BertConfig, BertForSequenceClassification

from text_uda.augment.uniform import Uniform
from text_uda.model.attention import attend_varlen
from text_uda.model.inputs import Batch, Tokens, pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.objectives import PRESETS
from text_uda.training.in_step_augmentation import augmented_view
from text_uda.training.step import Step

META = torch.device("meta")


@pytest.fixture(scope="module")
def model():
    config = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3
    )
    with seeded_torch(0):
        model = BertForSequenceClassification(config).train()
    pack(model)
    return model.to("meta")


def tokens(*lengths: int) -> Tokens:
    return pad([torch.arange(3, 3 + length).numpy() for length in lengths], pad_id=0)


@pytest.mark.parametrize("name", ["supervised", "uda", "vat", "mixmatch", "tmix"])
def test_a_step_that_runs_all_rows_asks_for_nothing(name, model, monkeypatch):
    """FlexMatch, FreeMatch and Dash ask for rows or a threshold, and a step that leaves rows out for their number."""
    monkeypatch.setattr("text_uda.model.packing.choose_attention", lambda *_arguments: attend_varlen)
    monkeypatch.setattr("torch.autocast", lambda *_arguments, **_named: nullcontext())  # it knows no meta tensors
    batch = Batch(tokens(5, 2), torch.tensor([0, 2]), tokens(7, 3), tokens(6, 4), torch.arange(2), torch.arange(2))
    step = Step(model, PRESETS[name].losses, steps=10, unlabeled=2).to(META)
    step._leave_out_masked = False
    with FakeTensorMode(allow_non_fake_inputs=True):
        step(batch.to(META), 6, 7, model).loss.backward()
    assert step.token_counts.tokens >= 5 + 2


def test_tokens_replaced_in_the_step_keep_their_lengths(tiny_bert):
    rows = tokens(7, 3)
    view, _ = augmented_view(Uniform(tokenizer=str(tiny_bert)), None, rows, torch.arange(3), torch.Generator())
    assert isinstance(view, Tokens) and view.lengths == rows.lengths == (7, 3)
