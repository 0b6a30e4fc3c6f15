r"""Case D: the two characters \n of Yelp, Amazon and AG News end a sentence and its line, and stay as they are."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from text_uda.augment import BackTranslation
from text_uda.augment.typos import Typos
from text_uda.augment.words import find_words
from text_uda.paraphrasing.documents import join_paraphrases
from text_uda.text.line_breaks import mask_line_breaks
from text_uda.text.sentences import split_sentences
from text_uda.translate.apertium import MODES

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a loaded machine
YELP = r"The mechanic was rude.\n\nThe bill was high.\n\nMy wife was sad."


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (YELP, ["The mechanic was rude.", "The bill was high.", "My wife was sad."]),
        (r"Good food\nservice was slow\r\n\tThe end", ["Good food", "service was slow", "The end"]),
        (r"so sad D:\nThe end\\nNow", ["so sad D:", "The end", "Now"]),
        ("A film.<br /><br />The end<BR>of it<p class='x'>Now</p>", ["A film.", "The end", "of it", "Now"]),
        (r"Grade B:\nthe best\nGood", ["Grade B:", "the best", "Good"]),
        (r"Open C:\next\table.txt or C:\nginx\x or C:\temp or C:\nsis.exe", None),
        (r"Open C:\new\table.txt, please.\nThe end", [r"Open C:\new\table.txt, please.", "The end"]),
        (r"The angle \theta and \nu(x) are small", [r"The angle \theta and \nu(x) are small"]),
        (
            r"Wall Street's dwindling\band of cynics <b>is</b> back",
            [r"Wall Street's dwindling\band of cynics <b>is</b> back"],
        ),
    ],
)
def test_a_sentence_ends(text: str, sentences: list[str] | None):
    pieces = split_sentences(text)
    assert list(pieces.sentences) == (sentences or [text])
    assert pieces.join(pieces.sentences) == text


def test_words_see_the_end_too():
    words = find_words(YELP)
    assert [word.text for word in words] == "The mechanic was rude The bill was high My wife was sad".split()
    assert [word.text for word in words if word.starts_sentence] == ["The", "The", "My"]
    assert all(YELP[word.start : word.end] == word.text and word.editable for word in words if word.text.islower())
    assert [word.text for word in find_words(r"Not good\nbut cheap<br/>Then") if word.negated] == ["good"]


AG_NEWS = (
    r"AFP - Tearaway world oil prices, toppling\records and straining wallets, present a new economic menace\barely"
    r" three months before the\next elections.\The north, in\new York, is\to follow,\not this week.\\Reuters - Oil."
)


def test_a_bare_backslash_is_a_line_break_of_ag_news():
    words = find_words(AG_NEWS)
    assert {"records", "barely", "next", "The", "new", "to", "not", "Reuters"} <= {word.text for word in words}
    assert [word.text for word in words if word.starts_sentence] == ["AFP", "The", "Reuters"]
    assert all(word.editable for word in words if word.text in ("records", "barely"))
    pieces = split_sentences(AG_NEWS)
    assert [sentence.split()[0] for sentence in pieces.sentences] == ["AFP", "The", "Reuters"]
    assert pieces.join(pieces.sentences) == AG_NEWS


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (r"good\nservice was fast", r"good.|service was fast"),
        (r"good\nand cheap", r"good.|and cheap"),
        (r"rude.\nit was\nice cold", r"rude..|it was.|ice cold"),  # the first is sure, so the second is one too
        (r"was\nice\n\nIt", r"was.|ice.|.|It"),
        (r"the\next week, in\never", r"the\next week, in\never"),
        (r"the\record and a\treat", r"the\record and a\treat"),
        (r"for the\nba and the\nfl", r"for the\nba and the\nfl"),
        (r"oil export\flows could\target the\north", r"oil export flows could target the north"),
        (r"oil export\flows to U.S.\troops and Dell Inc.\now", r"oil export flows to U.S. troops and Dell Inc. now"),
        (r'flows of "oil"\never, export\flows (AP)\too', 'flows of "oil" never, export flows (AP) too'),
        (r"and\or, but good\nThe end", r"and\or, but good.|The end"),
        (r"see src\main\new.py", r"see src\main\new.py"),
        (r"see docs\build.txt for\next", r"see docs\build.txt for\next"),
        (r"dwindling\band at C:\new\table.txt", r"dwindling band at C:\new\table.txt"),
    ],
)
def test_one_style_of_breaks_in_a_text(text: str, masked: str):
    assert mask_line_breaks(text, ".", "|") == masked


@unhurried
@given(st.lists(st.sampled_from([r"\n", r"\r\n", r"\t", "<br />", " ", "wonderful", "story.", "The"]), max_size=12))
def test_every_break_stays(parts: list[str]):
    text = "".join(parts)
    assert len(mask_line_breaks(text, ".", " ")) == len(text)
    changed = Typos(rate=1.0)([text], [0])[0].text or ""
    for written in (r"\n", r"\r\n", r"\t", "<br />"):
        assert changed.count(written) == text.count(written)


@pytest.mark.parametrize("unit", ["\\", r"\n", "<", "<br", "<br ", r"C:\a", "\\r", r"ab\c", r"ab\c ", "ab,", ".\\"])
def test_time_is_linear(unit: str):
    text = unit * (100_000 // len(unit))
    start = time.process_time()
    assert len(mask_line_breaks(text, ".", " ")) == len(text)
    assert time.process_time() - start < 1  # measured: 0.02 s


@installed
def test_back_translation_keeps_the_lines():
    pieces = split_sentences(YELP)
    made = join_paraphrases(pieces, BackTranslation()(pieces.sentences, [0] * 3))
    lines = (made.text or "").split(r"\n\n")
    assert [line.split()[0] for line in lines] == ["The", "The", "My"]
    assert all(first != second for line in lines for first, second in zip(line.split(), line.split()[1:], strict=False))
