"""RandAugment: which operations are drawn, in which order, at which magnitude."""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import pytest

from text_uda.augment.compose import OneOf
from text_uda.augment.randaugment import RandAugment, at_magnitude
from text_uda.errors import SettingsError
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.paraphrasing.cached import Cached
from translation_cache import Cache, Job, Paraphrase, fingerprint


@dataclass(frozen=True)
class Append(Job):
    """Adds its letter and its rate."""

    letter: str
    rate: float | None = 0.2
    unit: str = "text"

    def settings(self) -> dict:
        return {"method": "append", "version": 1, "unit": self.unit, "letter": self.letter, "rate": self.rate}

    def __call__(self, sources, samples):
        return [Paraphrase(f"{source} {self.letter}{self.rate or ''}") for source in sources]


@dataclass(frozen=True)
class Translate(Job):
    """By sentence and without a rate, as back-translation is."""

    def settings(self) -> dict:
        return {"method": "translate", "version": 1, "unit": "sentence"}

    def __call__(self, sources, samples):
        return [Paraphrase(f"t{sample}({source})") for source, sample in zip(sources, samples, strict=True)]


FOUR = tuple(Append(letter, None) for letter in "abcd")


@pytest.mark.parametrize("number", [1, 2, 4])
def test_all_sets_are_drawn_alike_and_applied_in_order(number: int):
    made = RandAugment(operations=FOUR, number=number)([f"text {row}" for row in range(1500)], [0] * 1500)
    drawn = Counter("".join((each.text or "").split()[2:]) for each in made)
    sets = ["".join(chosen) for chosen in combinations("abcd", number)]
    assert set(drawn) == set(sets)
    assert all(drawn[each] / 1500 == pytest.approx(1 / len(sets), abs=0.05) for each in sets)


@pytest.mark.parametrize(("magnitude", "rate"), [(0.5, 0.2), (0.25, 0.1), (1.0, 0.4)])
def test_magnitude_scales_the_rates(magnitude: float, rate: float):
    job = RandAugment(operations=(Append("a"), Append("b", 0.9)), magnitude=magnitude)
    assert job(["x"], [0])[0].text == f"x a{rate} b{min(1.0, 1.8 * magnitude)}"
    assert [each["rate"] for each in job.settings()["operations"]] == [rate, min(1.0, 1.8 * magnitude)]


def test_what_has_no_rate_is_taken_as_it_is():
    assert at_magnitude(Append("a", None), 1.0) == Append("a", None)
    translate = Translate()
    assert at_magnitude(translate, 1.0) is translate


def test_back_translation_comes_first():
    job = RandAugment(operations=(Append("a", None), Translate()))
    assert job(["One. Two.\n"], [3])[0].text == "t3(One.) t3(Two.)\n a"


def test_back_translation_from_the_cache_is_among_them(tmp_path):
    texts = [f"One {number}. Two {number}." for number in range(20)]
    paraphrase(texts, Translate(), tmp_path / "cache", samples=2)
    live = RandAugment(operations=(*FOUR[:2], Translate()), number=2)
    job = RandAugment(operations=(*FOUR[:2], Cached(Translate(), Cache(tmp_path / "cache"))), number=2)
    sources, samples = [text for text in texts for _ in range(2)], [0, 1] * 20
    made = job(sources, samples)
    assert {"t0(" in (each.text or "") or "t1(" in (each.text or "") for each in made} == {True, False}
    for text, sample, each in zip(sources, samples, made, strict=True):
        assert each.text is not None
        first = each.text.split(" t")[0]
        assert first.startswith((f"t{sample}(One", text)), "the cache was asked for the text itself"
        assert each == job([text], [sample])[0]
    assert live.settings() != job.settings(), "whole texts there, sentences here"


def test_another_seed_and_sample_draw_others():
    texts = [f"text {row}" for row in range(50)]
    drawn = [
        [each.text for each in RandAugment(operations=FOUR, seed=seed)(texts, [s] * 50)]
        for seed, s in ((0, 0), (1, 0), (0, 1))
    ]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]
    settings = [
        RandAugment(operations=FOUR, **other).settings()
        for other in ({}, {"seed": 1}, {"number": 3}, {"magnitude": 0.4})
    ]
    assert len(set(map(fingerprint, settings))) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"number": 0}, "give 1 to 4"),
        ({"number": 5}, "give 1 to 4"),
        ({"magnitude": 0}, "magnitude"),
        ({"magnitude": 1.1}, "magnitude"),
        ({"operations": ()}, "at least one"),
        ({"operations": (Cached(Translate(), "a"), OneOf(operations=(Cached(Translate(), "b"),)))}, "in a OneOf"),
    ],
)
def test_settings_out_of_range(wrong: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        RandAugment(**{"operations": FOUR, **wrong})
