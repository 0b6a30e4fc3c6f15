"""Marks and accents that translation engines replace: plain ones for the engine, those of the source in its output."""

import re
import unicodedata
from collections.abc import Sequence

_QUOTES = re.compile(r"(?<!\\)\\*+\"+|''|``|[“”„‟«»‹›]")
_SINGLE_QUOTED = re.compile(r"(?<!\w)(['‘‚])(?=\w)(?:[^'‘’‚\"\n]|(?<=\w)['’](?=\w)){1,200}(['’‘])(?!\w)")
_OUTPUT_QUOTES = re.compile(rf"((?:(?<!\s)\s+)?)({_QUOTES.pattern})(\s*)")  # a run of spaces is tried once
_LONG_DASHES = re.compile(r"(?:(?<!\s)\s++)?(?:[—―]|(?<!-)--(?!-))\s*|\s–\s")
_DASHES = re.compile(rf"{_LONG_DASHES.pattern}|\s-\s")
_JOINTS = re.compile(r"(?<=\w)[-–](?=\w)")
_DOTS = re.compile(r"…|\.{3,}")
_WORDS = re.compile(r"(?:\w|[\u0300-\u036f\u3099\u309a])+")


def plain(text: str) -> str:
    """The text with straight double quotes, spaced hyphens for dashes, three dots for … and composed accents.

    Without it Apertium takes the s of 'single' for a verb, and drops dashes, words at curly quotes, and accents.
    """
    text = unicodedata.normalize("NFC", text) if not text.isascii() else text
    parts, end = list[str](), 0
    for start, stop in _quotes(text):
        if start >= end:  # else it is a part of the one before
            parts += [text[end:start], '"']
        end = max(end, stop)
    return _LONG_DASHES.sub(" - ", "".join([*parts, text[end:]])).replace("…", "...").strip()


def restore_marks(source: str, text: str) -> str:
    """The engine's output for `plain(source)` with the source's marks, in order, and with its form of accents.

    A kind of marks of which the output has more or fewer than the source stays plain.
    """
    quotes = _quotes(source)
    if len(quotes) == len(_QUOTES.findall(text)):
        marks = iter([(source[start - 1 : start], source[start:end], source[end : end + 1]) for start, end in quotes])
        text = _OUTPUT_QUOTES.sub(lambda match: _quote(match, *next(marks)), text)
    text = _in_order(_DASHES, source, _in_order(_DOTS, source, text))
    if "–" in source:
        text = _in_order(_JOINTS, source, text)
    if "’" in source and "'" not in source:
        text = re.sub(r"(?<=\w)'(?=\w)", "’", text)
    if source.isascii():
        return text
    forms = {unicodedata.normalize("NFC", word): word for word in _WORDS.findall(source)}
    return _WORDS.sub(lambda word: forms.get(word[0], word[0]), text)


def _quotes(text: str) -> Sequence[tuple[int, int]]:
    """The offsets of quotation marks, in order; an apostrophe is none."""
    single = [match.span(group) for match in _SINGLE_QUOTED.finditer(text) for group in (1, 2)]
    return sorted([*single, *(match.span() for match in _QUOTES.finditer(text))])


def _quote(match: re.Match[str], before: str, mark: str, after: str) -> str:
    """The mark of the source; the side on which it touches a word has no space, which an engine may have added."""
    opens = not before.strip() and bool(after.strip())
    closes = not after.strip() and bool(before.strip())
    return ("" if closes else match[1]) + mark + ("" if opens else match[3])


def _in_order(pattern: re.Pattern[str], source: str, text: str) -> str:
    """`text` with the matches of the source in place of its own, if there are as many."""
    matches = pattern.findall(source)
    if not matches or len(matches) != len(pattern.findall(text)):
        return text
    remaining = iter(matches)
    return pattern.sub(lambda _: next(remaining), text)
