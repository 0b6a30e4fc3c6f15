"""From texts to paraphrases and back: whole texts and sentences put together, and what is missing named."""

from dataclasses import dataclass

import pytest

from text_uda.errors import SettingsError
from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases
from translation_cache import Cache, CacheError, Job, Paraphrase, fill

DOCUMENT = "  One good film.\n\nKeep this. Two bad films!\t"


@dataclass(frozen=True)
class Shout(Job):
    """Upper case by sentence; what begins with `Keep` is rejected."""

    unit: str = "sentence"
    max_samples: int | None = None

    def settings(self) -> dict:
        return {"method": "shout", "version": 1, "unit": self.unit}

    def __call__(self, sources, samples):
        return [
            Paraphrase(source, "unchanged")
            if source.startswith("Keep")
            else Paraphrase(f"{source.upper()}{sample}", pivot=source[::-1], scores={"change_rate": 1.0})
            for source, sample in zip(sources, samples, strict=True)
        ]


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_document_is_put_together_with_what_stood_between(cache: Cache):
    report = paraphrase([DOCUMENT, DOCUMENT + " More."], Shout(), cache, samples=2)
    assert (report.requested, report.computed, report.rejected) == (8, 8, {"unchanged": 2}), "each sentence once"
    first, second = next(read_paraphrases([DOCUMENT], Shout(), cache, samples=2))
    assert first.text == "  ONE GOOD FILM.0\n\nKeep this. TWO BAD FILMS!0\t" and first.status == "ok"
    assert second.text == "  ONE GOOD FILM.1\n\nKeep this. TWO BAD FILMS!1\t"
    assert first.scores["change_rate"] == pytest.approx(6 / 8) and first.scores["fallback_rate"] == pytest.approx(1 / 3)
    assert first.pivot == ".mlif doog enO !smlif dab owT"


def test_a_document_of_which_nothing_changed_says_why(cache: Cache):
    paraphrase(["Keep it. Keep that."], Shout(), cache)
    made = list(read_paraphrases(["Keep it. Keep that.", " ?! "], Shout(), cache))
    assert [row[0].status for row in made] == ["unchanged", "empty"] and made[0][0].text is None


def test_whole_texts_are_what_they_are(cache: Cache):
    paraphrase([DOCUMENT, " "], Shout("text"), cache)
    assert next(read_paraphrases([DOCUMENT], Shout("text"), cache))[0].text == DOCUMENT.upper() + "0"


def test_shares_make_the_whole(cache: Cache, tmp_path):
    texts = [f"Text {number}." for number in range(50)]
    made = [paraphrase(texts, Shout(), cache, shard=(index, 4)).computed for index in (1, 2, 3, 4)]
    assert sum(made) == 50 and all(5 < count < 22 for count in made)
    assert paraphrase(texts, Shout(), cache).computed == 0
    for index in (0, 5):
        with pytest.raises(SettingsError, match="with i from 1 to n"):
            paraphrase(texts, Shout(), cache, shard=(index, 4))


@pytest.mark.parametrize("unit", ["text", "sentence"])
def test_what_is_missing_is_named(cache: Cache, unit: str):
    with pytest.raises(SettingsError, match=r"shout paraphrases: .* is empty or does not exist\. Run `text-uda"):
        read_paraphrases(["One."], Shout(unit), cache)
    paraphrase(["One."], Shout(unit), cache)
    with pytest.raises(SettingsError, match="not for all texts"):
        read_paraphrases(["One.", "Two."], Shout(unit), cache)
    other = "text" if unit == "sentence" else "sentence"
    with pytest.raises(SettingsError, match=f'unit: "{unit}" stored, "{other}" requested'):
        read_paraphrases(["One."], Shout(other), cache)


def test_more_samples_than_there_are(cache: Cache):
    message = (
        "shout has at most 2 different samples of a text, not 3: "
        "ask for fewer, sample (a marian translator with a temperature), or name more pivots"
    )
    for verb in (paraphrase, read_paraphrases):
        with pytest.raises(SettingsError) as raised:
            verb(["One."], Shout(max_samples=2), cache, samples=3)
        assert str(raised.value) == message
    assert paraphrase(["One."], Shout(max_samples=2), cache, samples=2).computed == 2
    with pytest.raises(SettingsError, match="samples=0"):
        paraphrase(["One."], Shout(), cache, samples=0)


@pytest.mark.parametrize(
    ("own", "asked", "given"), [(None, None, 1024), (300, None, 300), (300, 500, 500), (None, 500, 500)]
)
def test_batches_as_the_augmentation_or_the_caller_wants_them(
    cache: Cache, own: int | None, asked: int | None, given: int
):
    seen = []

    class Noting(Shout):
        batch_size = own

        def __call__(self, sources, samples):
            seen.append(len(sources))
            return Shout.__call__(self, sources, samples)

    paraphrase([f"Text {number}." for number in range(1500)], Noting(), cache, batch_size=asked)
    assert seen[0] == given and sum(seen) == 1500
    if own is None and asked is None:
        paraphrase([f"One {number}." for number in range(1500)], Shout(), cache)  # it has no such attribute


@dataclass(frozen=True)
class Forgetful(Job):
    """What it says hangs on the call, as with an engine that is not the same in any batch."""

    def settings(self) -> dict:
        return {"method": "forgetful", "version": 1, "unit": "sentence"}

    def __call__(self, sources, samples):
        return [Paraphrase(f"{source}!", scores={"change_rate": 1.0}) for source in sources]


def test_samples_that_are_alike_are_told_on_reading(cache: Cache):
    for samples in (1, 3):
        paraphrase(["A film. A book."], Forgetful(), cache, samples=samples)
    made = next(read_paraphrases(["A film. A book."], Forgetful(), cache, samples=3))
    assert [each.status for each in made] == ["ok", "duplicate", "duplicate"]
    assert made[0].text == "A film.! A book.!"


class Duck:
    """Has the two required methods of a job, but is none."""

    def settings(self) -> dict:
        return Shout().settings()

    def __call__(self, sources, samples):
        raise AssertionError("not called")


@pytest.mark.parametrize(
    "call",
    [
        lambda job, cache: paraphrase(["One."], job, cache),
        lambda job, cache: read_paraphrases(["One."], job, cache),
        lambda job, cache: fill(cache, job, ["One."]),
    ],
)
def test_what_is_no_job_is_refused_before_anything_else(cache: Cache, call):
    for job in (Duck(), Shout):  # an object of another class, and the class in place of an instance
        with pytest.raises(CacheError, match="is not a Job: derive its class from"):
            call(job, cache)


def test_a_job_needs_settings_and_a_call_alone():
    job = Forgetful()
    assert (job.batch_size, job.max_samples, job.of_originals, job.uses_gpu) == (None, None, False, False)
    assert job.start_worker(0, 1) is None
    with pytest.raises(TypeError, match="abstract"):
        type("Incomplete", (Job,), {"settings": Forgetful.settings})()
