"""What no word-level method may touch, over every method: bytes outside of plain words, and the order of the draws."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_uda.augment.aeda import AEDA
from text_uda.augment.deletion import Deletion
from text_uda.augment.eda import EDA
from text_uda.augment.insertion import Insertion
from text_uda.augment.swap import Swap
from text_uda.augment.synonym import Synonym
from text_uda.augment.typos import Typos
from text_uda.augment.words import NEGATIONS, find_words
from text_uda.text.wordnet import DEBIAN
from translation_cache import Job

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")

# Each with the characters that it may put in or take out besides words. A new word-level method is one more line.
SPACES = " \t\u00a0"
METHODS_UNDER_TEST: list[tuple[Job, str]] = [
    (Synonym(rate=0.6), ""),
    (Insertion(rate=0.6), " "),
    (Swap(rate=0.6), ""),
    (Deletion(rate=0.4), SPACES),
    (EDA(rate=0.6), SPACES),
    (AEDA(), " .;?:!,"),
    (Typos(rate=0.6), ""),
]
METHODS = [method for method, _ in METHODS_UNDER_TEST]
NAMES = [type(method).__name__ for method in METHODS]
each_method = pytest.mark.parametrize("method", METHODS, ids=NAMES)

PROSE = "the a an movie film old big cheap inexpensive story children bought quickly shines about and very good".split()
KEPT = """C++ $movie 100%free Z\u0308a\u0323lgo
    don`t isn´t donʼt don't isn't we've O'Brien $3.50 €1,000.00 50% 3rd 4K http://movie.com/big?movie=1#good https://a.b/the_movie
    www.movie.org me@movie.com @movie #good <b>movie</b> <br/> &amp; {name} movie/film well-made MOVIE naïve
    cafe\u0301 re\u0301sume\u0301 👩‍👩‍👧 🏳️‍🌈 🇩🇪 👍🏽 ❤️ :-) שלום שָׁלוֹם مرحبا مَرْحَبًا 日本語
    \x00 \ud800 \u202eאב\u202c not never""".split()
pieces = st.lists(
    st.tuples(
        st.sampled_from(["", "", "", "(", '"', "…"]),
        st.one_of(st.sampled_from(PROSE), st.sampled_from(PROSE), st.sampled_from([*KEPT, "not", "never"])),
        st.sampled_from(["", "", "", ",", ".", "!", ")", '"', " -"]),
        st.sampled_from([" ", " ", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028"]),
    ),
    max_size=25,
)


def joined(parts: list[tuple[str, str, str, str]]) -> str:
    return "".join(map("".join, parts))


def outside(text: str, varying: str) -> str:
    """The text without its plain words and without what the method may put in or take out.

    Capitals are made small first, for what is put in or taken out may make another word the first of its sentence.
    """
    text = re.sub("[A-Z]", lambda letter: letter[0].lower(), text)
    parts, last = [], 0
    for word in find_words(text):
        if word.editable and word.lowercase not in NEGATIONS:
            parts.append(text[last : word.start])
            last = word.end
    return "".join(each for each in "".join([*parts, text[last:]]) if each not in varying)


@pytest.mark.parametrize(("method", "varying"), METHODS_UNDER_TEST, ids=NAMES)
@settings(max_examples=60, deadline=None)
@given(parts=pieces, sample=st.integers(0, 3))
def test_every_byte_outside_of_plain_words_comes_back(method: Job, varying: str, parts, sample: int):
    text = joined(parts)
    made = method([text], [sample])[0]
    assert made.text is not None and (made.status in ("unchanged", "source-language")) == (made.text == text)
    assert outside(made.text, varying) == outside(text, varying)
    at = 0
    for kept in (part for _, part, _, _ in parts if part in KEPT):  # independent of `find_words`
        assert kept in made.text[at:]
        at = made.text.index(kept, at) + len(kept)


@each_method
@settings(max_examples=15, deadline=None)
@given(many=st.lists(pieces.map(joined), min_size=1, max_size=5), data=st.data())
def test_order_batch_and_repetition_change_nothing(method: Job, many: list[str], data):
    rows = [(text, sample) for text in many for sample in (0, 1)]
    expected = {row: method([row[0]], [row[1]])[0] for row in rows}
    for order in (data.draw(st.permutations(rows)), rows + rows):
        made = method([text for text, _ in order], [sample for _, sample in order])
        assert made == [expected[row] for row in order]


def digest() -> str:
    """Of what all methods make of some texts."""
    many = [f"{' '.join(PROSE)}. The old {kept} movie about big houses, not {kept} good" for kept in KEPT[::3]]
    made = [each.text for method in METHODS for each in method(many, range(len(many)))]
    return hashlib.sha256("\n".join(map(str, made)).encode("utf-8", "surrogatepass")).hexdigest()


def test_another_process_with_other_hashes_makes_the_same():
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['digest']())"
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, __file__],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "424242")
    ]
    assert [process.communicate()[0].strip() for process in started] == [digest(), digest()]


@each_method
@pytest.mark.parametrize(
    "text", ["", " \n\t", "?!… --", "not of the and to", "42 $3.50", "don't", "שלום", "\x00", "\ud800"]
)
def test_what_cannot_change_is_the_text_itself(method: Job, text: str):
    made = method([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


@each_method
@pytest.mark.parametrize(
    "text", ["movie", "Movie.", "\x00movie\x00 quickly", "\ud800 movie \udfff quickly", "movie" * 9]
)
def test_little_and_odd_texts(method: Job, text: str):
    for made in method([text] * 20, range(20)):
        assert made.text and (made.status == "ok") == (made.text != text)


@each_method
@pytest.mark.parametrize(
    "piece", ["a very good movie about children ", "movie, ", "movie", " ", "(" * 50 + "movie ", "not ", "\ud800\x00"]
)
def test_a_hundred_thousand_characters(method: Job, piece: str):
    """What took quadratic time would not come to an end here in minutes."""
    text = piece * (100_000 // len(piece))
    made = method([text], [0])[0]
    assert made.text and (made.status == "ok") == (made.text != text)
