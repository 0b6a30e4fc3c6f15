"""Options that several verbs share, each written once. A set of options arrives in a verb as one object."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from text_uda.data import Corpus

Verb = Callable[..., Any]
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
DEFAULT_ENCODER = "google-bert/bert-base-uncased"


@dataclass
class Invocation:
    """What belongs to this call of the command as a whole."""

    debug: bool = False


def _set_debug(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, Invocation):
        context.obj.debug = True


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of a failure."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line, for machines."
)


class CacheLocation(click.ParamType):
    """A folder, or the URI of one on an object store."""

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
    """One of the words, or numbers with commas between them, one for each class in their order."""

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
    """`i/n`, i from 1: this process's share of what there is to do, by a stable hash."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        index, slash, count = str(value).partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"{value!r} is not i/n with i from 1 to n, such as 3/64", param, ctx)
        return int(index), int(count)


dev_option = click.option(
    "--dev",
    "dev_rows",
    type=CountOrFile(),
    metavar="N|FILE",
    help="Development rows, which choose the model: N of the training side, or those of a file. [default: as many as"
    " there are labels, at most a fifth of the rest and 1000]",
)
label_sampling_option = click.option(
    "--label-sampling",
    type=click.Choice(("balanced", "proportional")),
    default="balanced",
    show_default=True,
    help="The labeled texts: as many of each class, or in the proportions of the classes (at least one of each).",
)
CACHE_WORDS = "Folder of paraphrases, or one on an object store (s3://bucket/folder)."
encoder_option = click.option(
    "--encoder",
    default=DEFAULT_ENCODER,
    show_default=True,
    metavar="NAME",
    help="Encoder: a hub id, a folder that transformers opens, or minilm-l6 (of the extra `demo`).",
)


def ends(function: Verb) -> Verb:
    """--json and --debug, which every verb has."""
    return json_option(debug_option(function))


def gathered(into: type, *options: Callable[[Verb], Verb], under: str) -> Callable[[Verb], Verb]:
    """A decorator that adds `options` to a verb and hands their values over as one `into`, named `under`."""
    names = [field.name for field in dataclasses.fields(into)]

    def decorate(function: Verb) -> Verb:
        @functools.wraps(function)
        def verb(**values: Any) -> Any:
            values[under] = into(**{name: values.pop(name) for name in names if name in values})
            return function(**values)

        decorated: Verb = verb
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Which texts, and how they are read."""

    source: str
    text_column: str | None
    label_column: str | None
    unlabeled: Path | None
    test: Path | None
    limit: int | None
    dev: Path | None = None

    def training_texts(self) -> Sequence[str]:
        """With and without a label: what is paraphrased."""
        return self.load().training_texts()

    def limited(self, limit: int | None) -> "DataChoice":
        """The same with this limit where none was given."""
        return self if self.limit is not None else dataclasses.replace(self, limit=limit)

    def with_dev(self, rows: "int | Path | None") -> "tuple[DataChoice, int | None]":
        """The same with these development rows where they are a file, else their number."""
        return (dataclasses.replace(self, dev=rows), None) if isinstance(rows, Path) else (self, rows)

    def arguments(self) -> dict[str, Any]:
        """Those of text_uda.data.load."""
        return dict(vars(self))

    @functools.cache  # noqa: B019 - one choice in the life of a command
    def load(self) -> "Corpus":
        from text_uda.data import load

        return load(**self.arguments())


def data_options(*, required: bool = True, as_option: bool = False) -> Callable[[Verb], Verb]:
    """DATA and how to read it, handed over as `data: DataChoice`."""
    option = click.option("--data", "source", required=True, metavar="DATA", help="A name, a hub id, or a file.")
    argument = click.argument("source", metavar="DATA" if required else "[DATA]", required=required)
    return gathered(
        DataChoice,
        option if as_option else argument,
        click.option("--text-column", metavar="NAME", help="Column of the text (guessed where it is clear)."),
        click.option("--label-column", metavar="NAME", help="Column of the label (guessed where it is clear)."),
        click.option("--unlabeled", type=FILE, metavar="FILE", help="More texts, without labels."),
        click.option("--test", type=FILE, metavar="FILE", help="Test rows (else a fixed fifth of each class of DATA)."),
        click.option("--limit", type=COUNT, metavar="N", help="Use no more than N texts of DATA."),
        under="data",
    )
