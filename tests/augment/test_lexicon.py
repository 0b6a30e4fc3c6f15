"""Which words may stand for a word: the sense, the form, and never the opposite."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from text_uda.augment import Synonym, lexicon
from text_uda.augment.lexicon import antonyms, candidates_by_context, context_after, shared_lexicon
from text_uda.errors import MissingPartError
from text_uda.text import wordnet

installed = pytest.mark.skipif(not (wordnet.DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")


def forms(word: str, context: str | None = None) -> set[str]:
    candidates = candidates_by_context(word).get(context)
    return set(candidates.forms) if candidates else set()


@installed
@pytest.mark.parametrize(
    ("word", "context", "form"),
    [
        ("movie", None, "film"),
        ("movies", None, "films"),
        ("bought", None, "purchased"),
        ("buys", "VERB", "purchases"),
        ("buying", "PARTICIPLE", "purchasing"),
        ("begun", "PARTICIPLE", "started"),
        ("bigger", None, "larger"),
        ("quickly", None, "rapidly"),
        ("children", None, "kids"),
    ],
)
def test_a_synonym_has_the_form_of_the_word(word: str, context: str | None, form: str):
    assert form in forms(word, context)


@installed
@pytest.mark.parametrize(
    ("word", "context", "wrong"),
    [
        ("eye", None, "optic"),  # rare
        ("cinema", None, "celluloid"),  # which mostly means another thing
        ("director", None, "manager"),
        ("lived", None, "populated"),  # somebody lives, but populates something
        ("pertained", None, "concerned"),
        ("help", "VERB", "assist"),  # help her go
        ("certainly", None, "sure"),
        ("compelling", "NOUN", "obliging"),
        ("living", "NOUN", "populating"),
        ("flourishes", "NOUN", "thrives"),
        ("mean", None, "intend"),
        ("regarding", None, "viewing"),
    ],
)
def test_no_word_that_would_not_fit(word: str, context: str | None, wrong: str):
    assert wrong not in forms(word, context)


@installed
@pytest.mark.parametrize("word", ["xyzzy", "not", "the", "regarding", "London", ""])
def test_nothing_stands_for_it(word: str):
    assert candidates_by_context(word) == {}


@installed
@pytest.mark.parametrize(
    ("word", "part", "opposed"),
    [
        ("good", "adjective", {"bad", "terrible", "awful"}),
        ("superb", "adjective", {"bad", "awful"}),  # by way of good
        ("hot", "adjective", {"cold", "icy", "frigid"}),
        ("icy", "adjective", {"hot", "torrid"}),  # by way of cold
        ("love", "verb", {"hate"}),
        ("beauty", "noun", {"ugliness"}),
        ("movie", "noun", set()),
    ],
)
def test_opposites_are_antonyms_and_what_is_similar(word: str, part: str, opposed: set[str]):
    assert opposed <= antonyms(word, part) and (opposed or not antonyms(word, part))


@installed
def test_no_opposite_is_offered(monkeypatch: pytest.MonkeyPatch):
    common = "good bad happy sad easy hard clever dull big little strong weak funny cheap rich poor love hate begin end"
    for word in common.split():
        for candidates in candidates_by_context(word).values():
            assert not antonyms(word, candidates.part_of_speech).intersection(candidates.forms)
    # WordNet lists few words beside their opposite; here it is made to.
    lexicon._synonyms.cache_clear()
    monkeypatch.setattr(lexicon, "antonyms", lambda word, _part: frozenset({"purchase"} if word == "buy" else ()))
    assert "purchase" not in dict(lexicon._synonyms("buy", "verb"))
    lexicon._synonyms.cache_clear()
    monkeypatch.setattr(lexicon, "antonyms", lambda word, _part: frozenset({"buy"} if word == "purchase" else ()))
    assert "purchase" not in dict(lexicon._synonyms("buy", "verb"))
    lexicon._synonyms.cache_clear()


@installed
def test_the_word_before_says_the_part_of_speech():
    assert [context_after(word) for word in ("the", "to", "they", "very", "was", "unusual", "movie", "")] == [
        *("NOUN", "TO", "VERB", "ADJ", "PARTICIPLE", "NOUN", None, None)
    ]


@installed
def test_the_tables_are_those_of_nltk():
    with pytest.warns(UserWarning, match="multilingual"):
        reader = WordNetCorpusReader(wordnet._folder(), omw_reader=None)
    tables = shared_lexicon().wordnet
    for word in ("good", "movie", "run", "quickly", "galore", "likely"):
        for part, letter in (("noun", "n"), ("verb", "v"), ("adjective", "a"), ("adverb", "r")):
            theirs = [sense for sense in reader.synsets(word, letter) if word in sense.lemma_names()]
            ours = tables.senses(word, part)
            assert [sense.offset() for sense in theirs] == list(ours)
            assert [sense.lemma_names() for sense in theirs] == [list(tables.synset(part, at).words) for at in ours]
            counted = [sum(lem.count() for lem in sense.lemmas() if lem.name() == word) for sense in theirs]
            assert counted == list(tables.counts(word, part))


@installed
def test_threads_that_come_at_once_load_it_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lexicon, "_loaded", [])
    with ThreadPoolExecutor(4) as threads:
        assert len({id(found.result()) for found in [threads.submit(shared_lexicon) for _ in range(4)]}) == 1


def test_without_wordnet_the_ways_to_get_it_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *_args, **_options: False)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr(lexicon, "_loaded", [])
    wordnet.version.cache_clear()
    try:
        with pytest.raises(MissingPartError, match=r"wordnet-base.*nltk\.downloader.*NLTK_DATA"):
            Synonym()(["the movie"], [0])
        with pytest.raises(MissingPartError, match=r"wordnet-base.*nltk\.downloader.*NLTK_DATA"):
            shared_lexicon()
    finally:
        wordnet.version.cache_clear()
