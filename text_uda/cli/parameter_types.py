"""Types of options: what a word of the command line has to be, and the value that a verb gets."""

from pathlib import Path
from typing import Any

import click

from text_uda.cli.familiar_names import nearest, same_value, value_hint
from text_uda.cli.output import note

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)


class FamiliarChoice(click.Choice[str]):
    """One of some words, also as other tools write them: `back_translation`, `FixMatch`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.choices:
            return value
        option = param.opts[0] if param is not None and param.opts[0].startswith("-") else ""
        if (same := same_value(value, self.choices)) is not None:
            note(f"{option} {value} is read as {same}".strip())
            return same
        hint = f" {hint[0].upper()}{hint[1:]}." if (hint := value_hint(value, self.choices)) else ""
        self.fail(f"{self.get_invalid_choice_message(value, ctx)}{hint or nearest(value, self.choices)}", param, ctx)


class CacheLocation(click.ParamType):
    """A local folder, or the URI of a folder on an object store."""

    name = "folder"

    def __init__(self, *, exists: bool = False) -> None:
        self._folder = click.Path(file_okay=False, exists=exists)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if "://" in value else str(self._folder.convert(value, param, ctx))


class LabelCount(click.ParamType):
    """A number above 0, or `all`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "all":
            return value
        if not str(value).lstrip("-").isdecimal():
            self.fail(f"{value!r} is neither a number nor all", param, ctx)
        return COUNT.convert(value, param, ctx)


class CountOrFile(click.ParamType):
    """A number above 0, or a file."""

    name = "number or file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Path:
        if str(value).lstrip("-").isdecimal():
            return COUNT.convert(value, param, ctx)
        return FILE.convert(value, param, ctx)


class NumbersOr(click.ParamType):
    """One of some words, or a number for each class, separated by commas."""

    name = "numbers"

    def __init__(self, *words: str) -> None:
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | tuple[float, ...]:
        if isinstance(value, tuple) or value in self._words:
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            words = ", ".join(self._words)
            self.fail(f"{value!r}: give {words}, or a number for each class, such as 0.7,0.2,0.1", param, ctx)


class Shard(click.ParamType):
    """`i/n`, i from 1: the share of the work that this process does, selected by a stable hash."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        index, slash, count = str(value).partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"{value!r} is not i/n with i from 1 to n, such as 3/64", param, ctx)
        return int(index), int(count)
