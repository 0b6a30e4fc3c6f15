"""Layers that replay CUDA graphs, beside layers that do not: gradients over many shapes, and a whole training."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification

from text_uda.augment.switchout import SwitchOut
from text_uda.data import Rows, Split
from text_uda.model.classifier import Classifier, layers
from text_uda.model.compiled_layers import compile_layers
from text_uda.model.inputs import pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.model.pretrained import load_tokenizer
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train


@pytest.fixture(autouse=True)
def _no_checks_of_shapes(monkeypatch):
    """Dynamo would trace the checks that the tests put around each function, for minutes."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def new_classifier(device: torch.device, *, dropout: float = 0.0) -> Classifier:
    sizes = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    with seeded_torch(0):
        model = BertForSequenceClassification(BertConfig(vocab_size=60, num_labels=3, **sizes, **rates)).train()
    pack(model)
    return Classifier(model.to(device))


def gradients(classifier: Classifier) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in classifier.model.parameters()]).double()


def test_gradients_are_those_of_layers_without_graphs(cuda):
    """Each shape four times: run, recorded, and replayed. The last two passes share a backward pass."""
    from torch._inductor.cudagraph_trees import get_manager

    plain, graphed = new_classifier(cuda), new_classifier(cuda)
    compile_layers(layers(graphed.model), graphs=True)
    forward = layers(graphed.model)[0].forward
    assert not forward.can_replay()  # in float32
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert forward.can_replay()
    rng = np.random.default_rng(0)
    sets = [
        pad([rng.integers(3, 60, length) for length in rng.integers(2, 200, count)], pad_id=0).to(cuda)
        for count in (8, 20, 33)
    ]
    for _ in range(4):
        for rows, others in zip(sets, sets[1:] + sets[:1], strict=True):
            for classifier in (plain, graphed):
                classifier.model.zero_grad()
                with torch.autocast("cuda", dtype=torch.bfloat16):
                    with torch.no_grad():
                        targets = classifier(others).logits.softmax(dim=-1)
                    one, two = classifier(rows), classifier(others)
                    loss = one.logits.pow(2).mean() + (two.logits - targets).pow(2).mean() + two.hidden.pow(2).mean()
                loss.backward()
            expected, found = gradients(plain), gradients(graphed)
            assert (found - expected).norm() / expected.norm() < 0.02
    tree = get_manager(cuda.index or 0, create_if_none_exists=False)
    assert tree is not None and tree.new_graph_id().id > 10  # recordings


def test_dropout_differs_by_seed_and_repeats_with_it(cuda):
    classifier = new_classifier(cuda, dropout=0.3)
    compile_layers(layers(classifier.model), graphs=True)
    rows = pad([np.arange(3, 50), np.arange(10, 30)], pad_id=0).to(cuda)

    def run(seed: int) -> torch.Tensor:
        with seeded_torch(seed), torch.autocast("cuda", dtype=torch.bfloat16):
            logits = classifier(rows).logits
        logits.sum().backward()
        classifier.model.zero_grad()
        return logits.detach().clone()

    for seed in range(3):
        run(seed)  # up to the replays
    assert torch.equal(run(1), run(1)) and not torch.equal(run(1), run(2))


@pytest.mark.filterwarnings("ignore")
def test_a_training_comes_to_nearly_the_same_weights(cuda, tmp_path):
    folder = tmp_path / "encoder"
    load_tokenizer("minilm-l6").save_pretrained(folder)
    config = BertConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
    )  # fmt: skip
    with seeded_torch(0):
        BertForSequenceClassification(config).save_pretrained(folder)
    words = ("a good film", "the worst scene and a bad plot", "not fine", "the best story of all", "dull", "great")
    texts = tuple(f"{one}, {two}" for one in words for two in words)
    labeled = Rows(texts[:8], (0, 1) * 4)
    split = Split("texts", ("bad", "good"), labeled, texts[8:], labeled, labeled, "0" * 32)
    settings = TrainSettings(encoder=str(folder), steps=12, labeled_batch=4, max_tokens=32, precision="bf16",
                             evaluate_every=4, log_every=1)  # fmt: skip
    for name, compiled in (("plain", False), ("compiled", True)):
        train(split, augmentation=SwitchOut(tokenizer=str(folder), rate=0.2), out=tmp_path / name,
              settings=replace(settings, compile=compiled))  # fmt: skip
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("plain", "compiled")]
    for name, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][name].numpy(), weight.numpy(), atol=2e-3, rtol=0.05, err_msg=name)
