"""Case C: a paraphrase that has another number of negated clauses than its source, or another negated clause."""

import time

import pytest

from text_uda.augment import BackTranslation
from text_uda.paraphrasing.filters import Filters
from text_uda.text.polarity import has_other_polarity
from text_uda.translate.apertium import MODES

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("I did not like it and nobody came.", "It did not like me and anybody came."),
        ("We waited, nobody came, and it was not nice.", "We expect, anybody came, and was not well."),
        ("Nobody was rude, and it was not dirty.", "Anybody was earthy, and did not go dirty."),
        ("There is no wit, and nothing works, and it isn't short.", "There is no wit, and at all works, and is long."),
        ("There is no plot and there are no jokes.", "There is no plot and there is any joke."),
        ("It can't be loved, and never will be.", "It can not be loved, and ever it will be."),
        ("You won’t laugh and you won’t cry.", "You will not laugh and you will cry."),
        ("It ain't good and it dont work.", "It is not good and it does work."),
        ("It barely works.", "It works well."),
        ("She came without her dog and without a hat.", "She came without her dog and with a hat."),
        ("It is not without charm.", "It is not with charm."),
        ("It is anything but dull.", "It is only dull."),
        ("Nobody laughed.", "Nobody did not laugh."),
        ("No one came.", "Some one came."),
        ("No.", "Yes."),
        ("Not only is it good, it is cheap.", "It is not good, it is cheap."),
        ("If you have ever seen it, go.", "If never you have seen it, go."),
        # as many negations, but another clause has one
        ("I did not like the plot, but the cast was good.", "I liked the plot, but the cast was not good."),
        ("The plot is good but the acting is not.", "The plot, is not good but the acting is."),
        ("The food was not good, but we stayed.", "The food was good but, then, we did not stay."),
        ("Nobody came and the food was warm.", "Everybody came and the food was not warm."),
    ],
)
def test_another_polarity(source: str, text: str):
    assert has_other_polarity(source, text) and has_other_polarity(text, source)
    assert Filters().rejection(source, text) == "negation"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("I did not see anything.", "I saw nothing."),
        ("I saw nothing.", "I did not see nothing."),  # what a translator makes of Spanish "no vi nada"
        ("She left with no hat.", "She left without a hat."),
        ("It is neither funny nor sad.", "It is not funny or sad."),
        ("It doesn't work, either.", "It does not work, neither."),
        ("Nobody came.", "No one came."),
        ("It is no longer good.", "It is not good anymore."),
        ("It can't be, it isn’t and it won ' t.", "It cannot be, it is not and it will not."),
        ("This isn t good and wasnt cheap.", "This is not good and was not cheap."),
        ("I rarely laughed.", "I hardly ever laughed."),
        ("No, I liked it.", "No, it pleased me."),
        ("It's good, isn't it?", "It is good, no?"),
        ("Not only cheap, but good.", "Cheap, and also good."),
        ("It isn't merely good.", "It is more than good."),
        ("There is no doubt that it works, no matter how.", "Certainly it works, in any way."),
        ("It will work, whether you like it or not.", "It will work, even if you dislike it."),
        ("None the less it was good, not to mention cheap.", "Nevertheless it was good, and cheap too."),
        ("It was no. 5 of ten.", "It was number 5 of ten."),
        ("A knot, a note, another nostril; he won t-shirts.", "A tie, a note, one more nose; he got shirts."),
        ("I have nothing but praise.", "I have only praise."),
        ("More often than not it works.", "Mostly it works."),
        ("Why not try it?", "Try it."),
        ("I think that it is not good.", "I do not think it is good."),
        ("The film, which I saw, is not long.", "The film which, in May, I saw is not long."),
        ("Because it did not rain, we came.", "We came, because it did not rain."),
        ("I think it is not good.", "I do not think it is good."),
        ("The plot is slow  there is no wit", "The plot is slow there is no wit at all"),
    ],
)
def test_the_same_polarity(source: str, text: str):
    assert not has_other_polarity(source, text) and not has_other_polarity(text, source)


@installed
def test_back_translation_keeps_negations_or_is_rejected():
    sources = [
        "I did not like it and nobody came.",
        "We waited, nobody came, and it was not nice.",
        "Nobody was rude, and it was not dirty.",
    ]
    for source, made in zip(sources, BackTranslation()(sources, [0] * 3), strict=True):
        assert made.status == "negation" or "obody" in (made.text or ""), source


@pytest.mark.parametrize(
    "unit", ["a", "ab ", "n ' ", "isn", "is n ' ", " ", "n't", ", isn't it ", "no ", "no.", "or not", "isn\u00b4"]
)
def test_time_is_linear(unit: str):
    text = unit * (30_000 // len(unit))
    start = time.process_time()
    has_other_polarity("I did not like it", text)
    assert time.process_time() - start < 1  # measured: 0.05 s


def test_time_is_linear_in_the_number_of_clauses():
    start = time.process_time()
    assert not has_other_polarity("It is not good, " * 2000, "It is not good, " * 2000 + "and we know, " * 500)
    assert time.process_time() - start < 2  # measured: 0.2 s
