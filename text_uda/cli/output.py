"""Printing: text from data made safe, changed words marked, one JSON object for machines."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from text_uda.report import Report

_BOLD, _STRUCK, _PLAIN = "\x1b[1m", "\x1b[9m", "\x1b[0m"


def printable(text: str, width: int | None = None) -> str:
    """`text` on one line with each control, format or surrogate character escaped, cut to `width` characters.

    Data must not move the cursor, recolor the terminal or reverse the direction of writing.
    """
    if width is not None and len(text) > width:
        text = text[: width - 1] + "…"
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isspace() and character not in "\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return character  # no-break and ideographic spaces are harmless
    return character.encode("unicode_escape").decode("ascii")


def emit_json(record: Mapping[str, Any]) -> None:
    """Print one object on one line of standard output, in ASCII, which every terminal and locale can print."""
    click.echo(json.dumps(dict(record), ensure_ascii=True, default=str, allow_nan=False))


def is_main_process() -> bool:
    """Whether this process prints: of several processes of one training run, rank 0, as the launcher numbers them."""
    return os.environ.get("RANK", "0") == "0"


def note(text: str) -> None:
    """Say on standard error how something was read, once for all processes of a run."""
    if is_main_process():
        echo_aside(f"note: {printable(text)}")


def echo_aside(line: str) -> None:
    """Print a line on standard error, above a progress bar."""
    from text_uda.progress import above_bars

    with above_bars():
        click.echo(line, err=True)


def to_terminal() -> bool:
    return sys.stdout.isatty()


def marked(source: str, paraphrase: str) -> str:
    """`paraphrase` on one line, with its changes to `source` marked: [-old-]{+new+}."""
    from text_uda.text.sentences import changed_words

    parts = []
    for operation, old, new in changed_words(source, paraphrase):
        old_text, new_text = printable(_joined(old)), printable(_joined(new))
        if operation == "equal":
            parts.append(new_text)
            continue
        parts.append((f"[-{old_text}-]" if old_text else "") + (f"{{+{new_text}+}}" if new_text else ""))
    return " ".join(parts)


def echo_pair(source: str, paraphrase: str | None, *, status: str, pivot: str | None) -> None:
    """A text and its paraphrase with the changes marked; side by side on a terminal."""
    note = "" if status == "ok" else f"  ({printable(status)})"
    if paraphrase is None:
        click.echo(printable(source) + note)
    elif to_terminal():
        width = min(get_terminal_size().columns, 160)
        click.echo(side_by_side(source, paraphrase, width=width) + (note and f"\n  {note}"))
    else:
        click.echo(marked(source, paraphrase) + note)
    if pivot:
        click.echo(f"    via: {printable(pivot)}")


def side_by_side(source: str, paraphrase: str, *, width: int) -> str:
    """Both texts in two columns: removed words struck through on the left, new words bold on the right."""
    from text_uda.text.sentences import changed_words

    left: list[tuple[str, bool]] = []
    right: list[tuple[str, bool]] = []
    for operation, old, new in changed_words(source, paraphrase):
        left += [(printable(word), operation != "equal") for word in old]
        right += [(printable(word), operation != "equal") for word in new]
    column = (width - 3) // 2
    lines = zip_longest(_wrapped(left, column, _STRUCK), _wrapped(right, column, _BOLD), fillvalue=("", 0))
    return "\n".join(f"{old}{' ' * (column - length)} │ {new}".rstrip() for (old, length), (new, _) in lines)


def _wrapped(words: list[tuple[str, bool]], width: int, style: str) -> Iterator[tuple[str, int]]:
    """Lines of at most `width` characters, changed words between escapes: (line, number of visible characters)."""
    line, length = "", 0
    for word, changed in words:
        for start in range(0, len(word), width):  # a longer word is divided
            part = word[start : start + width]
            if length and length + 1 + len(part) > width:
                yield line, length
                line, length = "", 0
            line += (" " if length else "") + (f"{style}{part}{_PLAIN}" if changed else part)
            length += len(part) + bool(length)
    yield line, length


def _joined(words: Any) -> str:
    return words if isinstance(words, str) else " ".join(words)


def echo_table(report: "Report") -> None:
    """The table of results: as wide as the terminal, or Markdown with all columns elsewhere."""
    text = report.terminal(get_terminal_size().columns) if to_terminal() else report.markdown()
    click.echo("\n".join(map(printable, text.splitlines())))


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns padded to the same width, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
