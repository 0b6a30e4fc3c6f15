"""Case G: a text in another language than the method's is left alone and counted; English loses nothing."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from text_uda.augment import (
    EDA,
    Deletion,
    Insertion,
    MaskedLanguageModel,
    RandAugment,
    Statistics,
    Swap,
    Synonym,
    TfIdf,
    Typos,
)
from text_uda.augment.back_translation import BackTranslation
from text_uda.augment.words import find_words, words_in
from text_uda.cli import main
from text_uda.errors import MissingPartError, SettingsError
from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases
from text_uda.text.language import sentence_is_in, sentences_in, two_letters
from text_uda.text.wordnet import DEBIAN
from text_uda.translate.apertium import MODES
from translation_cache import Job

needs_wordnet = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")
needs_apertium = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs apertium-eng-spa")

FOREIGN = [
    "La idea era buena pero el final es malo.",
    "Das Hotel war sehr gut.",
    "O filme era bom mas o final era triste.",
    "Das Essen war sehr gut und der Kellner war freundlich.",
    "Le film était vraiment très long et ennuyeux.",
    "Il finale mi ha lasciato senza parole.",
    "De kamer was klein maar wel schoon.",
    "Kamera pracuje świetnie, ale scenariusz jest słaby.",
    "Фильм был очень скучный.",
    "这部电影拍得非常非常好。",
    "DAS ESSEN WAR SEHR GUT UND DER KELLNER WAR FREUNDLICH.",
]
ENGLISH = [
    "A taut, intelligent psychological drama.",
    "Unfortunately the hotel was old and the food was cold.",
    "lol that was sooo good",
    "Kinnear gives a tremendous performance.",
    "Amélie is a très charming film, and I liked it.",
    "Great phone, bad battery, fair price",
    "Not bad.",
    "Juan Carlos Ferrero defeats Andre Agassi",
    "Roma Lazio derby postponed",
    "Hugo Chavez, Fidel Castro sign pact",
    "Sony VAIO laptop, Intel Centrino, DVD",
    "Los Angeles San Diego San Francisco",
]
ENGLISH_AND_GERMAN = "The movie was cheap. Das Essen war sehr gut und der Kellner freundlich. The story was good."


@pytest.mark.parametrize("text", FOREIGN)
def test_another_language_is_seen(text: str):
    assert words_in(text, "en") is None


@pytest.mark.parametrize("text", ENGLISH)
def test_english_keeps_its_words(text: str):
    words = words_in(text, "en")
    assert words and any(word.editable for word in words)


@needs_wordnet
@pytest.mark.parametrize(
    "method",
    [
        Synonym(rate=1.0),
        Insertion(rate=1.0),
        Deletion(rate=0.5),
        Swap(),
        EDA(),
        RandAugment(operations=(Synonym(), Swap(), Deletion())),
        TfIdf(statistics=Statistics.of([*ENGLISH, *FOREIGN]), rate=1.0),
    ],
    ids=lambda method: type(method).__name__,
)
def test_each_method_leaves_it_alone(method: Job):
    assert {(made.text, made.status) for made in method(FOREIGN, [0] * len(FOREIGN))} == {
        (text, "source-language") for text in FOREIGN
    }


@needs_wordnet
def test_a_mixed_text_changes_in_its_english_sentences():
    texts = {str(made.text) for made in Synonym(rate=1.0)([ENGLISH_AND_GERMAN] * 20, range(20))}
    assert len(texts) > 1
    assert all("Das Essen war sehr gut und der Kellner freundlich." in text for text in texts)


def test_a_short_sentence_follows_the_others():
    english, german, short = ["we", "liked", "the", "film"], "das essen war sehr gut".split(), ["sehr", "gut"]
    assert sentence_is_in("en", short) is None
    assert sentences_in("en", [german, short]) == [False, False]
    assert sentences_in("en", [english, german, short]) == [True, False, True]
    assert sentences_in("en", [short]) == [True]


def test_invented_words_are_in_no_language():
    words = [f"word{letter}x" for letter in "abcdefghijklmnopqrst"]
    assert sentence_is_in("en", words) is True


def test_no_word_of_another_language_comes_into_a_text():
    """In the paper's distribution a rare word is a likely substitute: `Essen` came into English reviews."""
    corpus = [*ENGLISH * 3, *FOREIGN]
    made = TfIdf(statistics=Statistics.of(corpus), rate=1.0)([ENGLISH[1]] * 200, range(200))
    words = {word for each in made for word in str(each.text).lower().rstrip(".").split()}
    assert not words & {"sehr", "gut", "buena", "pero", "filme", "triste", "kellner"}


def test_tfidf_of_german_texts():
    texts = ["das essen war sehr gut und an der bar gab es wein", "die bedienung war leider sehr langsam und laut"] * 3
    method = TfIdf(statistics=Statistics.of(texts, language="deu"), language="deu", rate=1.0)
    assert method([texts[0]], [0])[0].status == "ok"
    assert all(" a " not in f" {made.text} " for made in method([texts[0]] * 50, range(50))), "no English article"
    assert method(["We did not like the old film at all."], [0])[0].status == "source-language"
    with pytest.raises(SettingsError, match="statistics are of language 'en'"):
        TfIdf(statistics=Statistics.of(texts), language="de")


@pytest.mark.parametrize("language", ["de", "deu", "any"])
@pytest.mark.parametrize("kind", [Swap, Deletion])
def test_swap_and_deletion_of_german_texts(kind, language: str):
    """Words change, and the negation stays between the same clauses."""
    text = "das essen war leider nicht besonders gut, aber der kellner war freundlich und hilfsbereit"
    made = kind(rate=0.3, language=language)([text] * 50, range(50))
    assert "ok" in {each.status for each in made} <= {"ok", "unchanged"}
    assert all("nicht" in str(each.text).split(",")[0].split() for each in made)
    assert kind(language=language).settings()["language"] == two_letters(language)
    assert "language" not in kind().settings(), "caches of English texts stay"


def test_no_word_moves_across_a_negation_of_its_language():
    text = "la comida estaba buena no estaba fría"
    for made in Swap(rate=1.0, language="es")([text] * 50, range(50)):
        before, _, after = str(made.text).partition(" no ")
        assert sorted(before.split()) == ["buena", "comida", "estaba", "la"] and "fría" in after


@pytest.mark.parametrize("word", ["n'est", "n’ose", "pas"])
def test_french_negations(word: str):
    *_, negation, last = find_words(f"le film {word} bon", "fr")
    assert last.negated and not negation.negated and not find_words(f"le film {word} bon")[-1].negated


def test_typos_can_be_limited_to_a_language():
    text = "Das Hotel war leider wirklich schmutzig und laut."
    assert Typos()([text], [0])[0].status == "ok" and "language" not in Typos().settings()
    assert Typos(language="en")([text], [0])[0].status == "source-language"


def test_eda_passes_the_language_on():
    with pytest.raises(SettingsError, match="name one language"):
        EDA(language="any")


def test_a_language_is_named_by_a_code():
    assert [two_letters(code) for code in ("deu", "ger", "de", "eng", "any")] == ["de", "de", "de", "en", "any"]
    regional = [two_letters(code) for code in ("nb", "pt-br", "pt_BR", "en-US", "fil", "hbs", "sh")]
    assert regional == ["no", "pt", "pt", "en", "tl", "hr", "hr"]
    for kind in (Synonym, Insertion, MaskedLanguageModel):
        with pytest.raises(SettingsError, match="language='german' is unknown"):
            kind(language="german")
    with pytest.raises(SettingsError, match="name one language"):
        Synonym(language="any")


@needs_wordnet
def test_a_language_without_data_names_them(monkeypatch, tmp_path: Path):
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    monkeypatch.setenv("TEXT_UDA_CACHE", str(tmp_path))
    with pytest.raises(MissingPartError, match=r"nltk.downloader omw-1.4.*corpora/omw-1.4/swe/wn-data-swe.tab"):
        Synonym(language="swe")(["Filmen var bra."], [0])


@needs_apertium
def test_back_translation_knows_its_source(tmp_path: Path):
    method = BackTranslation(translator="apertium:eng-spa")
    texts = [FOREIGN[3], FOREIGN[1], "The rooms were small. " + FOREIGN[3]]
    report = paraphrase(texts, method, tmp_path)
    assert report.rejected["source-language"] == 2, "two distinct sentences"
    made = [samples[0] for samples in read_paraphrases(texts, method, tmp_path)]
    assert [each.status for each in made[:2]] == ["source-language"] * 2
    assert FOREIGN[3] in str(made[2].text or texts[2])


@needs_apertium
@pytest.mark.parametrize(
    "text",
    [
        "Nie wieder. War gut. Das Hotel hat leider sehr schlechte Zimmer und keine Klimaanlage.",
        "Die Art war gut. Das Essen war leider sehr schlecht und der Kellner war nicht freundlich.",
    ],
)
def test_short_sentences_of_a_foreign_text_are_not_translated(text: str, tmp_path: Path):
    method = BackTranslation(translator="apertium:eng-spa")
    paraphrase([text], method, tmp_path)
    assert [made[0].status for made in read_paraphrases([text], method, tmp_path)] == ["source-language"]
    assert RandAugment(operations=(method,), number=1)([text], [0])[0].text == text


@needs_apertium
def test_back_translation_of_the_other_direction():
    method = BackTranslation(translator="apertium:spa-eng")
    statuses = [
        made.status for made in method([ENGLISH[1], "La comida estaba fría y el camarero fue grosero."], [0, 0])
    ]
    assert statuses[0] == "source-language" != statuses[1]


@needs_wordnet
def test_the_command_line_says_how_many(tmp_path: Path):
    data = tmp_path / "reviews.jsonl"
    texts = [*FOREIGN, *(f"The movie number {number} was cheap and good." for number in range(30))]
    data.write_text("".join(json.dumps({"text": text, "label": n % 2}) + "\n" for n, text in enumerate(texts)))
    command = ["paraphrase", str(data), "--method", "synonym", "--cache", str(tmp_path / "cache")]
    output = CliRunner().invoke(main, command, catch_exceptions=False).output
    assert "texts are in another language than synonym changes, and left alone; --language names" in output
    stats = CliRunner().invoke(main, ["cache", "stats", str(tmp_path / "cache")], catch_exceptions=False).output
    assert "source-language" in stats


@pytest.mark.parametrize("kind", [Swap, Deletion, Typos])
def test_the_version_of_the_language_data_is_in_the_settings(kind):
    assert kind(language="en").settings()["py3langid"] == version("py3langid")
    assert "py3langid" not in kind(language="any").settings()
