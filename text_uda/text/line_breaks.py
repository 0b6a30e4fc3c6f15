r"""Line breaks that are written out: the two characters \n of Yelp, Amazon and AG News, and the HTML tags of IMDb."""

import re

from text_uda.text.spans import TYPESET_COMMAND, WINDOWS_PATH

_BREAK = re.compile(
    rf"""(?x)
    (?P<kept>{WINDOWS_PATH}|{TYPESET_COMMAND})
  | (?<!\\)\\++(?:r\\++n|[nrt])  # \n, \r\n, \t and their escaped forms
  | (?i:</?(?:br|p|hr|div|li|ul|ol|tr|td|h[1-6])(?:\s[^<>]{{0,99}})?/?>)
    """
)


def mask_line_breaks(text: str, first: str, rest: str) -> str:
    r"""The text with the character `first` and as many of `rest` in place of each written break: every offset stays.

    A break is an escape (\n, \r\n, \t) or the tag of a paragraph, line, list or table row. \n in C:\new, and at the
    start of the commands of LaTeX that no English word continues (\nu, \neq, \theta), is none.
    """
    if "\\" not in text and "<" not in text:
        return text
    return _BREAK.sub(lambda match: match[0] if match["kept"] else first + rest * (len(match[0]) - 1), text)
