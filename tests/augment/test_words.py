"""Words and where they stand; what may be edited of them, and what an edit leaves alone."""

import pytest

from text_uda.augment.words import (
    Edit,
    apply_edits,
    article_before,
    find_words,
    repair_articles,
    with_article_edits,
    with_capital_of,
)


def editable(text: str) -> list[str]:
    return [word.text for word in find_words(text) if word.editable]


def test_where_words_stand():
    text = "  A big\tmovie,\n\u2028don't  go."
    assert [text[word.start : word.end] for word in find_words(text)] == ["A", "big", "movie", "don't", "go"]
    assert [word.previous for word in find_words(text)] == ["", "a", "big", "", "don't"]
    assert find_words("") == find_words(" \n") == find_words("42 … !") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The movie by Lee was good.", ["The", "movie", "by", "was", "good"]),
        ("don't well-made e-mail it's 'n' f**k don`t don´t donʼt don＇t", []),
        ("Mr. Pitt met Dr. Kid. Cast: Brad. Good J. Law", ["met", "Cast", "Good"]),
        ("http://a.b/good me@good.com #good @good good_bad C:\\good {good} good/bad", []),
        ("$3.50 3rd 4K 50%good a1b A&E x=y C++ ~good", []),
        ("Good. Good, Good GOOD", ["Good", "Good"]),
        ("cafe\u0301 na\u00efve u\u0323gly sof\u00adt ok", ["ok"]),
        ('see <img alt="a good movie" src=x> a film, 3 < 4 and 5 > 4', ["see", "a", "film", "and"]),
    ],
)
def test_which_words_may_be_edited(text: str, expected: list[str]):
    assert editable(text) == expected


def test_negations_end_with_their_clause():
    found = {word.text: word for word in find_words("He did not like it much, but she doesn't mind. Fine film")}
    assert [name for name, word in found.items() if word.negated] == ["like", "it", "much", "mind"]
    assert found["did"].segment != found["like"].segment != found["she"].segment
    assert found["like"].segment == found["it"].segment
    for sign in "'’‘ʼ`´′＇":
        assert find_words(f"it isn{sign}t big")[-1].negated
    turned = {word.text: word.segment for word in find_words("not dull but touching, dull but touching")}
    assert len({word.segment for word in find_words("not dull but touching")}) == 4
    assert turned["touching"] == turned["dull"], "without a negation nothing is divided"
    assert [word.starts_sentence for word in find_words("One (two) three. Four")] == [True, False, False, True]


def test_edits_leave_everything_else():
    text = "a\u0301 b\tc"
    assert apply_edits(text, [Edit(3, 4, "xyz"), Edit(5, 5, "+")]) == "a\u0301 xyz\t+c"
    with pytest.raises(AssertionError, match="overlap"):
        apply_edits(text, [Edit(3, 5, ""), Edit(4, 5, "")])
    assert (with_capital_of("Old", "new"), with_capital_of("old", "new")) == ("New", "new")


def test_articles_are_mended():
    text = "An old film and a bad one, a\nodd an apple."
    found = find_words(text)
    edits = [Edit(found[1].start, found[1].end, "bad"), Edit(found[5].start, found[5].end, "awful")]
    assert apply_edits(text, with_article_edits(text, found, edits)) == "A bad film and an awful one, a\nodd an apple."
    source = find_words("a odd film, an old film, a big film")
    assert repair_articles("a odd film, an film, a old film", source) == "a odd film, a film, an old film"


@pytest.mark.parametrize("word", "hour honest effort unusual uninteresting apple umbrella unidentified".split())
def test_a_vowel_is_what_is_spoken(word: str):
    assert article_before(word) == "an"


@pytest.mark.parametrize("word", "useful unique european one once movie unanimous utopian uranium ukulele".split())
def test_a_consonant_is_what_is_spoken(word: str):
    assert article_before(word) == "a"
