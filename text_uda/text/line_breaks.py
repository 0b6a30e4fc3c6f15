r"""Line breaks that are written out: the two characters \n of Yelp and Amazon, the \ of AG News, the tags of IMDb."""

import re

from text_uda.text.spans import NO_WORD_AFTER_N, TYPESET_COMMAND, WINDOWS_PATH

_NO_ABBREVIATION = r"(?<![A-Z]\.)(?<!(?:Inc|Ltd)\.)(?<!Co\.)(?<!Corp\.)"
_WRITTEN = re.compile(
    rf"""(?x)
    (?P<kept>{WINDOWS_PATH}|{TYPESET_COMMAND})
  | (?P<tag>(?i:</?(?:br|p|hr|div|li|ul|ol|tr|td|h[1-6])(?:\s[^<>]{{0,99}})?/?>))
  | (?P<escape>(?<!\\)\\++(?:r\\++n|[nrt](?![a-z])) | (?<![\w,;.)\"'”’\\-])\\++[rt]
      | (?<![\w,;)\"'”’\\-]){_NO_ABBREVIATION}\\++n | (?<!\\)\\++n(?={NO_WORD_AFTER_N}))
  | (?P<unclear>(?<!\\)\\++[nrt])  # the escape \n and a word, or a \ and a word that starts with n
    """
)
# A \ between two words of which the second starts with no letter of an escape: no path, no command of LaTeX.
_BETWEEN_WORDS = re.compile(
    r"(?<!\S)[^\s\\$]++(?<=[a-z][a-z,;])\\(?![nrt])(?=[A-Za-z])[^\s\\{$./:]++[.,;:!?…)\"'”’]*+(?!\S)"
)
_BARE = re.compile(
    rf"""(?x)
    (?P<kept>{WINDOWS_PATH})
  | (?P<end>(?<=\w[.!?…]){_NO_ABBREVIATION}\\{{1,2}}(?=[A-Z\d\"'“‘(]))
  | (?:(?<=\w[.!?…])|(?<=[\w,;:)\"'”’-]))\\(?=\w)
    """
)


def mask_line_breaks(text: str, first: str, rest: str) -> str:
    r"""The text with the character `first` and as many of `rest` in place of each written break: every offset stays.

    A break is an escape (\n, \r\n, \t) or the tag of a paragraph, line, list or table row. \n in C:\new, and at the
    start of the commands of LaTeX that no English word continues (\nu, \neq, \theta), is none.

    AG News has a bare \ in place of a break: "toppling\records". One style holds for a text. A bare \ is a break where
    an English word after it shows that (menace\barely) and no escape is sure (\n\n, \nThe, \nservice). It wraps a line,
    so it becomes a space, except after a stop. Where no style shows, a\next stays as it is.
    """
    if "\\" not in text and "<" not in text:
        return text
    kinds = {match.lastgroup for match in _WRITTEN.finditer(text)} if "\\" in text else set()
    wrapped = "\\" in text and "escape" not in kinds and bool(_BETWEEN_WORDS.search(text))
    masked = {"tag", "escape"} | ({"unclear"} if "escape" in kinds else set())
    text = _WRITTEN.sub(lambda match: _fill(match, first, rest) if match.lastgroup in masked else match[0], text)
    return _BARE.sub(lambda match: _unwrap(match, rest), text) if wrapped else text


def _fill(match: re.Match[str], first: str, rest: str) -> str:
    return first + rest * (len(match[0]) - 1)


def _unwrap(match: re.Match[str], end: str) -> str:
    return match[0] if match["kept"] else (end if match["end"] else " ") * len(match[0])
