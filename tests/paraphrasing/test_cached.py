"""An augmentation read from the cache: the same paraphrases, and an error that says what is missing."""

import pickle
from dataclasses import dataclass

import pytest

from text_uda.augment.compose import Compose
from text_uda.errors import SettingsError
from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases
from text_uda.paraphrasing.cached import Cached
from text_uda.paraphrasing.filters import Filters
from translation_cache import Cache, Job, Paraphrase, fingerprint


@dataclass(frozen=True)
class Shout(Job):
    """Upper case; what begins with `Keep` is rejected."""

    unit: str = "sentence"
    max_samples: int | None = None

    def settings(self) -> dict:
        return {"method": "shout", "version": 1, "unit": self.unit}

    def __call__(self, sources, samples):
        return [
            Paraphrase(source, "unchanged")
            if source.startswith("Keep")
            else Paraphrase(f"{source.upper()}{sample}", scores={"change_rate": 1.0})
            for source, sample in zip(sources, samples, strict=True)
        ]


TEXTS = ["  One.\n\nKeep this. Two!\t", "Three.", "Keep all."]


@pytest.mark.parametrize("unit", ["text", "sentence"])
def test_they_are_what_is_read_from_the_cache(tmp_path, unit: str):
    cache = Cache(tmp_path / "cache")
    paraphrase(TEXTS, Shout(unit), cache, samples=3)
    read = list(read_paraphrases(TEXTS, Shout(unit), cache, samples=3))
    job = Cached(Shout(unit), cache)
    rows = [(1, 2), (0, 0), (2, 1), (0, 2), (1, 2)]
    made = job([TEXTS[text] for text, _ in rows], [sample for _, sample in rows])
    assert made == [read[text][sample] for text, sample in rows]
    assert job.settings() == Shout("text").settings()
    assert made[1].text is not None and made[1].text.startswith("  ONE") and job([], []) == []


def test_more_samples_of_one_text_than_of_another(tmp_path):
    paraphrase(TEXTS[:1], Shout(), tmp_path, samples=3)
    paraphrase(TEXTS[1:2], Shout(), tmp_path)
    assert [made.text for made in Cached(Shout(), tmp_path)(TEXTS[1::-1], [0, 2])] == [
        "THREE.0",
        "  ONE.2\n\nKeep this. TWO!2\t",
    ]


def test_one_that_is_missing_is_told(tmp_path):
    job = Cached(Shout(), tmp_path)
    with pytest.raises(SettingsError, match=r"shout paraphrases: .* is empty or does not exist\. Run `text-uda"):
        job(TEXTS, [0] * 3)
    paraphrase(TEXTS[:2], Shout(), tmp_path)
    with pytest.raises(SettingsError, match="not for all texts"):
        job(TEXTS, [0] * 3)
    with pytest.raises(SettingsError, match="not for all texts"):
        job(TEXTS[:1], [1])


def test_filters_judge_anew_and_are_among_the_settings(tmp_path):
    paraphrase(TEXTS, Shout("text"), tmp_path)
    job = Cached(Shout("text"), tmp_path, Filters(max_change=0.5))
    assert job(["Three."], [0])[0].status == "large-change"
    marks = {
        fingerprint(Cached(Shout(), tmp_path, each).settings()) for each in (None, Filters(), Filters(max_change=0.5))
    }
    assert len(marks) == 3


def test_it_is_the_first_of_a_composition(tmp_path):
    paraphrase(TEXTS, Shout(), tmp_path)
    job = Compose(operations=(Cached(Shout(max_samples=1), str(tmp_path)), Shout("text")))
    made = pickle.loads(pickle.dumps(job))(TEXTS, [0, 5, 0])  # as it goes to another process
    assert [each.text for each in made] == ["  ONE.0\n\nKEEP THIS. TWO!0\t0", "THREE.05", "Keep all."]
    assert made[2].status == "unchanged"
    with pytest.raises(SettingsError, match="reads it first"):
        Compose(operations=(Shout("text"), Cached(Shout(), tmp_path)))
