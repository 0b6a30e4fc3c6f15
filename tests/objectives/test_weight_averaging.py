"""EMA and fast-SWA: the averages by hand, the cyclic rate, shared frozen weights, and what a run keeps and looks at."""

import json
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import Supervised
from text_uda.objectives.weight_averaging import EMA, Averaged, FastSWA
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

SMALL = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
ROWS = Rows(("a good film", "a bad film"), (1, 0))
SPLIT = Split("test", ("bad", "good"), ROWS, (), ROWS, ROWS, "0" * 32)


@pytest.fixture
def model():
    with seeded_torch(0):
        model = BertForSequenceClassification(BertConfig(**SMALL))
    model.bert.requires_grad_(False)
    return model


def walk(model, steps: int, seed: int = 0):
    """Move the head at random, one step after another; gives the head's weights after each."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        with torch.no_grad():
            model.classifier.weight.add_(torch.randn(model.classifier.weight.shape, generator=generator))
        yield step, model.classifier.weight.detach().numpy().copy()


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_moving_average_is_that_of_the_formula(model, decay):
    averaged = Averaged(model, EMA(decay=decay), steps=30)
    expected = model.classifier.weight.detach().numpy().copy()
    for step, weights in walk(model, 30):
        averaged.update(model, step)
        alpha = min(1 - 1 / (step + 2), decay)  # the authors count steps from 1
        expected = alpha * expected + (1 - alpha) * weights
        np.testing.assert_allclose(averaged.model.classifier.weight, expected, atol=1e-5)


@pytest.mark.parametrize(("every", "steps"), [(1, 40), (5, 40), (4, 37)])
def test_fast_swa_is_the_plain_mean_of_every_kth_weight_since_its_start(model, every, steps):
    averaging = FastSWA(decay_until=0.5, cosine_length=0.6, cycle=0.25, every=every)
    averaged = Averaged(model, averaging, steps=steps)
    start, taken = round(0.5 * steps) - round(0.25 * steps), []
    for step, weights in walk(model, steps):
        averaged.update(model, step)
        done = step + 1
        if done <= start:
            np.testing.assert_array_equal(averaged.model.classifier.weight, weights)
            taken = [weights]
        elif (done - start) % every == 0:
            taken.append(weights)
        np.testing.assert_allclose(averaged.model.classifier.weight, np.mean(taken, axis=0), atol=1e-5)
    assert len(taken) > 3


def test_the_rate_follows_a_cosine_and_then_the_last_cycle_of_it_again_and_again():
    averaging = FastSWA(decay_until=0.5, cosine_length=0.625, cycle=0.125)
    rate = [averaging.learning_rate_factor(step=step, steps=80, warmup_steps=0) for step in range(80)]
    cosine = [0.5 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    assert rate[:40] == pytest.approx(cosine[:40])
    for start in (40, 50, 60, 70):
        assert rate[start : start + 10] == pytest.approx(cosine[30:40])


def test_a_cycle_has_as_many_steps_wherever_it_begins():
    averaging = FastSWA(decay_until=0.5, cosine_length=0.6, cycle=0.1)
    rate = [averaging.learning_rate_factor(step=step, steps=100, warmup_steps=0) for step in range(100)]
    for start in (50, 60, 70, 80, 90):
        assert rate[start : start + 10] == rate[40:50]


def test_the_warm_up_comes_before():
    rate = [FastSWA().learning_rate_factor(step=step, steps=100, warmup_steps=4) for step in range(3)]
    assert rate[0] == pytest.approx(0.25, rel=0.01) and rate == sorted(rate)


def test_an_ema_follows_the_schedule_of_the_settings_and_fast_swa_its_own(tiny_bert, tmp_path):
    one = TrainSettings(
        encoder=str(tiny_bert), steps=4, labeled_batch=2, learning_rate=1e-3, schedule="constant", log_every=1
    )
    own = FastSWA(decay_until=0.5, cosine_length=1.0, cycle=0.25)
    rates = {}
    for averaging in (EMA(), own):
        out = tmp_path / type(averaging).__name__
        train(SPLIT, objectives=(Supervised(),), averaging=averaging, settings=one, out=out)
        records = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        rates[averaging] = [record["learning_rate"] for record in records if record["kind"] == "train"]
    assert rates[EMA()] == [1e-3] * 4
    expected = [1e-3 * own.learning_rate_factor(step=step, steps=4, warmup_steps=0) for step in range(4)]
    assert rates[own] == pytest.approx(expected) and len(set(expected)) > 1


def test_frozen_weights_are_shared_and_trained_ones_are_not(model):
    averaged = Averaged(model, EMA(decay=0.9), steps=10)
    pairs = list(zip(model.parameters(), averaged.model.parameters(), strict=True))
    assert all((own is other) == (not own.requires_grad) for own, other in pairs)
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
    assert any(parameter.requires_grad for parameter in model.parameters()) and not averaged.model.training


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (EMA, {"decay": 1.0}),
        (EMA, {"decay": -0.1}),
        (FastSWA, {"decay_until": 0}),
        (FastSWA, {"cosine_length": 0.5}),
        (FastSWA, {"cycle": 0.8}),
        (FastSWA, {"every": 0}),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        kind(**wrong)


def test_what_is_evaluated_and_kept_is_the_average(tiny_bert, tmp_path):
    """After one step the average is half of the weights before and half of those after it."""
    one = TrainSettings(encoder=str(tiny_bert), steps=1, labeled_batch=2, learning_rate=1e-2)
    before = load_classifier(one.encoder, SPLIT.classes, seed=one.seed).model.state_dict()
    left = {}
    for name, averaging in {"plain": None, "average": EMA(decay=0.5)}.items():
        out = tmp_path / name
        train(SPLIT, objectives=(Supervised(),), averaging=averaging, settings=one, out=out)
        left[name] = load_file(out / "model" / "model.safetensors")
    for name, value in left["plain"].items():
        torch.testing.assert_close(left["average"][name], (before[name] + value) / 2, msg=name)
    assert any(not torch.equal(left["average"][name], value) for name, value in left["plain"].items())


def test_the_average_is_what_is_looked_at(tiny_bert, tmp_path, monkeypatch):
    seen, modules = [], [import_module(f"text_uda.training.{name}") for name in ("classifier_task", "final_evaluation")]
    probabilities = modules[0].probabilities

    def spy(model, rows, **numbers):
        seen.append("trained" if any(parameter.requires_grad for parameter in model.parameters()) else "average")
        return probabilities(model, rows, **numbers)

    for module in modules:
        monkeypatch.setattr(module, "probabilities", spy)
    one = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, evaluate_every=1, learning_rate=1e-12)
    result = train(SPLIT, objectives=(Supervised(),), averaging=EMA(), settings=one, out=tmp_path / "run")
    assert result["best_step"] == 1
    looks, last, chosen = ["average"] * 2, ["average"] * 2, ["trained"] * 2
    assert seen == looks + last + chosen, "at the end the chosen weights are put back"
