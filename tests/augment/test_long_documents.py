"""Long and odd documents by way of Apertium: what stands between their sentences comes back byte for byte."""

import re
from pathlib import Path

import pytest

from text_uda import BackTranslation, paraphrase
from text_uda.paraphrasing.cache_access import read_paraphrases
from text_uda.translate.apertium import MODES

pytestmark = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")

PARTS = ["the first scene is long", "everybody in the house liked the old actor", "the actors play with a lot of charm"]
REVIEW = [f"{PARTS[number % 3].capitalize()} in week number {number}." for number in range(100)]
LIST = ["The house is big", "I would watch this movie again", "The story begins slowly", "It was cheap"]

# Each document is what stands before, between and behind its sentences, and the sentences.
DOCUMENTS = {
    "a review of 100 sentences": ([""] + [(" ", "  ", "\n\n", "\t")[n % 4] for n in range(99)] + ["\n"], REVIEW),
    "a list": (["- ", "\n- ", "\n  * ", "\r\n\r\n- ", "\r\n"], LIST),
    "lines of emoji": (["🙂🙂\n", "\n👩‍👩‍👧 🇪🇸\n", "\n\u2028~~~ ✨ ~~~\n", "\n***\n\n\n", " 🙂\n"], LIST),
    "bare lines": (["\n\n\n \t", "\n", "\x85", "\r", " \n \n"], LIST),
}


def back(texts: list[str], folder: Path) -> list[str]:
    augmentation = BackTranslation()
    paraphrase(texts, augmentation, folder)
    made = [samples[0] for samples in read_paraphrases(texts, augmentation, folder)]
    assert [each.status for each in made] == ["ok"] * len(texts)
    return [each.text or "" for each in made]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_stands_between_sentences_stays(name: str, tmp_path: Path):
    between, sentences = DOCUMENTS[name]
    assert len(between) == len(sentences) + 1
    text = between[0] + "".join(sentence + after for sentence, after in zip(sentences, between[1:], strict=True))
    (made,) = back([text], tmp_path)
    found = re.fullmatch(r"([^\n\r\t\x85\u2028.]+\.?)".join(map(re.escape, between)), made)
    assert found is not None, made
    returned = list(found.groups())
    assert all(each == each.strip() and each for each in returned)
    assert sum(old != new for old, new in zip(sentences, returned, strict=True)) > len(sentences) / 4
    numbers = [re.findall(r"\d+", each) for each in sentences]
    assert [re.findall(r"\d+", each) for each in returned] == numbers, "each in the place of its own"


def test_a_text_without_any_punctuation(tmp_path: Path):
    text = " ".join(f"{part} {number}" for number, part in enumerate(PARTS * 40))
    (made,) = back([text], tmp_path)
    assert re.findall(r"\d+", made) == [str(number) for number in range(len(PARTS) * 40)], "none lost, all in order"
    assert not re.search(r"[.!?\n]|\s\s", made) and made != text
    assert 0.8 * len(text) < len(made) < 1.25 * len(text)


def test_a_sentence_of_5000_characters(tmp_path: Path):
    clauses = [f"{part} {number}" for number, part in enumerate(PARTS * 100)]
    text = ", ".join(clauses)[:5000].rsplit(",", 1)[0] + ". It was cheap."
    (made,) = back([text], tmp_path)
    assert len(text) > 4900 and made != text
    assert re.findall(r"\d+", made) == re.findall(r"\d+", text), "none lost, all in order"
    assert made.count(",") == text.count(",") and made.endswith(".") and 0.8 * len(text) < len(made)


def test_a_page_without_a_space(tmp_path: Path):
    """Nothing of it can be translated, and nothing of it is lost."""
    text = "x" * 5000 + " I would watch this movie again, and everybody in the house would."
    (made,) = back([text], tmp_path)
    assert made.count("x") == 5000 and made != text


def test_an_address_is_never_cut(tmp_path: Path):
    address = "https://x.org/" + "the-good-house/they-never/" * 13 + "end"
    text = "I would watch this movie again " * 5 + address + " and everybody in the house would" * 10
    (made,) = back([text], tmp_path)
    assert address in made and made != text
