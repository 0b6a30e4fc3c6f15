"""WordNet from Debian's package, NLTK's data, or an error that names the ways."""

import os
from pathlib import Path

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from text_uda.errors import MissingPartError
from text_uda.text import wordnet

installed = pytest.mark.skipif(
    not (wordnet.DEBIAN / "index.sense").exists(), reason="needs Debian's wordnet-base and wordnet-sense-index"
)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No WordNet but Debian's, and a cache folder of our own."""
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *_args, **_options: False)
    return tmp_path


@installed
def test_debians_files_are_copied_whole_and_opened(bare: Path):
    with pytest.warns(UserWarning, match="multilingual"):
        reader = WordNetCorpusReader(wordnet._folder(), omw_reader=None)
    assert reader.get_version() == "3.0" and reader.synsets("film")[0].name() == "movie.n.01"
    assert reader.synset("movie.n.01").lexname() == "noun.communication"
    folder = bare / "nltk_data" / "corpora"
    assert [path.name for path in folder.iterdir()] == ["wordnet"] and not any(map(os.path.islink, folder.rglob("*")))


@installed
def test_glosses_are_definitions_by_lexicographer_file(bare: Path):
    found = {(file, lemma): gloss for file, lemma, gloss in wordnet.glosses()}
    assert len(found) > 50_000
    dog = found["noun.animal", "dog"]
    assert dog.startswith("a member of the genus Canis") and "barked all night" not in dog, "examples are no definition"
    assert found["noun.Tops", "physical entity"] == "an entity that has physical existence"


def test_without_any_all_ways_are_named(bare: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wordnet, "DEBIAN", bare / "nowhere")
    with pytest.raises(MissingPartError, match=r"wordnet-base.*nltk\.downloader.*NLTK_DATA"):
        wordnet.read("data.noun")
