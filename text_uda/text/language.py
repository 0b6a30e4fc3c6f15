"""Languages: whether a sentence is in a given one, and whether a paraphrase is in that of its source."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version

from text_uda.errors import SettingsError

_WORD = re.compile(r"[^\W\d_]+")
_MOSTLY_SHARED = 2 / 3  # a text that shares this part of its words with the source is in its language
_MIN_BYTES = 20  # bytes of words below which a text is not judged
_MIN_LOG_ODDS = 20.0  # of each text, for its language over that of the other
_MIN_SCRIPT_SHARE = 1 / 4  # of the letters of the source, for a script to belong to it

# The languages of a macrolanguage (ISO 639-3) count as one and take the code of the first; zxx is "no language".
_MACROLANGUAGES = ("hr bs sr", "ar ary arz", "zh yue wuu", "no nn", "ms id")
_MACROLANGUAGE = {code: group.split()[0] for group in _MACROLANGUAGES for code in group.split()}
_NO_LANGUAGE = "zxx"

ANY = "any"
"""The language of a method that knows none."""
# ISO 639-1, which py3langid uses, of ISO 639-3, which Apertium and the Open Multilingual WordNet use.
_TWO_LETTERS: dict[str, str] = {
    pair[:3]: pair[4:]
    for pair in """afr:af sqi:sq als:sq ara:ar arb:ar eus:eu bul:bg cat:ca zho:zh cmn:zh hrv:hr ces:cs dan:da nld:nl
        eng:en epo:eo est:et fin:fi fra:fr glg:gl deu:de ell:el heb:he hin:hi hun:hu isl:is ind:id gle:ga ita:it jpn:ja
        kor:ko lav:lv lit:lt msa:ms zsm:ms nor:no nob:no nno:nn oci:oc fas:fa pol:pl por:pt ron:ro rus:ru srp:sr slk:sk
        slv:sl spa:es swa:sw swe:sv tha:th tur:tr ukr:uk urd:ur vie:vi cym:cy ger:de fre:fr dut:nl
        fil:tl tgl:tl hbs:hr""".split()
}
_SYNONYMOUS = {"nb": "no", "sh": "hr"}  # codes of two letters that py3langid lacks
_DECISIVE = 10.0  # log odds of another language over the expected one
_MIN_SENTENCE_BYTES = 12
_MIN_SENTENCE_WORDS = 3  # distinct ones; a script without spaces needs one
# Words that no other language has among its frequent ones: one in ten makes a sentence English.
_ENGLISH = frozenset(
    """about above after again against almost already although always among another any anybody anyone anything around
    away back became because become been before behind being below between both but could couldn't did didn't does
    doesn't doing don't done down during each either enough every everybody everyone everything except first from
    further gave get gets getting give given go goes going got hasn't haven't have having he's hence here hers herself
    himself how however i'm i've if instead into isn't it it's its itself just keep kept know last least less little
    lots makes making many more mostly much my myself neither never next no-one nobody none nor not nothing now nowhere
    off often onto other others otherwise our ours ourselves out own perhaps quite rather really said same saw say says
    seeing seem seen several shall she she's should shouldn't since some somebody someone something sometimes somewhere
    soon taken than that that's the their theirs them themselves then there there's therefore these they they're thing
    things this those though three through thus together too took toward towards twice two under unless until up upon
    very wasn't way weren't what whatever when where whether which while who whole whom whose why with within without
    won't would wouldn't yet you you're your yours yourself yourselves""".split()
)
# Two of these are English if no other language has both: Dutch has of and is, Romance languages a and on, ...
_ENGLISH_IN_PART = {
    word: number
    for number, words in enumerate(("of is we over had", "a as an on no he me or so do also", "for at by her be was"))
    for word in words.split()
}


@cache
def two_letters(code: str) -> str:
    """The ISO 639-1 code of a language that can be identified, of its code or that of ISO 639-3; ANY stays.

    Raises:
        SettingsError: the language is unknown.
    """
    if code in (ANY, "en"):
        return code
    language = code.replace("_", "-").split("-")[0]  # pt-BR: without the region
    language = _TWO_LETTERS.get(language) or _SYNONYMOUS.get(language, language)
    if language not in map(str, _identifier().nb_classes):
        raise SettingsError(f"language={code!r} is unknown: give a code of ISO 639, such as en, de or deu, or {ANY}")
    return language


def three_letters(code: str) -> tuple[str, ...]:
    """The codes of ISO 639-3 of a language, the given one first.

    Raises:
        SettingsError: the language is unknown.
    """
    language = two_letters(code)
    same = [three for three, two in _TWO_LETTERS.items() if two == language]
    return tuple(dict.fromkeys([code, *same] if len(code) == 3 else same)) or (code,)


def language_versions(language: str) -> dict[str, str]:
    """The version of the data that decide which sentences are in a language, for the settings of a method."""
    return {} if language == ANY else {"py3langid": version("py3langid")}


def sentence_is_in(language: str, words: Sequence[str]) -> bool | None:
    """Whether a sentence, given by its words in lower case, is in the language; None if it is too short to tell.

    It is in another one if that has log odds of at least 10 over the expected one, and over no language, by py3langid's
    naive Bayes on the distinct words. For English, frequent words decide first.

    Args:
        language: of ISO 639-1.
    """
    if language == "en" and _is_english(words):
        return True
    lag = _lag(language, " ".join(dict.fromkeys(words)))
    return None if lag is None else lag < _DECISIVE


def text_is_in(language: str, text: str) -> bool:
    """Whether no language is likelier; False if the text is too short to tell."""
    words = _words(text)
    if language == ANY or (language == "en" and _is_english(words)):
        return True
    return _lag(language, " ".join(dict.fromkeys(words))) == 0


def _is_english(words: Sequence[str]) -> bool:
    sure = sum(map(_ENGLISH.__contains__, words))
    if sure * 10 >= len(words):
        return bool(words)
    return len({_ENGLISH_IN_PART[word] for word in words if word in _ENGLISH_IN_PART}) + bool(sure) >= 2


@lru_cache(maxsize=1 << 13)  # the samples of a text ask again
def _lag(language: str, text: str) -> float | None:
    """The log odds of the likeliest language over the expected one, at least 0; None for a short text."""
    size = len(text.encode("utf-8", "replace"))
    other_script = size > 1.5 * len(text)  # Cyrillic, Greek, Arabic, Chinese, ...
    if size < _MIN_SENTENCE_BYTES or (text.count(" ") + 1 < _MIN_SENTENCE_WORDS and not other_script):
        return None
    scores = _log_probabilities(text)
    expected = scores.get(_MACROLANGUAGE.get(language, language), float("-inf"))
    if language == "en":
        expected = max(expected, scores["pcm"])  # Nigerian Pidgin, whose words are English
    expected = max(expected, scores[_NO_LANGUAGE])  # invented words and codes are in no other language
    return max(scores.values()) - expected


def sentences_in(language: str, sentences: Sequence[Sequence[str]]) -> list[bool]:
    """For each sentence of a text whether it is in the language; one that is too short to tell follows the others."""
    verdicts = [sentence_is_in(language, words) for words in sentences]
    return [(True in verdicts or False not in verdicts) if verdict is None else verdict for verdict in verdicts]


def in_other_language(source: str, text: str) -> bool:
    """Whether `text`, or much of it, is in another language than `source`; False if unclear.

    It is if its script differs, or if the words that only `text` has are in language B by py3langid's naive Bayes (Lui
    & Baldwin 2011), the source is in language A, and each has log odds of at least 20 for its own language over the
    other. Texts with fewer than 20 bytes of words are not judged.

    Measured on the 9,424 sentences of movie-snippets: true for 0.04% of random pairs of them and for 0.01% of sentences
    with their back-translations (Apertium eng-spa, which leaves some Spanish). True for 93% of their Spanish
    translations, 81% with only the second half translated and 74% with only the first; for sentences of at least 8
    words 99.7%, 91% and 85%. 2,700 to 19,000 pairs a second on one core, fewer the more words differ.
    """
    if _main_script_differs(source, text):
        return True
    source_words, words = _words(source), _words(text)
    known = set(source_words)
    new_words = [word for word in words if word not in known]
    if len(new_words) < len(words) * (1 - _MOSTLY_SHARED):
        return False
    if min(_byte_count(source_words), _byte_count(new_words)) < _MIN_BYTES:
        return False
    source_scores, new_scores = _log_probabilities(" ".join(source_words)), _log_probabilities(" ".join(new_words))
    a, b = max(source_scores, key=source_scores.__getitem__), max(new_scores, key=new_scores.__getitem__)
    if a == b or _NO_LANGUAGE in (a, b):
        return False
    return min(source_scores[a] - source_scores[b], new_scores[b] - new_scores[a]) >= _MIN_LOG_ODDS


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _byte_count(words: list[str]) -> int:
    return len(" ".join(words).encode("utf-8", "replace"))


def _log_probabilities(text: str) -> dict[str, float]:
    """The log probability of each language, up to a constant; of a macrolanguage, its likeliest language's."""
    scores: dict[str, float] = {}
    for code, score in _identifier().rank(text):  # the likeliest first
        language = str(code)
        scores.setdefault(_MACROLANGUAGE.get(language, language), score)
    return scores


@cache
def _identifier():
    """A separate model, because other code can restrict the languages of the module's. Loads in a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


# --- scripts ----------------------------------------------------------------------------------------------------------


def _main_script_differs(source: str, text: str) -> bool:
    """Whether the most frequent script of `text` is rare in the source."""
    if text.isascii() and source.isascii():
        return False
    source_scripts, text_scripts = _scripts(source), _scripts(text)
    if not source_scripts or not text_scripts:
        return False
    main = text_scripts.most_common(1)[0][0]
    is_rare = source_scripts[main] < _MIN_SCRIPT_SHARE * source_scripts.total()
    return main != source_scripts.most_common(1)[0][0] and is_rare


def _scripts(text: str) -> Counter[str]:
    return Counter(_script(letter) for letter in text if letter.isalpha())


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """LATIN, CYRILLIC, ...: the first word of the letter's Unicode name. The three scripts of Japanese count as one."""
    name = unicodedata.name(letter, "UNKNOWN").split()[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA") else name
