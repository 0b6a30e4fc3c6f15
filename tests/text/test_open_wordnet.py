"""The Open Multilingual WordNet: its files in a folder and in an archive, and synonyms from them."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_uda.augment import Insertion, Synonym
from text_uda.errors import MissingPartError, SettingsError
from text_uda.text import open_wordnet as module
from text_uda.text.open_wordnet import OpenWordNet, open_wordnet
from text_uda.text.wordnet import DEBIAN
from text_uda.text.wordnet_tables import WordNetTables

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")


@pytest.fixture(scope="module")
def content() -> str:
    """Spanish words for three synsets of WordNet."""
    tables = WordNetTables()
    words = {
        ("noun", "n", "house"): ["casa", "vivienda", "casa de campo"],
        ("adjective", "a", "good"): ["buena", "linda"],
        ("adjective", "a", "quick"): ["rápida", "veloz", "aprisa"],
        ("adverb", "r", "quickly"): ["deprisa", "rapidito"],
    }
    lines = ["# Test\tspa\thttp://example.org\tCC BY 3.0"]
    for (part, letter, english), lemmas in words.items():
        offset = tables.senses(english, part)[0]
        lines += [f"{offset:08d}-{letter}\tspa:lemma\t{lemma}" for lemma in lemmas]
        lines.append(f"{offset:08d}-{letter}\tspa:def\t0\tnada")
    return "\n".join(lines) + "\n"


@pytest.fixture(params=["folder", "archive"])
def installed(request, content: str, tmp_path: Path, monkeypatch) -> Iterator[Path]:
    name = "omw-1.4/mcr/wn-data-spa.tab"
    if request.param == "folder":
        (tmp_path / "corpora" / name).parent.mkdir(parents=True)
        (tmp_path / "corpora" / name).write_text(content, "utf-8")
    else:
        (tmp_path / "corpora").mkdir()
        with zipfile.ZipFile(tmp_path / "corpora" / "omw-1.4.zip", "w") as archive:
            archive.writestr("omw-1.4/", "")
            archive.writestr(name, content)
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    monkeypatch.setattr(module, "home", lambda: tmp_path / "none")
    module._loaded.cache_clear()
    yield tmp_path
    module._loaded.cache_clear()


def test_words_and_senses(installed: Path):
    words = open_wordnet("spa")
    (house,) = words.senses["casa"]
    assert house[0] == "noun" and words.words[house] == ("casa", "vivienda"), "phrases and definitions are left out"
    assert open_wordnet("es").digest == words.digest


def test_a_language_that_is_not_there(installed: Path):
    with pytest.raises(MissingPartError, match=r"'deu' is not installed: .*extended_omw.*wn-data-deu\.tab"):
        open_wordnet("deu")


def test_lemmas_are_replaced_by_lemmas(installed: Path):
    method = Synonym(language="spa", rate=1.0)
    made = method(["Mi casa es muy rápida pero las casas no son así."], [0])[0]
    assert made.text == "Mi vivienda es muy aprisa pero las casas no son así.", "not the plural, and -a stays -a"
    assert made.status == "ok"
    assert method(["The house was very quick and we liked it."], [0])[0].status == "source-language"


def test_a_negation_keeps_words_with_an_antonym(installed: Path):
    method = Synonym(language="es", rate=1.0)
    assert method(["Es una idea muy buena para todos."], [0])[0].text == "Es una idea muy linda para todos."
    assert method(["No es una idea buena para todos."], [0])[0].status == "unchanged"


def test_letters_of_other_languages(installed: Path):
    assert Synonym(language="es", rate=1.0)(["Una película rápida y muy larga."], [0])[0].text == (
        "Una película aprisa y muy larga."
    )


def test_insertion_keeps_prepositions(installed: Path):
    made = Insertion(language="es")(["Voy a esa casa a menudo con otra gente."] * 20, range(20))
    assert all(each.status == "ok" and "vivienda" in str(each.text) and " an " not in str(each.text) for each in made)


def test_the_data_decide_the_settings(installed: Path):
    spanish = Synonym(language="spa").settings()
    assert spanish == Synonym(language="es").settings() and spanish["open_wordnet"] == open_wordnet("es").digest
    assert "language" not in Synonym().settings()


def test_a_malformed_line_is_named():
    with pytest.raises(SettingsError, match=r"wn-data-spa\.tab, line 2: 'casa' is no offset"):
        OpenWordNet(b"00001740-n\tlemma\tentidad\ncasa\tlemma\tcasa\n", "wn-data-spa.tab")


@pytest.mark.parametrize(
    "damage", [lambda whole: bytes(len(whole)), lambda whole: b"", lambda whole: whole[: len(whole) // 2]]
)
def test_a_damaged_file_is_an_error(installed: Path, damage):
    [path] = [*installed.rglob("*.tab"), *installed.rglob("*.zip")]
    path.write_bytes(damage(path.read_bytes()))
    if path.suffix == ".tab" and path.stat().st_size and any(path.read_bytes()):
        return  # half of a text is a shorter text: its digest gives other rows
    with pytest.raises(SettingsError, match="download the Open Multilingual WordNet again"):
        open_wordnet("spa")
