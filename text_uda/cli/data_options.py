"""The options that select the data and say how to read it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.grouped_help import option
from text_uda.cli.settings_options import Verb, declared_options, default_of
from text_uda.ranges import Count

if TYPE_CHECKING:
    from text_uda.data import Corpus


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """The data of a verb: arguments of `text_uda.data.load`."""

    source: str
    """A name, a hub id, or a file."""

    text_column: str | None = None
    """Column of the text. None: guessed where it is clear."""

    label_column: str | None = None
    """Column of the label. None: guessed where it is clear."""

    unlabeled: Path | None = None
    """File of more texts, without labels. None: no more texts."""

    test: Path | None = None
    """File of test rows. None: a fixed fifth of each class of DATA."""

    limit: Count | None = None
    """Use at most N texts of DATA. None: all."""

    dev: Path | None = None
    """File of development rows."""

    def training_texts(self) -> Sequence[str]:
        """The texts to paraphrase: the training side, labeled or not."""
        return self.load().training_texts()

    def limited(self, limit: int | None) -> "DataChoice":
        """A copy with this limit, unless the user gave one."""
        return self if self.limit is not None else dataclasses.replace(self, limit=limit)

    def with_dev(self, rows: "int | Path | None") -> "tuple[DataChoice, int | None]":
        """A copy that reads the development rows from a file, or the number of rows to draw."""
        return (dataclasses.replace(self, dev=rows), None) if isinstance(rows, Path) else (self, rows)

    def arguments(self) -> dict[str, Any]:
        """The arguments of `text_uda.data.load`."""
        return dict(vars(self))

    @functools.cache  # noqa: B019 - a command makes one choice
    def load(self) -> "Corpus":
        from text_uda.data import load

        return load(**self.arguments())


def data_options(*, required: bool = True, as_option: bool = False, limit: str = "") -> Callable[[Verb], Verb]:
    """DATA and how to read it, handed over as `data: DataChoice`. `limit`: the default of --limit in words."""
    source = option(
        "--data", "source", group="Data", required=True, metavar="DATA", help="A name, a hub id, or a file."
    )
    argument = click.argument("source", metavar="DATA" if required else "[DATA]", required=required)
    others = declared_options(
        (__name__, "DataChoice"),
        into=DataChoice,
        under="data",
        group="Data",
        leave_out=("source", "dev"),
        metavars={"text_column": "NAME", "label_column": "NAME"},
        default_words=lambda field: (limit if field.name == "limit" else "") or default_of(field),
    )
    return lambda function: (source if as_option else argument)(others(function))
