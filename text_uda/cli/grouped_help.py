"""Verbs whose `--help` groups the options by what they are for."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from text_uda.cli.familiar_names import nearest, option_hint, same_option
from text_uda.cli.output import note
from text_uda.cli.parameter_types import FamiliarChoice
from text_uda.ranges import LARGEST
from text_uda.runs.file_names import is_usable

GROUPS = (
    "Data",
    "Labels",
    "Tasks",
    "Augmentation",
    "Language model",
    "Objective",
    "Training",
    "Precision and memory",
    "Run",
)
MAX_CHOICES_IN_A_LINE = 6
_UNBROKEN_HYPHEN = "\u2011"


class GroupedOption(click.Option):
    """An option of one of the groups.

    Args:
        group: its heading in `--help`.
        default_words: what `--help` shows as the default, or a function that returns it, called only there.
    """

    def __init__(
        self, *args: Any, group: str = "Run", default_words: str | Callable[[], str | None] = "", **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        assert group in GROUPS
        self.group, self.default_words = group, default_words
        if isinstance(self.type, click.Choice):
            self.type = FamiliarChoice(self.type.choices)
        if isinstance(self.type, click.Choice) and len(self.type.choices) > MAX_CHOICES_IN_A_LINE:
            self.metavar = "NAME"
            self.help = f"{self.help} One of: {', '.join(map(str, self.type.choices))}."

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        words = self.default_words() if callable(self.default_words) else self.default_words
        if words:
            extra["default"] = words
        return extra


option: Callable[..., Callable[..., Any]] = partial(click.option, cls=GroupedOption)


class _WholeWords(click.HelpFormatter):
    """Breaks lines at spaces only: a name such as back-translation stays whole."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _UNBROKEN_HYPHEN))

    def write_dl(self, rows: Any, *args: Any, **extra: Any) -> None:
        super().write_dl([tuple(text.replace("-", _UNBROKEN_HYPHEN) for text in row) for row in rows], *args, **extra)

    def getvalue(self) -> str:
        return super().getvalue().replace(_UNBROKEN_HYPHEN, "-")


class _HelpContext(click.Context):
    formatter_class = _WholeWords


class GroupedCommand(click.Command):
    context_class = _HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(self._with_names_of_this_verb(ctx, args))
        self._refuse_unusable_words(ctx, words)
        rest = super().parse_args(ctx, list(words))
        self._refuse_repeated(ctx, words)
        self._refuse_unusable_values(ctx)
        return rest

    def _refuse_unusable_words(self, ctx: click.Context, words: list[str]) -> None:
        """Raise UsageError for an empty word, as of a variable of the shell that is not set, and one not in UTF-8."""
        for before, word in zip(["", *words], words, strict=False):
            name, equals, value = word.partition("=")
            if not word or (equals and not value and name.startswith("--")):
                name = name or (before if before.startswith("-") else "an argument")
                raise click.UsageError(f"{name} is empty; give a value, or leave it out.", ctx)
            if not is_usable(word):
                raise click.UsageError(f"{word!r} is not in UTF-8; rename the file or the folder.", ctx)

    def _refuse_unusable_values(self, ctx: click.Context) -> None:
        """Raise UsageError for numbers without end and too large ones, and for names with a zero byte."""
        for parameter in self.get_params(ctx):
            value = ctx.params.get(parameter.name or "")
            for one in value if isinstance(value, tuple | list) else [value]:
                name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
                if isinstance(one, float) and not math.isfinite(one):
                    raise click.UsageError(f"{name} {one}: give a finite number.", ctx)
                if isinstance(one, int) and one > LARGEST:
                    raise click.UsageError(f"{name} {one}: give a number below 2^63.", ctx)
                if isinstance(one, str | Path) and not is_usable(str(one)):
                    raise click.UsageError(f"{name} {str(one)!r}: a name is text in UTF-8 without a zero byte.", ctx)

    def _with_names_of_this_verb(self, ctx: click.Context, args: list[str]) -> Iterator[str]:
        """The words of the command line, with an option of another tool replaced by the same one here.

        Raises:
            click.UsageError: an option does not exist; the message says what to give.
        """
        options = {name: parameter for parameter in self.get_params(ctx) for name in _names(parameter)}
        values = {name: parameter.make_metavar(ctx) for name, parameter in options.items()}
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if word == "--":
                yield from (word, *words)
                return
            if not name.startswith("--"):
                yield word
                continue
            if name not in options:
                same = same_option(name, values)
                if same is None or (equals and "=" in same):
                    raise click.UsageError(f"No such option {name!r}{self._instead(ctx, name, values)}", ctx)
                note(f"{name} is read as {same.replace('=', ' ')}")
                name, word = same.partition("=")[0], same + equals + value
            yield word
            if "=" not in word and (value := next(words, None) if _takes_a_value(options[name]) else None) is not None:
                yield value

    def _instead(self, ctx: click.Context, name: str, options: Mapping[str, str]) -> str:
        """What to give in place of an unknown option."""
        if hint := option_hint(name, options):
            return f": {hint}"
        if near := nearest(name, (option for option in options if option.startswith("--"))):
            return f".{near}"
        verbs = getattr(ctx.find_root().command, "commands", {})
        for verb, command in verbs.items():
            elsewhere = {name: "" for parameter in command.params for name in parameter.opts}
            if (same := same_option(name, elsewhere)) is not None:
                return f": {same.replace('=', ' ')} is an option of `text-uda {verb}`, not of `{ctx.command_path}`"
        return "."

    def _refuse_repeated(self, ctx: click.Context, args: list[str]) -> None:
        """Raise UsageError for an option that is given twice and takes one value: the last would win in silence."""
        _, _, parameters = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, count in Counter(parameters).items():
            if not isinstance(parameter, click.Option) or parameter.multiple or parameter.count or count < 2:
                continue
            if parameter.is_flag and not parameter.secondary_opts:
                continue  # `--json --json` says one thing
            name = "/".join((*parameter.opts, *parameter.secondary_opts))
            raise click.UsageError(f"{name} is given {count} times and takes one value; give it once.", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in GROUPS}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                groups[getattr(parameter, "group", "Run")].append(record)
        filled = {title: records for title, records in groups.items() if records}
        if len(filled) == 1:
            filled = {"Options": next(iter(filled.values()))}
        for title, records in filled.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)


def _names(parameter: click.Parameter) -> list[str]:
    """The options of a parameter; of an argument, its name in capitals."""
    if isinstance(parameter, click.Option):
        return [*parameter.opts, *parameter.secondary_opts]
    return [(parameter.metavar or parameter.human_readable_name).strip("[].")]


def _takes_a_value(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count


verb: Callable[..., Callable[..., click.Command]] = partial(click.command, cls=GroupedCommand)


class Verbs(click.Group):
    """Lists its verbs in the order of use, and suggests the nearest one for an unknown name."""

    command_class = GroupedCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(f"No such command {args[0]!r}.{nearest(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)


class _LazyCommands(Mapping[str, click.Command]):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._names:
            raise KeyError(name)
        return getattr(import_module(f"text_uda.cli.verb_{name.replace('-', '_')}"), name.replace("-", "_"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class LazyVerbs(Verbs):
    """Imports a verb when it is called: `train` is the function `train` of the module `text_uda.cli.verb_train`.

    Args:
        verbs: name -> line in the list of the verbs.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._lines = verbs
        self.commands = _LazyCommands(verbs)  # pyright: ignore[reportAttributeAccessIssue]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))
