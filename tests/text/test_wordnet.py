"""WordNet from Debian's package, NLTK's data, or an error that names the ways."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nltk
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from text_uda.augment import Synonym
from text_uda.errors import DataError, MissingPartError
from text_uda.text import wordnet
from translation_cache import fingerprint

installed = pytest.mark.skipif(
    not (wordnet.DEBIAN / "index.sense").exists(), reason="needs Debian's wordnet-base and wordnet-sense-index"
)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No WordNet but Debian's, and a cache folder of our own."""
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *_args, **_options: False)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """As another process, which checks the files anew."""
    wordnet._fill.cache_clear()
    wordnet.version.cache_clear()


@installed
def test_debians_files_are_copied_whole_and_opened(bare: Path):
    with pytest.warns(UserWarning, match="multilingual"):
        reader = WordNetCorpusReader(wordnet._folder(), omw_reader=None)
    assert reader.get_version() == "3.0" and reader.synsets("film")[0].name() == "movie.n.01"
    assert reader.synset("movie.n.01").lexname() == "noun.communication"
    folder = bare / "nltk_data" / "corpora"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["wordnet"] and not any(
        map(os.path.islink, folder.rglob("*"))
    )


@pytest.fixture
def shared_umask() -> Iterator[None]:
    """Of most distributions: the group of a user, in which nobody else is, may write."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@installed
def test_the_copy_is_read_where_the_group_may_write_files(bare: Path, shared_umask):
    assert wordnet.version() == "3.0"
    (bare / "nltk_data" / "corpora").chmod(0o775)  # as an earlier version left it
    forget()
    assert wordnet.version() == "3.0"


@installed
def test_a_copy_that_nltk_refuses_is_one_line(bare: Path, shared_umask, monkeypatch):
    monkeypatch.setattr(wordnet, "_make_private", lambda _folder: None)
    with pytest.raises(MissingPartError, match=r"refuses .*nltk_data: run `chmod -R go-w ") as error:
        wordnet.version()
    assert "\n" not in str(error.value)


@installed
def test_synsets_have_a_definition_lemmas_and_pointers(bare: Path):
    synsets = {(synset.file, synset.lemmas[0]): synset for synset in wordnet.noun_synsets()}
    assert len(synsets) > 50_000
    dog = synsets["noun.animal", "dog"]
    assert dog.definition.startswith("a member of the genus Canis")
    assert "barked all night" not in dog.definition, "examples are no definition"
    assert dog.lemmas == ("dog", "domestic dog", "Canis familiaris")
    assert {symbol: dog.pointers.count(symbol) for symbol in dog.pointers} == {"@": 2, "#m": 2, "~": 18, "%p": 1}
    assert synsets["noun.Tops", "physical entity"].definition == "an entity that has physical existence"


def test_without_any_all_ways_are_named(bare: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wordnet, "DEBIAN", bare / "nowhere")
    with pytest.raises(MissingPartError, match=r"wordnet-base.*nltk\.downloader.*NLTK_DATA"):
        wordnet.read("data.noun")


def zeros(whole: bytes) -> bytes:
    return bytes(len(whole))


def torn(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def flipped(whole: bytes) -> bytes:
    """A letter of a gloss is another one, which no parser notices."""
    return whole.replace(b"a member of the genus Canis", b"a member of the genus Felis")


@installed
@pytest.mark.parametrize("damage", [zeros, torn, flipped])
def test_a_damaged_copy_is_set_aside_and_made_again(bare: Path, damage, caplog):
    whole = wordnet.read("data.noun")
    copy = bare / "nltk_data" / "corpora" / "wordnet"
    (copy / "data.noun").write_bytes(damage(whole))
    forget()
    assert wordnet.read("data.noun") == whole
    assert "is damaged (the content of data.noun has changed): it is kept as" in caplog.text
    assert (copy.with_name("wordnet.damaged") / "data.noun").read_bytes() == damage(whole)


@installed
def test_a_copy_of_an_earlier_version_is_made_again(bare: Path, caplog):
    wordnet.read("data.noun")
    copy = bare / "nltk_data" / "corpora" / "wordnet"
    (copy / "digests.json").unlink()
    (copy / "data.noun").write_bytes(b"")
    forget()
    assert wordnet.read("data.noun") and (copy / "digests.json").exists() and not caplog.text


@installed
@pytest.mark.parametrize("damage", [zeros, torn, lambda whole: b""])
def test_damage_in_a_folder_of_nltk_is_an_error(bare: Path, tmp_path: Path, monkeypatch, damage):
    folder = tmp_path / "user" / "corpora" / "wordnet"
    shutil.copytree(wordnet.DEBIAN, folder)
    (folder / "data.adv").write_bytes(damage((folder / "data.adv").read_bytes()))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "user")])
    with pytest.raises(DataError, match=r"data.adv: the file of WordNet is damaged; install it again"):
        wordnet.version()


@installed
def test_the_fingerprint_of_synonyms_tells_one_wordnet_from_another(bare: Path, tmp_path: Path, monkeypatch):
    standard = Synonym().settings()
    assert standard["wordnet"] == "3.0", "rows of earlier versions keep their fingerprint"
    folder = tmp_path / "user" / "corpora" / "wordnet"
    shutil.copytree(wordnet.DEBIAN, folder)
    (folder / "data.noun").write_bytes(flipped((folder / "data.noun").read_bytes()))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "user")])
    forget()
    other = Synonym().settings()
    assert other["wordnet"].startswith("3.0 ") and fingerprint(other) != fingerprint(standard)


@installed
def test_nltks_archive_is_held_to_its_digest(bare: Path, tmp_path: Path, monkeypatch):
    archive = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for name in ("data.adv", "index.adv"):
            content.write(wordnet.DEBIAN / name, f"wordnet/{name}")

    def download(_name, *, download_dir, **_options):
        (Path(download_dir) / "corpora").mkdir()
        shutil.copyfile(archive, Path(download_dir) / "corpora" / "wordnet.zip")
        return True

    whole = (wordnet.DEBIAN / "data.adv").read_bytes()
    monkeypatch.setattr(wordnet, "DEBIAN", bare / "nowhere")
    monkeypatch.setattr(nltk, "download", download)
    with pytest.raises(MissingPartError, match="is not the archive of WordNet that is known"):
        wordnet.read("data.adv")
    monkeypatch.setattr(wordnet, "_ZIP_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert wordnet.read("data.adv") == whole
