"""Protection: what is a span, that it comes back byte for byte, and that a translation which lost one is not taken."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_uda.text.protected_spans import protect
from text_uda.text.spans import find_spans
from text_uda.translate.apertium import MODES

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")


@pytest.mark.parametrize(
    ("sentence", "spans"),
    [
        ("See (https://x.org/a_(b)?q=1), or www.a.com.", ["https://x.org/a_(b)?q=1", "www.a.com"]),
        ("On t.co/abc and imdb.com/title; and/or.", ["t.co/abc", "imdb.com/title"]),
        ("Mail a.b+c@d-e.co.uk.", ["a.b+c@d-e.co.uk"]),
        ("@bob: #nice, #1", ["@bob", "#nice"]),
        ("{name} {{ x }} {% if x %} {0!r}", ["{name}", "{{ x }}", "{% if x %}", "{0!r}"]),
        ("%s, %d %(count)s %1$s %.2f", ["%s", "%d", "%(count)s", "%1$s", "%.2f"]),
        ("${USER} $HOME [NAME] [/INST]", ["${USER}", "$HOME", "[NAME]", "[/INST]"]),
        ("<unk> <br /> <a href='x y'>z</a> <|end|>", ["<unk>", "<br />", "<a href='x y'>", "</a>", "<|end|>"]),
        ("Tom &amp; Jerry &#39; AT&T;", ["&amp;", "&#39;"]),
        ("An iPhone, a YouTube clip.", ["iPhone", "YouTube"]),
        ("WH-1000XM4, G-200, PG-13 and 3-D", ["WH-1000XM4", "G-200", "PG-13", "3-D"]),
        ("MP3, mp3, 4K, v2.0 and x86", ["MP3", "mp3", "4K", "v2.0", "x86"]),
        ("a pre-MP3-player, iPhone-like", ["MP3", "iPhone"]),
        ("我用iPhone打电话,有3个", ["iPhone"]),
        ("great😀 👨‍👩‍👧‍👦👍🏽 🇩🇪 1️⃣ ©️", ["😀", "👨‍👩‍👧‍👦👍🏽", "🇩🇪", "1️⃣", "©️"]),
        ("ok:) :-( <3 :D XD ^_^ ¯\\_(ツ)_/¯", [":)", ":-(", "<3", ":D", "XD", "^_^", "¯\\_(ツ)_/¯"]),
    ],
)
def test_what_is_a_span(sentence: str, spans: list[str]):
    assert [sentence[start:end] for start, end in find_spans(sentence)] == spans


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "It cost $3.50, $5K, 2.5M or 3,000K on 1999-12-31 at 10:30, 10AM or 9pm.",
        "The 1st, 2ND, 21st-century, mid-90s, 1990s, 10-year-old and 5km.",
        "A NASA DVD, U.S. TVs; NOT GOOD (see note: x) [sic] [A] Catch-22.",
        "100% sure, 5 % so; a < b > c & d; well-known and/or good.bad, e.g.",
    ],
)
def test_ordinary_words_are_left_alone(sentence: str):
    protected = protect(sentence)
    assert protected.text is sentence
    assert protected.restore("anything XQ1") == "anything XQ1"


def test_names_are_whole_words_and_the_longest_wins():
    protected = protect("Sony Alpha by Sony, not Sonys; C++", ["Sony", "Sony Alpha", "", "C++"])
    assert protected.spans == ("Sony Alpha", "Sony", "C++")
    assert protected.text == "XQ1 by XQ2, not Sonys; XQ3"
    assert protect("a cart, a party, art", ["art"]).text == "a cart, a party, XQ1"


def test_a_name_within_an_address_does_not_split_it():
    assert protect("https://Sony.com/a", ["Sony", "https"]).spans == ("https://Sony.com/a",)


def test_spans_that_touch_are_one():
    assert protect("{a}{b}: 😀:)").spans == ("{a}{b}", "😀:)")


@pytest.mark.parametrize(
    ("sentence", "translated", "restored"),
    [
        ("a {x} b {x}", "XQ2 c XQ1", "{x} c {x}"),
        ("a {x} b {y}", "XQ2 c XQ1", "{y} c {x}"),
        ("a{x}b {y} c", "XQ2 d a XQ1 b", "{y} d a{x}b"),
        ("a {x} b", "Xq1 B", "{x} B"),
        ("a {x} b", "X Q 1 B", "{x} B"),
        ("a {x} 5", "xq 1 5", "{x} 5"),
        ("good😀", "bien XQ1", "bien😀"),
        ("good😀", "XQ1 bien", "😀 bien"),
        ("file ({x})", "( XQ1 ) file", "({x}) file"),
        ("({x})", "a XQ1 )", "a {x})"),
        ("我{x}", "我 XQ1", "我{x}"),
        ("{x}", "我XQ1我", "我{x}我"),
        ("a {x} b", "a b", None),
        ("a {x} b", "a XQ2", None),
        ("a {x} b", "a XQ0", None),
        ("a {x} b", "XQ1 XQ1", None),
        ("a {x} b", "XQ1 XQ", None),
        ("a {x} b", "XQ1s", None),
        ("a {x} b", "1XQ1", None),
        ("a {x} b", "XQ11", None),
        ("a {x} b {y}", "XQ1XQ2", None),
        ("a {x} b", "XQ" + "1" * 9999, None),
        ("a {x} b", "", None),
    ],
)
def test_restored_or_refused(sentence: str, translated: str, restored: str | None):
    assert protect(sentence).restore(translated) == restored


@pytest.mark.parametrize("sentence", ["XQ1 and {x}", "xqq, Fax Q1 and x  q {x}", "{x} Max Quinn", "http://XQ1.org"])
def test_a_stand_in_is_not_in_the_sentence(sentence: str):
    protected = protect(sentence)
    assert protected.prefix.lower() not in sentence.lower()
    assert protected.restore(protected.text) == sentence


@pytest.mark.parametrize(
    ("sentence", "nothing_left"),
    [("@bob 😀 {x}, 1999!", True), ("1999", True), ("a {x}", False), ("good", False), ("XQ1", True), ("{x} é", False)],
)
def test_is_there_something_to_translate(sentence: str, nothing_left: bool):
    assert protect(sentence).nothing_left == nothing_left


_PIECES = st.sampled_from(
    ["{x}", "@a", "😀", "MP3", ":)", "XQ", "xq1", "Q", " ", "  ", "(", ")", "a", "é", "5", "_", "."]
)


@given(st.one_of(st.lists(_PIECES, max_size=12).map("".join), st.text()))
def test_untouched_it_comes_back_byte_for_byte(sentence: str):
    protected = protect(sentence, ["a"])
    assert protected.restore(protected.text) == sentence


@pytest.mark.parametrize(
    "unit",
    [
        *"a @ < { . - # % $ [ & ( 1 _ : A- A1- a1 aA XQ www. http://( a. a@ a.a/ <a {{ 😀a %(a x".split(),
        *"* / ~ \\ ` ▁ /a ./ a/ a-/ \\a a* *a `a _a a_ ~1 1– $_ C:\\ C:\\a- e\u0301 a\u00ad \\a{".split(),
        *("x q", "<a =", "|a", "+a ", "^a", "=a ", "--a", "A–", "£1–", "--the"),
    ],
)
def test_time_is_linear(unit: str):
    sentence = unit * (20_000 // len(unit))
    start = time.process_time()
    protected = protect(sentence)
    assert protected.restore(protected.text) == sentence
    assert time.process_time() - start < 1  # measured: 0.1 s; what is quadratic takes several


@installed
def test_apertium_leaves_stand_ins_alone():
    from text_uda.translate.apertium import Apertium

    sentences = [
        "I saw it on https://x.org/a with @bob, and it was great 😀",
        "The iPhone's camera (4K) is good, but %s of {name} is not!",
        "WH-1000XM4: not bad... #nice",
        "😀😀 My mail is a@b.org; don't write.",
    ]
    protected = [protect(sentence) for sentence in sentences]
    there = Apertium("eng-spa")([each.text for each in protected])
    back = Apertium("spa-eng")([each.text for each in there])
    for each, translation in zip(protected, back, strict=True):
        restored = each.restore(translation.text)
        assert restored is not None
        assert all(span in restored for span in each.spans)
