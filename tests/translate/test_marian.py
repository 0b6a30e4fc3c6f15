"""MarianMT on a tiny random model: the same tokens in every batch, the right distribution, honest statuses."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.translate import marian
from text_uda.translate.marian import Marian

SENTENCES = [
    "the film was good",
    "a bad actor in a good scene of a long film",
    "this movie is great but that plot is not",
    "story",
    "a long long film and the plot of the story was not good but great",
    "the scene",
]


@pytest.mark.parametrize("temperature", [None, 0.9])
def test_a_translation_does_not_depend_on_its_batch(tiny_marian: Path, temperature: float | None):
    model = str(tiny_marian)
    alone = [Marian(model, temperature, batch_size=1)([sentence], 2)[0] for sentence in SENTENCES]
    for batch_size in (2, 5, 24):
        found = Marian(model, temperature, batch_size=batch_size)(SENTENCES[::-1], 2)[::-1]
        assert [made.text for made in found] == [made.text for made in alone]
        assert [made.status for made in found] == [made.status for made in alone]
        for one, other in zip(found, alone, strict=True):
            assert one.scores["log_probability"] == pytest.approx(other.scores["log_probability"], abs=1e-4)


def test_samples_seeds_and_temperatures_differ(tiny_marian: Path):
    model = str(tiny_marian)
    made = [
        Marian(model, 0.9)(SENTENCES, 0),
        Marian(model, 0.9)(SENTENCES, 1),
        Marian(model, 0.9, seed=1)(SENTENCES, 0),
        Marian(model)(SENTENCES, 0),
    ]
    assert len({tuple(translation.text for translation in row) for row in made}) == 4
    assert made[0] == Marian(model, 0.9)(SENTENCES, 0)
    assert Marian(model)(SENTENCES, 1) == made[3], "greedy has one sample"


def test_greedy_takes_the_likeliest_token_of_each_step(tiny_marian: Path):
    """Against a loop without a cache that knows nothing of ours; the checkpoint asks for six beams of five tokens."""
    model, tokenizer = marian._load(str(tiny_marian))
    for sentence, made in zip(SENTENCES, Marian(str(tiny_marian))(SENTENCES, 0), strict=True):
        source = tokenizer([sentence], return_tensors="pt")
        target = [model.config.decoder_start_token_id]
        cap = marian._most_tokens(source["input_ids"].shape[1])
        while target[-1] != model.config.eos_token_id and len(target) <= cap:
            with torch.no_grad():
                scores = model(**source, decoder_input_ids=torch.tensor([target])).logits[0, -1]
            scores[model.config.pad_token_id] = -torch.inf
            target.append(int(scores.argmax()))
        assert made.text == tokenizer.decode(target[1:], skip_special_tokens=True).strip()
        assert made.status == ("ok" if target[-1] == model.config.eos_token_id else "truncated")


def test_tokens_are_drawn_from_the_tempered_distribution():
    scores = torch.tensor([[1.0, 0.0, -1.0, 9.0]])  # the last is the pad
    numbers = (np.arange(3000) + 0.5) / 3000
    drawn = Counter()
    for number in numbers:
        chooser = marian._Chooser(3, 0.5, [np.array([number])], torch.device("cpu"))
        drawn[int(chooser(torch.zeros(1, 1), scores.clone()).argmax())] += 1
    weights = [math.exp(value / 0.5) for value in (1.0, 0.0, -1.0)]
    for token, weight in enumerate(weights):
        assert drawn[token] / 3000 == pytest.approx(weight / sum(weights), abs=1e-3)
    assert drawn[3] == 0


def test_settings_name_the_weights(tiny_marian: Path):
    settings = Marian(str(tiny_marian)).settings()
    assert settings["revision"] and "temperature" not in settings
    assert Marian(str(tiny_marian), 0.8, seed=2).settings().items() >= {"temperature": 0.8, "seed": 2}.items()


def test_nothing_to_translate(tiny_marian: Path):
    assert Marian(str(tiny_marian))([], 0) == []


@pytest.mark.parametrize("temperature", [0, -1, 3])
def test_temperature_out_of_range(temperature):
    with pytest.raises(SettingsError, match="temperature"):
        Marian("any", temperature)


def test_no_such_model(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot open the MarianMT model") as error:
        Marian(str(tmp_path / "nowhere"))(["a"], 0)
    assert "\n" not in str(error.value)
