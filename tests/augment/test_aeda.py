"""AEDA: marks come in, everything else stays."""

from collections import Counter

import pytest

from text_uda.augment.aeda import AEDA, MARKS

SENTENCE = "a big red house stands near old streets where people sing"  # 11 words


def marked(text: str, samples: int = 60) -> list[str]:
    return [str(each.text) for each in AEDA()([text] * samples, range(samples))]


def test_from_one_to_a_third_of_the_words():
    made = [len(text.split()) - 11 for text in marked(SENTENCE, 1200)]
    counts = Counter(made)
    assert set(counts) == {1, 2, 3}
    assert sum((count - 400) ** 2 / 400 for count in counts.values()) < 13.8  # chi-square, p = 0.001


def test_marks_and_places_are_drawn_alike():
    texts = marked(SENTENCE, 1200)
    marks = Counter(part for text in texts for part in text.split() if part in MARKS)
    expected = sum(marks.values()) / 6
    assert set(marks) == set(".;?:!,")
    assert sum((count - expected) ** 2 / expected for count in marks.values()) < 20.5
    places = Counter(
        at for text in texts for at, part in enumerate(text.split()) if part in MARKS and len(text.split()) == 12
    )
    expected = sum(places.values()) / 11
    assert set(places) == set(range(11)), "before the first word too, and not after the last"
    assert sum((count - expected) ** 2 / expected for count in places.values()) < 29.6


def test_without_the_marks_it_is_the_text():
    for text in marked(SENTENCE):
        assert " ".join(part for part in text.split() if part not in MARKS) == SENTENCE
        assert "  " not in text


def test_no_mark_parts_a_negation_from_what_it_negates():
    for text in marked("it is not good at all, but (fun) and don't miss it here"):
        assert "not good at all," in text and "don't miss it here" in text and "(fun)" in text


@pytest.mark.parametrize("text", ["", "?!", "of the and to", "$3.50 http://a.b/c 42", "don't"])
def test_what_cannot_change_says_so(text: str):
    made = AEDA()([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


def test_settings_decide():
    assert AEDA(seed=3).settings() == {"method": "aeda", "version": 2, "unit": "text", "seed": 3}
    assert len({AEDA(seed=seed)([SENTENCE], [0])[0].text for seed in range(20)}) > 10
