"""Parameter groups worked out by hand; new top layers and dropouts, family by family."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertTokenizer, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.classifier import layers
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.objectives import Supervised
from text_uda.training.optimizer import parameter_groups
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

WIDTH = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
FAMILIES = {
    "bert": WIDTH,
    "roberta": WIDTH,
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16},
    "electra": WIDTH | {"embedding_size": 8},
    "modernbert": WIDTH | {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    "deberta-v2": WIDTH | {"pooler_hidden_size": 16, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}
EMBEDDINGS = {  # a weight that is to have the lowest rate
    "bert": "bert.embeddings.LayerNorm.weight",
    "roberta": "roberta.embeddings.position_embeddings.weight",
    "distilbert": "distilbert.embeddings.word_embeddings.weight",
    "electra": "electra.embeddings_project.weight",
    "modernbert": "model.embeddings.tok_embeddings.weight",
    "deberta-v2": "deberta.encoder.rel_embeddings.weight",
}
IDS = torch.arange(5, 17).view(2, 6)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family: str, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of the family, far from a new one: no bias is 0 and no scale 1."""
    path = tmp_path_factory.mktemp(family)
    tokenizer = BertTokenizer.from_pretrained(tiny_bert)
    tokenizer.save_pretrained(path)
    config = CONFIG_MAPPING[family](vocab_size=len(tokenizer), pad_token_id=0, **FAMILIES[family])
    with seeded_torch(0), torch.no_grad():
        model = AutoModelForSequenceClassification.from_config(config)
        for parameter in model.parameters():
            parameter.normal_(0.2, 0.3)
    model.base_model.save_pretrained(path)
    return path


def open_model(folder: Path, **knobs) -> PreTrainedModel:
    return load_classifier(str(folder), ("a", "b"), seed=knobs.pop("seed", 0), **knobs).model


def factors_by_name(model: PreTrainedModel, groups: list[dict]) -> dict[str, float]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [(names[parameter], group["factor"]) for group in groups for parameter in group["params"]]
    assert len(found) == len(dict(found)), "a weight is in two groups"
    return dict(found)


# --- groups -----------------------------------------------------------------------------------------------------------


def test_each_layer_has_its_factor_and_each_weight_one_group(family, folder):
    """3 layers, a decay of 0.5: 0.125 for the embeddings, then 0.25, 0.5 and 1 for the layers, 1 above them."""
    model = open_model(folder)
    factors = factors_by_name(model, parameter_groups(model, weight_decay=0.1, layer_decay=0.5))
    assert factors.keys() == {name for name, _ in model.named_parameters()}
    assert factors[EMBEDDINGS[family]] == 0.125
    own = {id(p): factor for layer, factor in zip(layers(model), (0.25, 0.5, 1.0), strict=True)
           for p in layer.parameters()}  # fmt: skip
    for name, parameter in model.named_parameters():
        if id(parameter) in own:
            assert factors[name] == own[id(parameter)], name
        elif not name.startswith(model.base_model_prefix + ".") or "pooler" in name or "final_norm" in name:
            assert factors[name] == 1, name
        else:
            assert factors[name] == 0.125, name


def test_matrices_decay_and_nothing_else(tiny_bert):
    model = load_classifier(str(tiny_bert), ("a", "b"), seed=0).model
    groups = parameter_groups(model, weight_decay=0.1)
    assert [(group["factor"], group["weight_decay"]) for group in groups] == [(1.0, 0.1), (1.0, 0.0)]
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert all(parameter.ndim == 1 for parameter in groups[1]["params"])


def test_the_head_has_a_rate_of_its_own(family, folder):
    """Three times that of the top layer; the pooler, which belongs to the encoder, has not."""
    model = open_model(folder)
    groups = parameter_groups(model, weight_decay=0.1, layer_decay=0.5, head_factor=3.0)
    factors = factors_by_name(model, groups)
    inside = model.base_model_prefix + "."
    assert {factor for name, factor in factors.items() if not name.startswith(inside)} == {3.0}
    assert max(factor for name, factor in factors.items() if name.startswith(inside)) == 1.0


def test_a_linear_head_does_not_decay(tiny_bert):
    model = load_classifier(str(tiny_bert), ("a", "b"), seed=0, linear_head=True).model
    groups = parameter_groups(model, weight_decay=0.1, head_factor=100.0)
    head = {parameter for name, parameter in model.named_parameters() if name.startswith("classifier.")}
    assert {*groups[0]["params"]} == head and (groups[0]["factor"], groups[0]["weight_decay"]) == (100.0, 0.0)
    assert [(group["factor"], group["weight_decay"]) for group in groups[1:]] == [(1.0, 0.1), (1.0, 0.0)]


def test_frozen_weights_are_in_no_group(tiny_bert):
    model = load_classifier(str(tiny_bert), ("a", "b"), seed=0).model
    choose_trained_weights(model, "last:1")
    factors = factors_by_name(model, parameter_groups(model, weight_decay=0.0, layer_decay=0.5))
    assert factors.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert set(factors.values()) == {1.0}, "the last layer, the pooler and the head"


def test_an_appended_averaging_layer_is_no_step_of_the_decay(tiny_bert, tmp_path):
    path = averaging(tiny_bert, tmp_path)
    model = load_classifier(str(path), ("a", "b"), seed=0).model
    factors = factors_by_name(model, parameter_groups(model, weight_decay=0.0, layer_decay=0.5))
    assert [factors[f"bert.encoder.layer.{n}.output.dense.weight"] for n in range(3)] == [0.5, 1.0, 1.0]


def averaging(encoder: Path, folder: Path) -> Path:
    """The same encoder with the note that its tokens are to be averaged."""
    path = folder / "averaging"
    (path / "1_Pooling").mkdir(parents=True)
    for file in encoder.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return path


def test_the_trainer_follows_the_factors(tiny_bert, tmp_path):
    """With a decay of almost nothing, embeddings and the lower layer stay where they are."""
    rows = Rows(("a good film", "a bad plot"), (1, 0))
    split = Split("two", ("bad", "good"), rows, (), rows, rows, "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, layer_decay=1e-30, learning_rate=1e-2,
                             weight_decay=0.0)  # fmt: skip
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
    before = load_classifier(str(tiny_bert), split.classes, seed=0).model.state_dict()
    after = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model").state_dict()
    moved = {name for name, value in after.items() if not torch.allclose(value, before[name], rtol=0, atol=1e-20)}
    assert moved and not any(".embeddings." in name or ".layer.0." in name for name in moved)
    assert any(".layer.1." in name for name in moved) and "classifier.weight" in moved


# --- new top layers ---------------------------------------------------------------------------------------------------


def test_top_layers_are_new_and_lower_ones_are_those_of_the_encoder(folder):
    before, after = open_model(folder), open_model(folder, reinit_layers=2)
    again, other = open_model(folder, reinit_layers=2), open_model(folder, reinit_layers=2, seed=1)
    base = before.base_model.state_dict()
    new = {name for name, value in after.base_model.state_dict().items() if not torch.equal(value, base[name])}
    top = [id(p) for layer in layers(after)[1:] for p in layer.parameters()]
    expected = {name for name, p in after.base_model.named_parameters() if id(p) in top or name.startswith("pooler.")}
    assert new == expected
    state = after.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    matrices = [name for name in expected if state_of(after)[name].ndim > 1]
    assert not any(torch.equal(state_of(after)[name], state_of(other)[name]) for name in matrices)
    for name in expected:
        value = state_of(after)[name].detach()
        if value.ndim > 1:
            assert 0.01 < float(value.std()) < 0.03, "initializer_range is 0.02"
        else:
            assert torch.all(value == (0 if name.endswith("bias") else 1)), name


def state_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return dict(model.base_model.named_parameters())


def test_the_averaging_layer_and_its_pooler_are_not_drawn(tiny_bert, tmp_path):
    path = averaging(tiny_bert, tmp_path)
    before, after = (open_model(path, reinit_layers=count).state_dict() for count in (0, 1))
    new = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert new and all(".layer.1." in name for name in new)


def test_more_new_layers_than_there_are(tiny_bert):
    with pytest.raises(SettingsError, match="reinit_layers=3: the encoder has 2 layers"):
        open_model(tiny_bert, reinit_layers=3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reinit_layers": 1, "tune": "head"}, "tune='head' trains 0 of them"),
        ({"reinit_layers": 3, "tune": "last:2"}, "give tune='last:3'"),
        ({"reinit_layers": -1}, "reinit_layers=-1: give 0 or more"),
        ({"layer_decay": 0.0}, "layer_decay=0.0: give a number above 0"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        ({"layer_decay": float("nan")}, "layer_decay=nan"),
        ({"layer_decay": 0.9, "tune": "head"}, "layer_decay has no effect"),
        ({"compile": True, "tune": "head"}, "compile has no effect"),
        ({"dropout": 1.0}, r"dropout=1.0: give a number in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
    ],
)
def test_settings_that_do_not_go_together(given, said):
    with pytest.raises(SettingsError, match=said):
        TrainSettings(**given)
    assert TrainSettings(reinit_layers=2, tune="last:2", layer_decay=0.9, dropout=0.0).dropout == 0


# --- dropout ----------------------------------------------------------------------------------------------------------


def outputs(model: PreTrainedModel) -> list[torch.Tensor]:
    model.train()
    with torch.no_grad():
        return [model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits for _ in range(2)]


def test_without_dropout_two_passes_are_equal_and_with_it_they_are_not(folder):
    assert torch.equal(*outputs(open_model(folder, dropout=0.0)))
    with seeded_torch(0):
        assert not torch.equal(*outputs(open_model(folder, dropout=0.3)))


def test_a_dropout_is_everywhere(family, folder):
    """Also where the configuration has 0, and the module would be left out (ModernBERT)."""
    model = open_model(folder, dropout=0.25)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates and set(rates.values()) == {0.25}
    assert {m.attention_dropout for m in model.modules() if hasattr(m, "attention_dropout")} <= {0.25}
    if family == "modernbert":
        assert "model.layers.0.attn.out_drop" in rates


def test_nothing_said_leaves_the_encoders_own(folder):
    pack(model := open_model(folder))
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    rates = [[m.p for m in each.modules() if isinstance(m, torch.nn.Dropout)] for each in (model, plain)]
    assert rates[0] == rates[1]
