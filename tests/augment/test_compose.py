"""One operation after another, one of several, one now and then: what they are given, and what comes of it."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from text_uda.augment.compose import Compose, OneOf, Sometimes
from text_uda.errors import SettingsError
from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases
from translation_cache import Cache, Job, Paraphrase, fingerprint


@dataclass(frozen=True)
class Append(Job):
    """Adds a word and the sample; rejects what has `bad` in it. It notes what it was given."""

    word: str = "x"
    unit: str = "text"
    max_samples: int | None = None
    batch_size: int | None = None
    uses_gpu: bool = False
    calls: list = field(default_factory=list, compare=False)

    def settings(self) -> dict:
        return {"method": "append", "version": 1, "unit": self.unit, "word": self.word}

    def start_worker(self, worker: int, workers: int) -> None:
        self.calls.append((worker, workers))

    def __call__(self, sources, samples):
        self.calls.append(list(zip(sources, samples, strict=True)))
        return [
            Paraphrase("nonsense", "numbers", scores={"change_rate": 0.9})
            if "bad" in source
            else Paraphrase(f"{source} {self.word}{sample}", pivot=self.word, scores={"change_rate": 0.5})
            for source, sample in zip(sources, samples, strict=True)
        ]


def test_each_is_given_what_the_one_before_made():
    made = Compose(operations=(Append("a"), Append("b")))(["one", "one", "two"], [0, 1, 0])
    assert [each.text for each in made] == ["one a0 b0", "one a1 b1", "two a0 b0"]
    assert {each.status for each in made} == {"ok"} and made[0].pivot == "b"
    assert made[0].scores == {"change_rate": pytest.approx(2 / 3), "passed_on_rate": 0}


def test_a_rejection_passes_on_what_it_was_given():
    made = Compose(operations=(Append("bad"), Append("b"), Append("c")))(["one", "bad"], [0, 0])
    assert (made[0].text, made[0].status, made[0].scores["passed_on_rate"]) == ("one bad0", "ok", pytest.approx(2 / 3))
    assert (made[1].text, made[1].status, made[1].scores["change_rate"]) == ("bad", "unchanged", 0)
    assert made[1].scores["passed_on_rate"] == 1 and made[1].pivot is None


def test_what_is_no_job_is_refused():
    class Duck:
        settings, __call__ = Append.settings, Append.__call__

    with pytest.raises(SettingsError, match=r"Duck.* is not an augmentation.*derived from translation_cache\.Job"):
        OneOf(operations=(Duck(),))  # type: ignore[arg-type]


def test_sentences_are_given_to_what_works_by_sentences():
    source = "  One good film.\n\nA dull one. Two films!\t"
    by_sentence = Append(unit="sentence")
    made = Compose(operations=(by_sentence, Append("b")))([source], [3])[0]
    assert made.text == "  One good film. x3\n\nA dull one. x3 Two films! x3\t b3"
    assert by_sentence.calls == [[("One good film.", 3), ("A dull one.", 3), ("Two films!", 3)]]
    alone = OneOf(operations=(by_sentence,))([source.replace("dull", "bad"), " ?! ", "bad."], [0, 0, 0])
    assert alone[0].scores == {"change_rate": pytest.approx(0.5 * 5 / 8), "fallback_rate": pytest.approx(1 / 3)}
    assert [each.status for each in alone] == ["ok", "empty", "numbers"]


def test_a_sentence_of_two_texts_is_given_once_with_its_samples_in_order():
    by_sentence = Append(unit="sentence")
    Compose(operations=(by_sentence,))(["One. Two.", "One. Two.", "Two. One."], [0, 2, 1])
    assert by_sentence.calls == [[("One.", 0), ("One.", 1), ("One.", 2), ("Two.", 0), ("Two.", 1), ("Two.", 2)]]


def test_few_samples_begin_again():
    two, three = Append("a", max_samples=2), Append("b", max_samples=3)
    both = Compose(operations=(two, three))
    assert both.max_samples == 6 and Compose(operations=(two, two)).max_samples == 2
    assert len({each.text for each in both(["one"] * 6, range(6))}) == 6
    assert two.calls == [[("one", 0), ("one", 1)]]
    drawing = Sometimes(operation=two)
    assert drawing.max_samples is OneOf(operations=(two, three)).max_samples is None
    assert Compose(operations=(drawing, two)).max_samples is None


def test_one_of_draws_by_weight_and_calls_each_once():
    operations = (Append("a"), Append("b"), Append("c"))
    job = OneOf(operations=operations, weights=(1, 0, 3))
    texts = [f"text {number}" for number in range(500) for _ in range(2)]
    made = job(texts, [0, 1] * 500)
    drawn = Counter((each.text or "")[-2] for each in made)
    assert set(drawn) == {"a", "c"} and drawn["c"] / 1000 == pytest.approx(0.75, abs=0.05)
    assert all((each.text or "").startswith(f"{text} ") for each, text in zip(made, texts, strict=True))
    assert [len(operation.calls) for operation in operations] == [1, 0, 1]
    pairs = zip(made[::2], made[1::2], strict=True)
    assert any((a.text or "")[-2] != (b.text or "")[-2] for a, b in pairs), "for each sample by itself"
    even = OneOf(operations=operations, seed=1)(texts, [0, 1] * 500)
    counts = Counter((each.text or "")[-2] for each in even)
    assert all(counts[word] / 1000 == pytest.approx(1 / 3, abs=0.05) for word in "abc")


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_sometimes(probability: float):
    texts = [f"text {number}" for number in range(1000)]
    made = Sometimes(operation=Append(), probability=probability)(texts, [0] * 1000)
    assert sum(each.status == "ok" for each in made) / 1000 == pytest.approx(probability, abs=0.05)
    left = [(each.text, text) for each, text in zip(made, texts, strict=True) if each.status == "unchanged"]
    assert all(text == source for text, source in left)


NESTED = Compose(
    operations=(
        Sometimes(operation=Append("s", unit="sentence", max_samples=1)),
        OneOf(operations=(Append("a"), Compose(operations=(Append("b"), Append("bad"))), Append("c", max_samples=2))),
        Append("d"),
    )
)


def test_any_order_and_batch_make_the_same():
    rows = [(text, sample) for text in ("One. Two.", "Two.", "bad. One.", "", "One. Two. ") for sample in range(5)]
    together = NESTED([text for text, _ in rows], [sample for _, sample in rows])
    assert [NESTED([text], [sample])[0] for text, sample in reversed(rows)][::-1] == together


def test_a_composition_is_a_job_of_the_cache(tmp_path):
    texts = ["One. Two.", "bad. Three."]
    assert paraphrase(texts, NESTED, Cache(tmp_path / "cache"), samples=2).computed == 4
    read = list(read_paraphrases(texts, NESTED, Cache(tmp_path / "cache"), samples=2))
    direct = NESTED([text for text in texts for _ in range(2)], [0, 1] * 2)
    assert [each.text for row in read for each in row] == [each.text for each in direct]


def test_settings_hold_those_of_the_operations():
    settings = NESTED.settings()
    assert settings["unit"] == "text" and settings["operations"][2] == Append("d").settings()
    one, other = (OneOf(operations=(Append("a"), Append("b")), weights=weights) for weights in (None, (1, 2)))
    swapped = OneOf(operations=(Append("b"), Append("a")))
    assert len({fingerprint(job.settings()) for job in (one, other, swapped, NESTED)}) == 4


def test_where_to_compute_is_passed_on():
    small, large = Append(batch_size=10), Append(batch_size=500, uses_gpu=True)
    job = Compose(operations=(Sometimes(operation=small), OneOf(operations=(large, Append()))))
    assert job.batch_size == 500 and job.uses_gpu and Compose(operations=(Append(),)).batch_size is None
    assert not Compose(operations=(small,)).uses_gpu
    job.start_worker(1, 3)
    assert small.calls == large.calls == [(1, 3)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compose(operations=()), "at least one"),
        (lambda: Compose(operations=[Append()]), "a tuple"),
        (lambda: Compose(operations=(Append,)), "Append is not an augmentation"),
        (lambda: OneOf(operations=(Append(), "synonym")), "'synonym' is not an augmentation"),
        (lambda: OneOf(operations=(Append(),), weights=(1, 2)), "one for each of the 1"),
        (lambda: OneOf(operations=(Append(), Append()), weights=(0, 0)), "above 0"),
        (lambda: OneOf(operations=(Append(),), weights=(float("nan"),)), "above 0"),
        (lambda: Sometimes(operation=Append(), probability=1.1), "probability"),
    ],
)
def test_what_cannot_be_composed_is_refused(make, message: str):
    with pytest.raises(SettingsError, match=message):
        make()
