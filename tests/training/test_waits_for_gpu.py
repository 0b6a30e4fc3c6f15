"""How often a step waits for a GPU. A fake tensor has no values, so code that asks for one fails."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from transformers import BertConfig, BertForSequenceClassification

from text_uda.model.inputs import Batch, Tokens, pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import attend_varlen, pack
from text_uda.objectives import PRESETS
from text_uda.training.step import Step

WAITS = (DataDependentOutputException, DynamicOutputShapeException)
META = torch.device("meta")
CHOOSES = {"uda", "fixmatch", "flexmatch", "freematch", "softmatch", "adamatch", "dash"}
"""They leave rows out of the second view: how many, the CPU has to know."""


def new_model():
    config = BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    with seeded_torch(0):
        model = BertForSequenceClassification(config).train()
    pack(model)
    return model


def tokens(*lengths: int) -> Tokens:
    return pad([torch.arange(3, 3 + length).numpy() for length in lengths], pad_id=0)


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.losses])
def test_a_step_with_all_rows_asks_for_nothing(name, monkeypatch):
    monkeypatch.setattr("text_uda.model.packing._choose_attention", lambda *_arguments: attend_varlen)
    batch = Batch(tokens(5, 2), torch.tensor([0, 2]), tokens(7, 3), tokens(6, 4), torch.arange(2), torch.arange(2))
    step = Step(new_model().to("meta", torch.bfloat16), PRESETS[name].losses, steps=10, unlabeled=2).to("meta")
    step._leave_out_masked = False
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch = replace(batch, labeled=batch.labeled.to(META)).to(META)
        step(batch, 6, 7, step.model).loss.backward()
