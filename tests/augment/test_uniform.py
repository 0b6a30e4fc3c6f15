"""Uniform replacement: every token by itself, for any other one; in texts and in the step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare

from text_uda.augment.uniform import Uniform
from text_uda.augment.vocabulary import load_vocabulary
from text_uda.errors import SettingsError
from text_uda.model.inputs import Tokens
from text_uda.training.in_step_augmentation import OnTokens

TEXT = "good film plot the bad story"  # six tokens


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_as_many_as_of_a_coin_thrown_for_each_token(tiny_bert: Path, rate: float):
    method, own = Uniform(tokenizer=str(tiny_bert), rate=rate), load_vocabulary(str(tiny_bert))
    made = method([TEXT] * 2000, range(2000))
    offline = np.bincount([round(each.scores["token_rate"] * 6) for each in made], minlength=7)
    assert all((each.status == "unchanged") == (each.text == TEXT) for each in made)
    ids = own.tokenizer([TEXT] * 4000, return_tensors="pt")["input_ids"]
    changed = method.on_tokens(Tokens(ids, torch.ones_like(ids)), torch.Generator().manual_seed(1)).input_ids != ids
    assert not changed[:, [0, -1]].any(), "special tokens stay"
    for found in (offline, np.bincount(changed.sum(dim=1), minlength=7)):
        expected = binom.pmf(range(7), 6, rate) * found.sum()
        assert chisquare(found, expected / expected.sum() * found.sum()).pvalue > 1e-3
    assert chisquare(changed[:, 1:-1].sum(dim=0).numpy()).pvalue > 1e-3, "all places alike"


def test_in_the_step_any_other_token_of_the_whole_vocabulary(tiny_bert: Path):
    method, own = Uniform(tokenizer=str(tiny_bert), rate=0.5), load_vocabulary(str(tiny_bert))
    film, special = own.tokenizer.convert_tokens_to_ids("film"), own.tokenizer.all_special_ids
    ids = torch.full((300, 100), film)
    mask = torch.ones_like(ids)
    mask[:, 90:] = 0
    new = method.on_tokens(Tokens(ids, mask), torch.Generator().manual_seed(2)).input_ids
    assert (new[:, 90:] == film).all(), "padding stays"
    found = torch.bincount(new[:, :90].flatten(), minlength=len(own.tokenizer))
    others = [index for index in range(len(own.tokenizer)) if index not in (film, *special)]
    assert not found[special].any() and chisquare(found[others].numpy()).pvalue > 1e-3


def test_a_pure_function_of_settings_text_and_sample(tiny_bert: Path):
    job, texts = Uniform(tokenizer=str(tiny_bert)), [TEXT, "A film,\n\tnot BAD!", TEXT.upper()]
    together = job(texts, [1] * 3)
    assert [job([text], [1])[0] for text in reversed(texts)][::-1] == together != job(texts, [0] * 3)
    assert Uniform(tokenizer=str(tiny_bert), seed=1)(texts, [1] * 3) != together
    assert job.settings()["rate"] == 0.3 and isinstance(job, OnTokens)


@pytest.mark.parametrize("text", ["", " \n ", "日本語"])
def test_what_cannot_change_says_so(tiny_bert: Path, text: str):
    made = Uniform(tokenizer=str(tiny_bert), rate=1.0)([text], [0])[0]
    assert (made.status, made.text, made.scores["token_rate"]) == ("unchanged", text, 0.0)


@pytest.mark.parametrize("rate", [0, -0.1, 1.1])
def test_settings_out_of_range(rate: float):
    with pytest.raises(SettingsError, match="rate"):
        Uniform(rate=rate)
