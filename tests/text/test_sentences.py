"""Sentences put together byte for byte, and words compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_uda.text.sentences import MAX_SENTENCE, change_rate, changed_words, normalise, split_sentences

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(list(" .!?…\n\r\t\v\f\x1c\x85\u2028\xa0\u200b\u202e\ufeff\x00\"'”)([。！¿aA1ßé🙂\ud800")),
    ),
    max_size=200,
)


@given(NASTY)
def test_joined_again_it_is_the_text(text):
    pieces = split_sentences(text)
    assert pieces.join(pieces.sentences) == text
    assert len(pieces.separators) == len(pieces.sentences) + 1


@given(NASTY)
def test_a_sentence_is_one_short_line_with_something_to_say(text):
    for sentence in split_sentences(text).sentences:
        assert sentence == sentence.strip() and len(sentence.splitlines()) == 1
        assert any(map(str.isalnum, sentence)) and len(sentence) <= MAX_SENTENCE


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\t", []),
        ("?!", []),
        ("One. Two! Three? four", ["One.", "Two!", "Three? four"]),
        ("Dr. No met Mr. Bond. He left.", ["Dr. No met Mr. Bond.", "He left."]),
        ("J. K. Rowling wrote it. I read it.", ["J. K. Rowling wrote it.", "I read it."]),
        ("It was No. 5 of ten. No. Really.", ["It was No. 5 of ten.", "No.", "Really."]),
        ("I like the U.S. Navy film.", ["I like the U.S. Navy film."]),
        ("It cost $3.50 at a.b.com/x?y. Cheap!", ["It cost $3.50 at a.b.com/x?y.", "Cheap!"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ('Why? "Because." (Really.) ¿Sí?', ["Why?", '"Because."', "(Really.)", "¿Sí?"]),
        ("so good ... but long ... Then bad", ["so good ... but long ...", "Then bad"]),
        ("first line\nsecond line\r\n\r\n- third", ["first line", "second line", "- third"]),
        ("好きです。とても！はい", ["好きです。", "とても！", "はい"]),
        ("10 stars. 9 of them deserved.", ["10 stars.", "9 of them deserved."]),
    ],
)
def test_where_sentences_end(text, sentences):
    assert list(split_sentences(text).sentences) == sentences


def test_a_long_sentence_is_split_at_the_best_place():
    text = "a" * 200 + ", " + "b " * 200
    first, *_, last = split_sentences(text).sentences
    assert first == "a" * 200 + "," and last.endswith("b")
    assert all(len(sentence) <= MAX_SENTENCE for sentence in split_sentences("x" * 1000).sentences)


@pytest.mark.parametrize("unit", ["good. ", "Good. ", ".", '"', " ", "a", "\n", "Mr. ", "。", "( "])
def test_a_text_of_100_000_characters_is_no_trouble(unit):
    text = (unit * 100_000)[:100_000]
    pieces = split_sentences(text)
    assert pieces.join(pieces.sentences) == text


def test_other_sentences_go_into_the_same_places():
    pieces = split_sentences("  One.\n\nTwo. \t")
    assert pieces.join(["Uno.", "Dos."]) == "  Uno.\n\nDos. \t"
    with pytest.raises(ValueError, match="1 sentences for 2 places"):
        pieces.join(["Uno."])


def test_normalise():
    assert normalise("“It’s” … fine") == '"It\'s" ... fine'


@pytest.mark.parametrize(
    ("source", "paraphrase", "rate"),
    [
        ("a good film", "a good film", 0.0),
        ("a good film", "a fine film", 1 / 3),
        ("a good film", "a film", 1 / 3),
        ("a film", "a very good film", 0.5),
        ("", "", 0.0),
        ("", "new", 1.0),
        ("a b", "c d", 1.0),
    ],
)
def test_change_rate(source, paraphrase, rate):
    assert change_rate(source, paraphrase) == pytest.approx(rate)


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcde"), max_size=30), st.booleans())
def test_the_changes_lead_from_one_text_to_the_other(old, new, long):
    if long:  # past the size where each word is compared with each
        old, new = [*old, *map(str, range(600)), *old], [*new, *map(str, range(600)), *new]
    changes = changed_words(" ".join(old), " ".join(new))
    assert [word for _, words, _ in changes for word in words] == old
    assert [word for _, _, words in changes for word in words] == new
    for operation, before, after in changes:
        assert (operation == "equal") == (before == after)
    if long:
        assert sum(len(words) for operation, words, _ in changes if operation == "equal") >= 600


@pytest.mark.parametrize("before", range(20, 60, 3))
def test_no_cut_within_what_is_not_translated(before: int):
    tag = '<img alt="' + "a good film, or not; " * 5 + '" src="x">'
    text = "word " * before + tag + " word" * 80
    pieces = split_sentences(text)
    assert sum(tag in sentence for sentence in pieces.sentences) == 1
    assert pieces.join(pieces.sentences) == text
