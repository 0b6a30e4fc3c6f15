"""Finds spans not to translate: addresses, paths, mentions, placeholders, tags, emoji, marked words, product names."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

# No pattern rescans a run of characters from each of its positions, so matching takes linear time.
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
  | (?<![\w&])(?:quot|amp|lt|gt|nbsp|apos|\#\d{1,7});
"""
# After an n these begin no English word, so \nservice and \nand start with an escape, \next and \none may not.
NO_WORD_AFTER_N = (
    r"(?:(?!(?:ba|bc|caa|fl|hl)\b)(?:[b-df-hj-np-tvwxz]|y[aeou])"
    r"|(?:a|after|again|all|also|although|always|an|and|another|any|are|around|as|at|even|every\w*|excellent|i|if|in|into"
    r"|is|it|it['’]s|its|of|on|our|out|over|overall|under|unless|until|up|us|i['’]\w+)\b)"
)
# A drive letter is not the D of a smiley or grade before an escaped line break, D:\\nThe, B:\\nthe best.
WINDOWS_PATH = (
    rf"(?<!\w)[A-Za-z]:(?!\\[nrt](?:\\|[A-Z]|\s|$))(?!\\n(?={NO_WORD_AFTER_N})\w*+(?!\\\w|\.\w))(?:\\[\w.$~-]*\w)+\\?"
)
# Commands of LaTeX that start as an escape does.
TYPESET_COMMAND = (
    r"(?<![\w\\])\\(?:nu|neq?|not(?:in)?|nabla|newline|newcommand|noindent|nonumber|rho|right\w*|rangle|ref"
    r"|tau|times|theta|text\w*|to|top|tilde|tiny|title)(?![A-Za-z])"
)
_PATHS = rf"""
    {WINDOWS_PATH} | (?<![\w\\])\\\\[\w.-]++(?:\\[\w.$-]++)+
  | (?<![\w/.~<>:)\]-])(?:~|\.{{1,2}})?(?:/[\w.@+-]*\w)+/?
  | (?<![\w./\\-])(?:[\w-]++/)+[\w-]++\.[A-Za-z]\w{{0,4}}(?![\w/])
"""
_FORMULA = r"(?<![\w\\$])\$(?=[^$\n]{0,98}[\\^_={])[^\s$](?:[^$\n]{0,97}[^\s$])?\$(?![\w$])"  # $x^2$, before $x
_RANGE_END = r"(?:[$€£]?\d++(?:[.,:]\d++)*\w*+%?|[A-ZÀ-ÖØ-Þ]\w++)"
# Words between marks, with marks inside or about numbers: *really*, +x+, snake_case, s**t, ~100, £5–£7, --help.
_MARKED = rf"""
    (?<![\w*_~`])(?P<emphasis>\*{{1,3}}|_{{1,3}}|~{{1,2}}|`{{1,3}})(?=\S)(?:(?!(?P=emphasis)).){{1,98}}(?<=\S)(?P=emphasis)(?![\w*~`])
  | (?<![\w^|+=])(?P<mark>\^|\||\+{{1,3}}|={{1,3}})(?=\w)(?:(?!(?P=mark)).){{1,98}}(?<=[\w.,!?…])(?P=mark)(?![\w^|+=])
  | (?<!\S)--(?!(?:an?|and|as|at|but|by|for|from|he|if|in|is|it|not?|of|on|or|she|so|th\w+|to|we|wh\w+|with|you)\b)
    [a-z][\w-]*+
  | (?<!\w)(?:[^\W_]++_\w*+|_++[^\W_]\w*+) | (?<![\w*])\w*[^\W\d_]\*++\w*+ | \*{{2,}}+
  | ~++[$€£]?\d++(?:[.,:/]\d++)*\w*+%? | ~++ | ▁++ | (?<![\w.,])\d++—\d++(?!\w)
  | (?<!\d:)(?<![\w.,$€£–]){_RANGE_END}(?:–{_RANGE_END})+
  | (?<![\w\\])\\[A-Za-z]++(?:\{{[^{{}}]{{0,99}}\}}|\[[^\[\]]{{0,99}}\])* | \\[^\w\s"'\\]
"""
# A word whose accents no composed letter has, or with an invisible character inside.
_ACCENTED = r"(?P<accented>(?<!\w)[^\W_]++(?:[\u0300-\u036f\u00ad\u200b\u2060\ufeff]++[^\W_]*+)+)"
_EMOJI = (
    "(?:[0-9\\#*]\ufe0f?\u20e3|[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa]\ufe0f"
    "|[\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff])"
)
_SMILEYS = rf"""
    {_EMOJI}(?:{_EMOJI}|[\ufe0e\ufe0f\u200d\U000e0020-\U000e007f])*+
  | [:;=]['’]?[-o^][)(\]\[/\\|*DPpO3](?!\w) | [:;=]['’]?[)(]++ | (?<!\w)[:;][DPpOo/\\|*](?![\w/]) | (?<!\w)=[DPp](?!\w)
  | (?<!\w)[xX]D++(?!\w) | </?3++(?!\w) | \^_*+\^ | -_++- | (?<!\w)[oO]_++[oO](?!\w) | ¯\\_\(ツ\)_/¯ | \\o/
"""
# Words such as WH-1000XM4, PG-13, mp3, v2.0, 4K, iPhone; after a currency sign it is a price.
_LATIN = r"A-Za-zÀ-ɏ\d"
_PART = (
    rf"(?:[A-Z\d]++|[A-Za-z]++\d[{_LATIN}]*+|\d++[A-Z][{_LATIN}]*+|[{_LATIN}]*?[a-z][A-Z][{_LATIN}]*+)(?![{_LATIN}_])"
)
# No possessive groups here: Python 3.11 before 3.11.4 matches them even if the group fails at its end.
_CODE = re.compile(rf"(?<![{_LATIN}_$€£¥@#])(?<!\d[.,]){_PART}(?:-{_PART})*(?:\.\d++)*")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]")
_ORDINAL = re.compile(r"\d+(?:ST|ND|RD|TH|S|AM|PM)")


def find_spans(sentence: str, names: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
    """The offsets (start, end) of the spans, in order.

    Spans are addresses (URLs, e-mail), paths (/usr/bin, C:\\dir), @mentions and #hashtags, placeholders ({name}, %s,
    ${VAR}, [NAME]), tags and HTML entities, emoji and emoticons, marked words (*really*, ~100, snake_case, LaTeX),
    words with accents or invisible characters that Unicode does not compose, words that mix letters with digits
    (WH-1000XM4, mp3, 4K) or have a capital inside (iPhone), and `names` as whole words, the longest first. Plain
    numbers, prices, ordinals, times and words in capitals are not spans.
    """
    end = 0
    for match in chain(_pattern(tuple(names)).finditer(sentence), [None]):
        for code in _CODE.finditer(sentence, end, match.start() if match else len(sentence)):
            if _is_mixed(code[0]):
                yield code.span()
        if match:
            if not match["accented"] or not unicodedata.normalize("NFC", match[0]).isalnum():
                yield match.span()
            end = match.end()


@lru_cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """All kinds of spans but those of _CODE. Addresses come before names, because they can contain one."""
    ordered = sorted({name for name in names if name.strip()}, key=len, reverse=True)
    literal = [rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)"] if ordered else []
    return re.compile(
        "|".join([_ADDRESSES, *literal, _FORMULA, _PATHS, _MARKUP, _SMILEYS, _MARKED, _ACCENTED]), re.VERBOSE
    )


def _is_mixed(word: str) -> bool:
    has_both = any(map(str.isalpha, word)) and any(map(str.isdigit, word))
    return (has_both and not _ORDINAL.fullmatch(word)) or bool(_INNER_CAPITAL.search(word))
