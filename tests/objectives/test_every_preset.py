"""What holds for each method: gradients on every encoder, on features and in bf16; keyed draws; a weight of zero."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.capabilities import check_accepts_embeddings, check_last_layer_is_linear
from text_uda.model.classifier import layers
from text_uda.model.inputs import Batch, Features, Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.objectives import PRESETS, Preset, Supervised, all_needs
from text_uda.objectives.weight_averaging import EMA, Averaged
from text_uda.training.step import Step

STEPPING = [name for name, preset in PRESETS.items() if preset.losses]  # all but the baselines
WIDTH = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
ENCODERS = {
    "bert": WIDTH,
    "roberta": WIDTH,
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16},
    "deberta-v2": WIDTH | {"pooler_hidden_size": 16, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": WIDTH | {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
}


def new_model(kind: str):
    config = CONFIG_MAPPING[kind](vocab_size=60, num_labels=3, pad_token_id=0, **ENCODERS[kind])
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():  # predictions that depend on the text, and differ from row to row
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    return model.train()


def new_batch() -> Batch:
    def tokens(rows: int, width: int) -> Tokens:
        ids = torch.randint(3, 60, (rows, width))
        for row in range(1, rows):
            ids[row, width - row % 3 :] = 0
        return Tokens(ids, ids.ne(0).long())

    with seeded_torch(2):
        return Batch(
            tokens(4, 6), torch.tensor([0, 1, 2, 1]), tokens(6, 8), tokens(6, 9), torch.arange(4), torch.arange(6)
        )


def alone(eager, name: str) -> Preset:
    """The method without the supervised loss, which would give every weight a gradient whatever the method does."""
    objectives = tuple(eager(PRESETS[name]))
    return Preset(tuple(each for each in objectives if not isinstance(each, Supervised)) or objectives)


def run(model, preset: Preset, batch: Batch, *, step: int = 6):
    """Loss and gradients of one step in the middle of a run."""
    teacher = Averaged(model, EMA(), steps=10).model
    module = Step(model, preset.objectives, steps=10, unlabeled=6)
    with seeded_torch(3):
        result = module(batch, step, 7, teacher)
    result.loss.backward()
    return result, {name: p.grad for name, p in model.named_parameters()}


def but_of_the_last_layer(model, gradients: dict, *, left_out: bool) -> dict:
    """Contrast trains the vector that the last layer reads, and gives that layer no gradient."""
    last = [name for name, p in model.named_parameters() if p.shape[0] == 3 and "classifier" in name]
    assert len(last) == 2 and all((gradients[name] is None) == left_out for name in last)
    return {name: gradient for name, gradient in gradients.items() if not left_out or name not in last}


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("name", STEPPING)
def test_every_weight_of_every_encoder_gets_a_gradient(name, kind, eager):
    model, preset = new_model(kind), alone(eager, name)
    needs = all_needs(preset.objectives)
    if needs.embeddings:
        check_accepts_embeddings(model)
    if needs.hidden:
        check_last_layer_is_linear(model)
    if needs.layers:
        assert len(layers(model)) == 3
    pack(model)
    result, gradients = run(model, preset, new_batch())
    assert torch.isfinite(result.loss) and result.parts.keys() == {type(each).__name__ for each in preset.objectives}
    gradients = but_of_the_last_layer(model, gradients, left_out=needs.no_head_gradient)
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    assert all(gradient.abs().sum() > 0 for weight, gradient in gradients.items() if "word_embed" in weight)
    assert all(gradient.abs().sum() > 0 for weight, gradient in gradients.items() if "classifier" in weight)
    assert all(value == value for value in map(float, result.terms.values())), result.terms


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("name", STEPPING)
def test_it_works_in_bf16(name, packs, eager):
    results = []
    for half in (True, False):
        model = new_model("bert")
        if packs:
            pack(model)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            results.append(run(model, alone(eager, name), new_batch()))
    (result, gradients), (exact, _) = results
    assert result.loss.dtype == torch.float32 and result.loss != exact.loss
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values() if gradient is not None)
    assert sum(gradient.abs().sum() for gradient in gradients.values() if gradient is not None) > 0
    assert result.loss.item() == pytest.approx(exact.loss.item(), rel=0.2, abs=0.05)


@pytest.mark.parametrize("name", STEPPING)
def test_it_works_on_features_of_a_frozen_encoder(name, eager):
    model, tokens = new_model("bert"), new_batch()
    model.base_model.requires_grad_(False)
    model.get_submodule("bert.pooler").requires_grad_(True)
    with seeded_torch(4):
        labeled, original, second = (Features(torch.randn(rows, 16)) for rows in (4, 6, 6))
    batch = replace(tokens, labeled=labeled, original=original, augmented=second)
    preset = alone(eager, name)
    result, gradients = run(model, preset, batch)
    assert torch.isfinite(result.loss)
    left_out = all_needs(preset.objectives).no_head_gradient
    gradients = but_of_the_last_layer(model, gradients, left_out=left_out)
    heads = [gradient for weight, gradient in gradients.items() if "classifier" in weight or "pooler" in weight]
    assert len(heads) == (2 if left_out else 4) and all(
        gradient is not None and gradient.abs().sum() > 0 for gradient in heads
    )


@pytest.mark.parametrize("name", STEPPING)
def test_the_draws_of_a_step_depend_on_its_key_alone(eager, name):
    first, again = (run(new_model("bert").eval(), PRESETS[name], new_batch()) for _ in range(2))
    torch.manual_seed(0)
    torch.rand(3)
    after = run(new_model("bert").eval(), PRESETS[name], new_batch())
    for other in (again, after):
        assert torch.equal(first[0].loss, other[0].loss)
        assert all(torch.equal(gradient, other[1][weight]) for weight, gradient in first[1].items())


@pytest.mark.parametrize(
    "name", [name for name, preset in PRESETS.items() if isinstance(preset.objectives[0], Supervised)]
)
def test_with_a_weight_of_zero_it_is_the_supervised_loss_to_the_bit(name):
    off = [each if isinstance(each, Supervised) else replace(each, weight=0.0) for each in PRESETS[name].objectives]  # pyright: ignore
    batch = new_batch()
    supervised, expected = run(new_model("bert"), PRESETS["supervised"], Batch(batch.labeled, batch.labels))
    result, found = run(new_model("bert"), Preset(tuple(off)), batch)
    assert torch.equal(result.loss, supervised.loss)
    assert all(torch.equal(found[weight], gradient) for weight, gradient in expected.items())
