"""Linear layers with packed weights: the same results, only where they help, and the model stays as it is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model import fused_linear as module
from text_uda.model.frozen_encoder import FeatureRows, FrozenEncoder
from text_uda.model.fused_linear import MIN_TOKENS, fused_linear
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import autocast
from text_uda.model.pretrained import load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.runs.prediction import probabilities

WIDTH = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 80}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", WIDTH),
    "approximate gelu": ("bert", WIDTH | {"hidden_act": "gelu_new"}),
    "relu": ("roberta", WIDTH | {"hidden_act": "relu"}),
    "distilbert": ("distilbert", {"dim": 48, "n_layers": 2, "n_heads": 2, "hidden_dim": 80}),
    "modernbert": ("modernbert", WIDTH | {"cls_token_id": 1, "sep_token_id": 2}),
    "shared layers": ("albert", WIDTH | {"embedding_size": 16}),
    "deberta-v2": ("deberta-v2", WIDTH),
}


def new_model(name: str):
    kind, sizes = ENCODERS[name]
    specials = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    with seeded_torch(0):
        config = CONFIG_MAPPING[kind](vocab_size=60, num_labels=3, **specials, **sizes)
        model = AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for weights in model.parameters():
                weights.normal_(0, 0.15)
    return model


@pytest.fixture
def bert():
    return new_model("bert")


def replaced(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_modules() if "forward" in vars(part)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ENCODERS)
def test_the_logits_are_those_of_the_plain_model(name, precision):
    model = new_model(name)
    with seeded_torch(1):
        ids = torch.randint(3, 60, (4, 9))

    def logits(*, fused: bool) -> torch.Tensor:
        block = fused_linear(model, precision, tokens=MIN_TOKENS) if fused else nullcontext()
        with torch.inference_mode(), autocast("cpu", precision), block:
            assert bool(replaced(model)) == fused
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()

    plain, fused = logits(fused=False), logits(fused=True)
    assert plain.std() > 0.1  # they differ by row and class
    assert (fused - plain).abs().max() < (1e-5 if precision == "fp32" else 0.05) * plain.abs().max()
    assert replaced(model) == []


def test_gelu_is_in_the_product(bert):
    with torch.inference_mode(), fused_linear(bert, "fp32", tokens=MIN_TOKENS):
        names = replaced(bert)
    assert "bert.encoder.layer.1.intermediate" in names and "bert.encoder.layer.0.attention.self.value" in names
    assert "bert.encoder.layer.1.intermediate.dense" not in names  # its weights would be packed twice
    assert "classifier" not in names  # the head is not the encoder


def test_gradients_of_another_thread_are_those_of_the_model(bert):
    ids = torch.arange(3, 12)[None]
    with torch.inference_mode(), fused_linear(bert, "fp32"), ThreadPoolExecutor(1) as other:
        assert replaced(bert)
        logits = other.submit(lambda: bert(input_ids=ids).logits).result()
        other.submit(lambda: logits.sum().backward()).result()
        with fused_linear(new_model("bert"), "fp32"):  # a second block does nothing, and waits for nothing
            pass
    assert replaced(bert) == []
    assert all(weights.grad is not None for weights in bert.bert.encoder.parameters())


def test_the_first_call_can_be_in_bf16(bert, unchecked, caplog):
    with torch.inference_mode(), autocast("cpu", "bf16"), fused_linear(bert, "bf16"):
        assert replaced(bert)
    assert not caplog.records


def test_after_an_error_the_model_is_as_before(bert):
    with pytest.raises(KeyboardInterrupt), torch.inference_mode(), fused_linear(bert, "fp32", tokens=MIN_TOKENS):
        raise KeyboardInterrupt
    assert replaced(bert) == []


def test_it_changes_nothing_where_it_does_not_help(bert):
    compiled = new_model("bert")
    compiled.bert.encoder.layer[0].forward = compiled.bert.encoder.layer[0].forward
    double = new_model("bert").double()
    for model, tokens in ((bert, MIN_TOKENS - 1), (compiled, MIN_TOKENS), (double, MIN_TOKENS)):
        before = replaced(model)
        with torch.inference_mode(), fused_linear(model, "fp32", tokens=tokens):
            assert replaced(model) == before
        assert replaced(model) == before


def test_a_block_with_gradients_is_refused(bert):
    with pytest.raises(AssertionError, match="no gradient"), fused_linear(bert, "fp32", tokens=MIN_TOKENS):
        pass


@pytest.fixture
def unchecked() -> Iterator[None]:
    module._operators_work.cache_clear()
    yield
    module._operators_work.cache_clear()


def _raise(*_: Any, **__: Any) -> torch.Tensor:
    raise RuntimeError("could not create\na primitive")


@pytest.mark.parametrize(
    ("product", "reason"),
    [(_raise, "could not create a primitive"), (lambda x, **_: x.new_zeros(2, 3, 64), "its results are wrong")],
)
def test_where_the_operators_fail_the_layers_run_as_they_are(bert, product, reason, unchecked, monkeypatch, caplog):
    monkeypatch.setattr(module, "_product", product)
    for _ in range(2):
        with torch.inference_mode(), fused_linear(bert, "fp32", tokens=MIN_TOKENS):
            assert replaced(bert) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"linear layers run without packed weights: oneDNN's product fails here ({reason})"
    ]


def test_predicting_and_encoding_use_it_and_features_do_not(tiny_bert, monkeypatch):
    """Of 300 texts of 5 tokens; 2,000 features do not pass through the encoder."""
    loaded = load_classifier(str(tiny_bert), ("bad", "good"), seed=0)
    texts = [f"the film {number}" for number in range(300)]
    rows = TokenRows(texts, loaded.tokenizer, max_tokens=16)
    products, product = [], module._product

    def counted(values: torch.Tensor, **named: Any) -> torch.Tensor:
        products.append(values.shape[-1])
        return product(values, **named)

    monkeypatch.setattr(module, "_product", counted)
    module._operators_work()
    products.clear()
    fused = probabilities(loaded.model, rows)
    assert products
    products.clear()
    features = FrozenEncoder(loaded.model, loaded.tokenizer, max_tokens=16).rows(texts).values
    assert features.isfinite().all() and products
    products.clear()
    probabilities(loaded.model, FeatureRows(features.repeat(7, 1)))
    assert products == []
    monkeypatch.setattr(module, "MIN_TOKENS", 10**9)
    assert np.abs(probabilities(loaded.model, rows) - fused).max() < 1e-6
    assert products == []
