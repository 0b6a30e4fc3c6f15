"""Case O: a name that starts a sentence stays, and common first words keep their synonyms where they are no names."""

import pytest

from text_uda.augment import Insertion, Statistics, Synonym, TfIdf
from text_uda.augment.words import find_words, may_be_name
from text_uda.text.wordnet import DEBIAN

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")

SENTENCES = [
    "Frank is a good manager.",
    "Subway sandwiches are always fresh.",
    "May likes the film.",
    "Will was here.",
    "Mark said so.",
    "Apple has a new phone.",
    "Target sells cheap shirts.",
    "Turkey is a country.",
    "Rose and Bill bought tickets.",
    "Bush won.",
    "Jobs was a manager.",
    "Amazon delivers quickly.",
    "Grant wrote it.",
    "Chase is a big bank.",
    "Beverly wrote it.",
]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("before", ["", '"', "It was good. ", "It was good.\n\n", '("', "He left. “"])
def test_the_first_word_stays(sentence: str, before: str):
    text, name = before + sentence, sentence.split()[0]
    made = Synonym(rate=1.0)([text] * 5, range(5))
    assert all(str(each.text).startswith(before[:1] or name) and f"{name} " in str(each.text) for each in made)
    alone = sentence.partition(" ")[0]
    assert Insertion(rate=1.0)([alone], [0])[0].status == "unchanged", "its synonyms do not come in either"


@pytest.mark.parametrize("text", ["FRANK IS A CANDID MANAGER", "Frank Opens Big Subway Store In Cheap Town"])
def test_capitals_and_headlines_stay(text: str):
    assert Synonym(rate=1.0)([text], [0])[0].status == "unchanged"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Unfortunately the food was cold.", "Unluckily"),
        ("Movies are fun.", "Films"),
        ("Movies were made.", "Films"),
        ("movie fans liked it", "film"),
    ],
)
def test_common_first_words_are_replaced(text: str, first: str):
    assert first in {str(made.text).split()[0] for made in Synonym(rate=1.0)([text] * 10, range(10))}


def test_tfidf_knows_names_from_the_corpus():
    corpus = ["We met Frank and liked it.", "They saw Frank there.", "Good food here.", "We had good food there."]
    made = TfIdf(statistics=Statistics.of(corpus), rate=1.0)(["Frank had it.", "Good food had it."] * 20, range(40))
    assert all(str(each.text).startswith("Frank") for each in made[::2])
    assert any(not str(each.text).startswith("Good") for each in made[1::2])


def test_which_words_may_be_names():
    words = find_words("Frank is frank. Finally Kimberly left. Kimberly saw Frank.")
    assert [word.text for word in words if may_be_name(word)] == ["Frank", "Kimberly"]
