"""Case P: marks, paths and accents come back from a translation byte for byte."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from text_uda.augment import BackTranslation
from text_uda.augment.typos import Typos
from text_uda.paraphrasing.filters import Filters
from text_uda.text.protected_spans import protect
from text_uda.text.typography import plain, restore_marks
from text_uda.translate.apertium import MODES, Apertium

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a loaded machine
MARKS = """~4.5/5 ~100 ~$5 *really* _very_ **bold** __so__ ~~old~~ `code` snake_case _private s**t f***ing ****
    /usr/bin ~/notes ./a/b.txt src/main.py C:\\dir\\file.txt \\\\host\\share https://x.org/a_b a.b@c.org @user #tag
    :-) <3 ¯\\_(ツ)_/¯ 😀 👩‍👩‍👧 🇩🇪 👍🏽 <br /> <b> &amp; &#39; quot; #39; {name} %s $HOME $x^2$
    ^great^ |bold| +very+ ++so++ ==important== £5–£7 $1,000–$2,000 Mon–Fri 9am–5pm 10:30–11:00 5%–7% --help --dry-run
    \\alpha \\frac{a}{b} \\$ 1999–2000 Z\u0308a\u0323lgo soft\u00adhyphen zero\u200bwidth ▁""".split()


@pytest.mark.parametrize(
    "mark", ["<br />", "~", "*very good*", "==very good==", *(mark for mark in MARKS if mark not in ("<br", "/>"))]
)
def test_a_mark_is_one_span(mark: str):
    assert protect(f"it was {mark} here").spans == (mark,)
    assert Filters().rejection(f"it was {mark} here now", "it was so here") == "protected"


@pytest.mark.parametrize(
    "sentence",
    [
        "It is 5*6 and a * b, 10 / 2, and/or.",
        "It cost $5 and $6 (he/she).",
        "5 _ 6 - 7 | 8",
        "a=b=c, 1 + 2 + 3 = 6 | a ^ b; (+) and (+) and fast–paced",
        "It was long --and it was dull -- and well--made.",
        "Créme, naïve and cafe\u0301",
    ],
)
def test_what_is_no_mark(sentence: str):
    assert protect(sentence).spans == ()


@pytest.mark.parametrize(
    ("source", "plain_text", "translated", "restored"),
    [
        ("the 'simple' film", 'the "simple" film', 'a "plain" film', "a 'plain' film"),
        ("“So good” – it’s", '"So good" - it’s', "\" Very good \" - it's", "“Very good” – it’s"),
        (r"He said \"good\" now", 'He said "good" now', 'He says "fine" now', r"He says \"fine\" now"),
        ("a film—long…", "a film - long...", "a movie - long...", "a movie—long…"),
        ("well--now", "well - now", "good - now", "good--now"),
        ("a “good” film", 'a "good" film', "a good film", "a good film"),
        ("the cafe\u0301 bru\u0302le\u0301e", "the café brûlée", "a café brûlée", "a cafe\u0301 bru\u0302le\u0301e"),
        ("\u1112\u1161\u11ab word", "\ud55c word", "\ud55c term", "\u1112\u1161\u11ab term"),
        ("the boys' 6\" toy isn't", "the boys' 6\" toy isn't", "a boys' 6\" toy isn't", "a boys' 6\" toy isn't"),
        ("a ``wow'' and ‚gut‘ now", 'a "wow" and "gut" now', 'a " wow " and "good" now', "a ``wow'' and ‚good‘ now"),
        ("a ‹good› film", 'a "good" film', 'a " good " movie', "a ‹good› movie"),
        ("fast–paced, well-known", "fast–paced, well-known", "fast-paced, well-known", "fast–paced, well-known"),
        ("plain, simple.", "plain, simple.", "plain - simple...", "plain - simple..."),
    ],
)  # fmt: skip
def test_marks_of_the_source_come_back(source: str, plain_text: str, translated: str, restored: str):
    assert plain(source) == plain_text
    assert restore_marks(source, translated) == restored


_PARTS = st.lists(
    st.sampled_from([*"“”„«»'’\"—–-….,", "''", "--", r"\"", " ", "good", "it's", "cafe\u0301"]), max_size=12
)


@unhurried
@given(_PARTS.map("".join).map(str.strip))
def test_what_an_engine_leaves_alone_keeps_its_letters(source: str):
    restored = restore_marks(source, plain(source))
    assert [*filter(str.isalnum, restored)] == [*filter(str.isalnum, source)]


@installed
@settings(unhurried, max_examples=25)
@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=3))
def test_back_translation_keeps_marks(marks: list[str]):
    source = f"The film was {' and '.join(marks)} and the old story was very long."
    made = BackTranslation()([source], [0])[0]
    assert made.status != "ok" or all((made.text or "").count(mark) >= source.count(mark) for mark in marks)


@installed
def test_the_cases():
    sources = [
        "Rated ~4.5/5 by ~100 people.",
        "It was *really* good and _very_ cheap.",
        "The cafe\u0301 was good and the creme bru\u0302le\u0301e too.",
        "The 'masterpiece' was long.",
        "The train costs £5–£7 on Mon–Fri from 9am–5pm on the New York–London line.",
        "It was ^great^ and |bold| and +very+ and ==important== here.",
        "The film was ``wonderful'' and very ‚good‘ there.",
        "Run it with --help or --verbose to see more.",
    ]
    texts = [made.text or "" for made in BackTranslation()(sources, [0] * len(sources))]
    assert "~4.5/5" in texts[0] and "~100" in texts[0]
    assert "*really*" in texts[1] and "_very_" in texts[1]
    assert "bru\u0302le\u0301e" in texts[2] and unicodedata.normalize("NFC", texts[2]).count("é") == 2
    assert "'masterpiece'" in texts[3]
    assert all(mark in texts[4] for mark in ("£5–£7", "Mon–Fri", "9am–5pm", "York–London"))
    assert all(mark in texts[5] for mark in ("^great^", "|bold|", "+very+", "==important=="))
    assert all(texts[6].count(mark) == 1 for mark in ("``", "''", "‚", "‘"))
    assert "--help" in texts[7] and "--verbose" in texts[7]
    assert Apertium("spa-eng")(["bru\u0302le\u0301e"])[0].text == "brûlée"


@unhurried
@given(st.text(st.sampled_from("aeiouAE\u0301\u0302\u0308nñé👩\u200d🇩🇪 "), min_size=1, max_size=40))
def test_typos_leave_accents_and_joined_signs_alone(text: str):
    changed = Typos(rate=1.0)([text], [0])[0].text or ""
    kept = "\u0301\u0302\u0308ñé👩\u200d🇩🇪"
    assert [sign for sign in changed if sign in kept] == [sign for sign in text if sign in kept]
