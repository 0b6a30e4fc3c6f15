"""SwitchOut: how many tokens are switched, for which, and that the rest stays; in texts and in the step."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from text_uda.augment import SwitchOut
from text_uda.augment.switchout import draw_switches, sample_distance, switch_tokens
from text_uda.augment.vocabulary import Groups, load_vocabulary
from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from text_uda.model.inputs import Tokens
from text_uda.training.in_step_augmentation import OnTokens

GROUPS = Groups([range(10, 20), range(30, 33)])  # 0..9 and 20..29 are special
KEY = Key("test")


def formula(n: int, tau: float) -> np.ndarray:
    """p(d), d in 0..n, as the paper has it."""
    weights = np.exp(-np.arange(n + 1) / tau)
    return weights / weights.sum()


def fits(found, expected: np.ndarray) -> bool:
    """Whether counts are as likely as they should, those below 5 taken together."""
    found = np.asarray(found)
    expected = np.asarray(expected) * found.sum()
    few = expected < 5
    if few.any():
        found, expected = ([*part[~few], part[few].sum()] for part in (found, expected))
    return chisquare(found, expected).pvalue > 1e-3


def in_step(ids, *, seed: int = 0, groups: Groups = GROUPS, **amount: float) -> torch.Tensor:
    ids = torch.as_tensor(ids)
    generator = torch.Generator().manual_seed(seed)
    return switch_tokens(ids, torch.ones_like(ids).bool(), groups=groups.on(ids.device), generator=generator, **amount)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 40), st.integers(0, 1000))
def test_exactly_so_many_switch_each_within_its_group(ids, distance, seed):
    switched = draw_switches(ids, distance=distance, groups=GROUPS, draws=KEY.draws(seed))
    free = [i for i in ids if 10 <= i < 20 or 30 <= i < 33]
    assert len(switched) == min(distance, len(free)) and list(switched) == sorted(switched)
    for place, new in switched.items():
        old = ids[place]
        assert old != new and ((10 <= old < 20 and 10 <= new < 20) or (30 <= old < 33 and 30 <= new < 33))


@pytest.mark.parametrize(("n", "tau"), [(6, 0.5), (6, 1.0), (6, 3.0), (2, 1000), (40, 4.0), (0, 1.0), (5, 0.01)])
def test_distances_follow_the_paper(n: int, tau: float):
    offline = Counter(sample_distance(n, tau=tau, draws=KEY.draws(tau, seed)) for seed in range(5000))
    ids = torch.zeros(5000, 50, dtype=torch.long)
    ids[:, 3 : 3 + n] = 12
    step = Counter((in_step(ids, tau=tau) != ids).sum(dim=1).tolist())
    for found in (offline, step):
        assert set(found) <= set(range(n + 1)) and found.total() == 5000
        if formula(n, tau).min() < 1:  # else there is one distance, and nothing to compare
            assert fits([found[d] for d in range(n + 1)], formula(n, tau))


@pytest.mark.parametrize("rate", [0.01, 0.15, 0.3, 0.5, 1.0])
def test_a_rate_switches_so_many_of_each_row(rate: float):
    lengths = torch.arange(101)
    ids = torch.where(torch.arange(100) < lengths[:, None], 31, 3)
    expected = [max(1, round(rate * n)) if n else 0 for n in range(101)]
    assert (in_step(ids, rate=rate) != ids).sum(dim=1).tolist() == expected


def test_places_and_substitutes_are_uniform():
    ids = [10, 11, 0, 31, 12]
    drawn = [draw_switches(ids, distance=2, groups=GROUPS, draws=KEY.draws(seed)) for seed in range(6000)]
    offline = torch.tensor([[each.get(place, old) for place, old in enumerate(ids)] for each in drawn])
    rows = torch.tensor(ids).expand(6000, 5)
    for switched in (offline, in_step(rows, rate=0.5)):
        changed = switched != rows
        pairs = Counter(tuple(np.flatnonzero(row)) for row in changed.numpy())
        assert set(pairs) == {(0, 1), (0, 3), (0, 4), (1, 3), (1, 4), (3, 4)} and fits(
            list(pairs.values()), np.ones(6) / 6
        )
        first = torch.bincount(switched[changed[:, 0], 0], minlength=40)
        assert first[11:20].sum() == first.sum() and fits(first[11:20], np.ones(9) / 9), "never the token itself"
        other = torch.bincount(switched[changed[:, 3], 3], minlength=40)
        assert other[[30, 32]].sum() == other.sum() and fits(other[[30, 32]], np.ones(2) / 2), "within its group"
        both = changed[:, 0] & changed[:, 1]  # what two places get says nothing of each other
        table = torch.bincount((switched[both, 0] >= 15) * 2 + (switched[both, 1] >= 15), minlength=4)
        assert fits(table, np.outer([4 / 9, 5 / 9], [4 / 9, 5 / 9]).flatten())


@pytest.fixture
def job(tiny_bert: Path) -> SwitchOut:
    return SwitchOut(tokenizer=str(tiny_bert), rate=0.25)


TEXT = "  The film,\n\nwas GREAT -- and the plot\twas not bad!  "
TEXTS = [TEXT, "a good film", "the best actor in the worst movie", TEXT.upper()]


@pytest.mark.parametrize("amount", [{"rate": 1.0}, {"rate": 0.2}, {"rate": None, "tau": 2.0}])
def test_special_tokens_and_padding_stay_in_the_step(tiny_bert: Path, amount: dict):
    method = SwitchOut(tokenizer=str(tiny_bert), **amount)
    assert isinstance(method, OnTokens)
    own = load_vocabulary(str(tiny_bert)).tokenizer
    encoded = own([*TEXTS, ""], padding=True, return_tensors="pt")
    tokens = Tokens(encoded["input_ids"], encoded["attention_mask"])
    before = tokens.input_ids.clone()
    special = torch.isin(before, torch.tensor([own.pad_token_id, own.cls_token_id, own.sep_token_id]))
    views = [method.on_tokens(tokens, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    for view in views:
        changed = view.input_ids != before
        assert not changed[special].any() and torch.equal(view.attention_mask, tokens.attention_mask)
        assert not torch.isin(view.input_ids[~special], torch.tensor(own.all_special_ids)).any(), "never drawn"
        assert changed[~special].all() or amount["rate"] != 1.0
    assert torch.equal(tokens.input_ids, before), "a new view, not the batch itself"
    assert torch.equal(views[0].input_ids, views[1].input_ids) and not torch.equal(
        views[0].input_ids, views[2].input_ids
    )


def test_bytes_between_the_switched_tokens_stay(job: SwitchOut):
    made = job([TEXT], [0])[0]
    assert made.status == "ok" and made.text is not None
    assert made.text.startswith("  ") and made.text.endswith("  ") and "\n\n" in made.text and "\t" in made.text
    assert made.scores["token_rate"] == pytest.approx(0.25, abs=0.05) and 0 < made.scores["change_rate"] <= 1


def test_a_pure_function_of_settings_text_and_sample(job: SwitchOut, tiny_bert: Path):
    together = job(TEXTS, [1] * len(TEXTS))
    assert [job([text], [1])[0] for text in reversed(TEXTS)][::-1] == together
    both = job([text for text in TEXTS for _ in range(2)], [0, 1] * len(TEXTS))
    assert both[1::2] == together and both[::2] == job(TEXTS, [0] * len(TEXTS))
    assert job(TEXTS, [0] * len(TEXTS)) != together
    assert SwitchOut(tokenizer=str(tiny_bert), rate=0.25, seed=1)(TEXTS, [1] * len(TEXTS)) != together


def test_what_cannot_change_says_so(job: SwitchOut, tiny_bert: Path):
    for text in ("", " \n", "日本語"):  # to this tokenizer an unknown word
        made = job([text], [0])[0]
        assert (made.status, made.text, made.scores) == ("unchanged", text, {"change_rate": 0.0, "token_rate": 0.0})
    cold = SwitchOut(tokenizer=str(tiny_bert), rate=None, tau=0.01)([TEXT], [0])[0]
    assert cold.status == "unchanged" and cold.text == TEXT and cold.scores["change_rate"] == 0


def test_a_long_text_is_switched_to_its_end(job: SwitchOut):
    made = job(["good film " * 10_000], [0])[0]
    assert made.text is not None and made.text[-2000:] != ("good film " * 10_000)[-2000:]
    assert made.scores["token_rate"] == pytest.approx(0.25, abs=0.01)


def test_settings_name_the_vocabulary_not_its_path(job: SwitchOut, tiny_bert: Path, tmp_path: Path):
    shutil.copytree(tiny_bert, tmp_path / "elsewhere")
    assert SwitchOut(tokenizer=str(tmp_path / "elsewhere"), rate=0.25).settings() == job.settings()


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": 1.5}, {"rate": 0.1, "tau": 1.0}, {"rate": None}, {"rate": None, "tau": 0}]
)
def test_settings_out_of_range(wrong: dict):
    with pytest.raises(SettingsError, match=r"rate|tau"):
        SwitchOut(**wrong)


def test_an_accent_goes_with_its_letter():
    text = "cafe\u0301 re\u0301sume\u0301 and film"
    made = SwitchOut(rate=1.0)([text] * 5, [*range(5)])
    assert all(each.status == "ok" and "\u0301" not in str(each.text) for each in made)


def test_a_mark_that_is_a_token_is_switched_by_itself():
    """As are the vowel signs of Hindi."""
    text = "\u092f\u0939 \u092b\u093f\u0932\u094d\u092e \u0915\u093e \u0928\u093e\u092e \u0939\u0948"
    made = SwitchOut(rate=1.0)([text] * 5, [*range(5)])
    assert all(each.status == "ok" and len(str(each.text).split()) == 5 for each in made)
