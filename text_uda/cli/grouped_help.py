"""Verbs whose `--help` groups the options by what they are for."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import click

from text_uda.cli.failures import nearest

GROUPS = ("Data", "Labels", "Augmentation", "Objective", "Training", "Precision and memory", "Run")


class GroupedOption(click.Option):
    """An option of one of the groups.

    Args:
        group: its heading in `--help`.
        default_words: returns what `--help` shows as the default; called only there.
    """

    def __init__(
        self, *args: Any, group: str = "Run", default_words: Callable[[], str | None] | None = None, **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        assert group in GROUPS
        self.group, self.default_words = group, default_words

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        if self.default_words is not None and (words := self.default_words()):
            extra["default"] = words
        return extra


option: Callable[..., Callable[..., Any]] = partial(click.option, cls=GroupedOption)


class GroupedCommand(click.Command):
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


verb: Callable[..., Callable[..., click.Command]] = partial(click.command, cls=GroupedCommand)


class Verbs(click.Group):
    """Lists its verbs in the order of use, and suggests the nearest one for an unknown name."""

    command_class = GroupedCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verbs = self.list_commands(ctx)
        if not args[0].startswith("-") and args[0] not in verbs:
            raise click.UsageError(f"No such command {args[0]!r}.{nearest(args[0], verbs)}", ctx)
        return super().resolve_command(ctx, args)


class LazyVerbs(Verbs):
    """Imports a verb when it is called: `train` is the function `train` of the module `text_uda.cli.verb_train`.

    Args:
        verbs: name -> line in the list of the verbs.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        return getattr(import_module(f"text_uda.cli.verb_{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))
