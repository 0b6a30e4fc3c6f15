"""Spans of a text that are not for translation: addresses, mentions, placeholders, tags, emoji, product names."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

# No pattern reads a stretch anew from each of its characters: time is linear.
_URL_END = r"""(?:\([^\s<>"“”()]*\)|[^\s<>"“”()])+(?<![.,;:!?'’…\]}。，、])"""
_ADDRESSES = rf"""
    (?<!\w)(?:https?|ftp)://{_URL_END} | (?<![\w@.])www\.{_URL_END}
  | (?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+
  | (?<![\w@.-])(?:[A-Za-z0-9-]++\.)+[A-Za-z]{{2,}}/{_URL_END}
"""
_MARKUP = r"""
    (?<![\w@/])@\w++(?:@[\w-]++(?:\.[\w-]++)+)? | (?<![\w&\#/])\#(?=\w*[^\W\d_])\w++
  | \{\{[^{}]{0,99}\}\} | \{%[^{}%]{0,99}%\} | \$?\{[^{}\s]{0,64}\} | (?<![\w$])\$[A-Za-z_]\w*+
  | %\(\w{1,64}\)[-+\#0]?\d{0,3}(?:\.\d{1,3})?[a-zA-Z]
  | (?<![\w%])%(?:\d\$)?[-+\#0]?\d{0,3}(?:\.\d{1,3})?[sdiufFeEgGxXoc](?!\w)
  | \[/?[A-Z][A-Z0-9_]{1,63}\] | </?[A-Za-z][\w:-]*+(?:\s[^<>=]*+=[^<>]*+|\s*+/)?> | <\|\w{1,64}\|>
  | &(?:[A-Za-z][A-Za-z0-9]{1,31}|\#\d{1,7}|\#x[0-9A-Fa-f]{1,6});
"""
_EMOJI = (
    "(?:[0-9\\#*]\ufe0f?\u20e3|[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa]\ufe0f"
    "|[\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff])"
)
_SMILEYS = rf"""
    {_EMOJI}(?:{_EMOJI}|[\ufe0e\ufe0f\u200d\U000e0020-\U000e007f])*+
  | [:;=]['’]?[-o^][)(\]\[/\\|*DPpO3](?!\w) | [:;=]['’]?[)(]++ | (?<!\w)[:;][DPpOo/\\|*](?![\w/]) | (?<!\w)=[DPp](?!\w)
  | (?<!\w)[xX]D++(?!\w) | </?3++(?!\w) | \^_*+\^ | -_++- | (?<!\w)[oO]_++[oO](?!\w) | ¯\\_\(ツ\)_/¯ | \\o/
"""
# Words such as WH-1000XM4, PG-13, mp3, v2.0, 4K, iPhone; what follows a currency sign is a price.
_LATIN = r"A-Za-zÀ-ɏ\d"
_PART = (
    rf"(?:[A-Z\d]++|[A-Za-z]++\d[{_LATIN}]*+|\d++[A-Z][{_LATIN}]*+|[{_LATIN}]*?[a-z][A-Z][{_LATIN}]*+)(?![{_LATIN}_])"
)
# No possessive groups here: Python 3.11 before 3.11.4 matches a group that fails at its end all the same.
_CODE = re.compile(rf"(?<![{_LATIN}_$€£¥@#])(?<!\d[.,]){_PART}(?:-{_PART})*(?:\.\d++)*")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]")
_ORDINAL = re.compile(r"\d+(?:ST|ND|RD|TH|S|AM|PM)")


def find_spans(sentence: str, names: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
    """Where the spans begin and end, in order.

    They are addresses (URLs, e-mail), @mentions and #hashtags, placeholders ({name}, %s, ${VAR}, [NAME]), tags and
    HTML entities, emoji and emoticons, words that mix capitals or letters with digits (WH-1000XM4, mp3, 4K) or have a
    capital inside (iPhone), and `names` as whole words, the longest first. Plain numbers, prices, ordinals, times and
    words in capitals are none.
    """
    end = 0
    for mark in chain(_marks(tuple(names)).finditer(sentence), [None]):
        for code in _CODE.finditer(sentence, end, mark.start() if mark else len(sentence)):
            if _is_mixed(code[0]):
                yield code.span()
        if mark:
            yield mark.span()
            end = mark.end()


@lru_cache
def _marks(names: tuple[str, ...]) -> re.Pattern[str]:
    """All but the words; names come after addresses, which may contain one."""
    ordered = sorted({name for name in names if name.strip()}, key=len, reverse=True)
    literal = [rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)"] if ordered else []
    return re.compile("|".join([_ADDRESSES, *literal, _MARKUP, _SMILEYS]), re.VERBOSE)


def _is_mixed(word: str) -> bool:
    digits = any(map(str.isalpha, word)) and any(map(str.isdigit, word)) and not _ORDINAL.fullmatch(word)
    return digits or bool(_INNER_CAPITAL.search(word))
