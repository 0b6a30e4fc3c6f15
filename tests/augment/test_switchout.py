"""SwitchOut: how many tokens are switched, for which, and that the rest of the text stays."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_uda.augment import SwitchOut
from text_uda.augment.switchout import Groups, sample_distance, switchout_ids
from text_uda.errors import SettingsError
from text_uda.keyed import keyed_generator

GROUPS = Groups([range(10, 20), range(30, 33)])  # 0..9 and 20..29 are special


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 40), st.integers(0, 1000))
def test_exactly_so_many_switch_each_within_its_group(tokens, distance, seed):
    ids = np.array(tokens, dtype=np.int64)
    switched = switchout_ids(ids, distance=distance, groups=GROUPS, generator=keyed_generator(seed))
    changed = np.flatnonzero(ids != switched)
    free = [i for i in ids if 10 <= i < 20 or 30 <= i < 33]
    assert len(changed) == min(distance, len(free))
    for old, new in zip(ids[changed], switched[changed], strict=True):
        assert (10 <= old < 20 and 10 <= new < 20) or (30 <= old < 33 and 30 <= new < 33)


def test_substitutes_and_positions_are_uniform():
    ids = np.array([10, 11, 0, 12, 13])
    places, substitutes = Counter(), Counter()
    for seed in range(4000):
        switched = switchout_ids(ids, distance=1, groups=GROUPS, generator=keyed_generator(seed))
        place = int(np.flatnonzero(switched != ids)[0])
        places[place] += 1
        if place == 0:
            substitutes[int(switched[0])] += 1
    assert set(places) == {0, 1, 3, 4} and all(abs(count / 4000 - 1 / 4) < 0.03 for count in places.values())
    assert set(substitutes) == set(range(11, 20)), "every other token of the group, never the token itself"
    total = substitutes.total()
    assert all(abs(count / total - 1 / 9) < 0.04 for count in substitutes.values())


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
def test_distances_follow_the_paper(tau: float):
    drawn = Counter(sample_distance(6, tau=tau, generator=keyed_generator(tau, seed)) for seed in range(6000))
    weights = np.exp(-np.arange(7) / tau)
    for distance, share in enumerate(weights / weights.sum()):
        assert drawn[distance] / 6000 == pytest.approx(share, abs=0.025)


@pytest.fixture
def job(tiny_bert: Path) -> SwitchOut:
    return SwitchOut(tokenizer=str(tiny_bert), rate=0.25)


TEXT = "  The film,\n\nwas GREAT -- and the plot\twas not bad!  "


def test_bytes_between_the_switched_tokens_stay(job: SwitchOut):
    made = job([TEXT], [0])[0]
    assert made.status == "ok" and made.text is not None
    assert made.text.startswith("  ") and made.text.endswith("  ") and "\n\n" in made.text and "\t" in made.text
    assert made.scores["token_rate"] == pytest.approx(0.25, abs=0.05) and 0 < made.scores["change_rate"] <= 1


def test_a_pure_function_of_settings_text_and_sample(job: SwitchOut, tiny_bert: Path):
    texts = [TEXT, "a good film", "the best actor in the worst movie", TEXT.upper()]
    together = job(texts, [1] * len(texts))
    assert [job([text], [1])[0] for text in reversed(texts)][::-1] == together
    both = job([text for text in texts for _ in range(2)], [0, 1] * len(texts))
    assert both[1::2] == together and both[::2] == job(texts, [0] * len(texts))
    assert job(texts, [0] * len(texts)) != together
    assert SwitchOut(tokenizer=str(tiny_bert), rate=0.25, seed=1)(texts, [1] * len(texts)) != together


def test_what_cannot_change_says_so(job: SwitchOut, tiny_bert: Path):
    assert job([" \n"], [0])[0].status == "unchanged"
    cold = SwitchOut(tokenizer=str(tiny_bert), rate=None, tau=0.01)([TEXT], [0])[0]
    assert cold.status == "unchanged" and cold.text == TEXT and cold.scores["change_rate"] == 0


def test_a_long_text_is_switched_to_its_end(job: SwitchOut):
    made = job(["good film " * 10_000], [0])[0]
    assert made.text is not None and made.text[-2000:] != ("good film " * 10_000)[-2000:]
    assert made.scores["token_rate"] == pytest.approx(0.25, abs=0.01)


def test_settings_name_the_vocabulary_not_its_path(job: SwitchOut, tiny_bert: Path, tmp_path: Path):
    import shutil

    shutil.copytree(tiny_bert, tmp_path / "elsewhere")
    assert SwitchOut(tokenizer=str(tmp_path / "elsewhere"), rate=0.25).settings() == job.settings()


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": 1.5}, {"rate": 0.1, "tau": 1.0}, {"rate": None}, {"rate": None, "tau": 0}]
)
def test_settings_out_of_range(wrong: dict):
    with pytest.raises(SettingsError, match=r"rate|tau"):
        SwitchOut(**wrong)
