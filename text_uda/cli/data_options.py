"""The options that select the data and say how to read it."""

import dataclasses
import functools
import logging
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
    from translation_cache import Job


log = logging.getLogger("text_uda")


OTHER_COLUMNS = ("numeric", "categorical", "vector")
"""Options of `train` and of the study of fusion: other verbs read the text without columns, or what the run reads."""


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """The data of a verb: arguments of `text_uda.data.load`."""

    source: str
    """A name, a hub id, a file, or - (standard input, one text a line)."""

    text_column: tuple[str, ...] = ()
    """Column of the text; can be repeated, each file is read by the one that it has. None: guessed where it is
    clear."""

    label_column: tuple[str, ...] = ()
    """Column of the label; can be repeated: several columns of DATA are tasks of `train`. None: guessed where it is
    clear."""

    unlabeled: tuple[Path, ...] = ()
    """File of more texts, without labels; can be repeated. None: no more texts."""

    test: Path | None = None
    """File of test rows. None: a fixed fifth of each class of DATA."""

    numeric: tuple[str, ...] = ()
    """Column of numbers to read beside the text, in all files; can be repeated; needs --fusion. None: no column."""

    categorical: tuple[str, ...] = ()
    """Column of categories to read beside the text; can be repeated. None: no column."""

    vector: tuple[str, ...] = ()
    """Column of lists of numbers, such as an image's embedding, to read beside the text; can be repeated. None: no
    column."""

    limit: Count | None = None
    """Use at most N training texts, those with a label first, and at most N test rows. None: all."""

    dev: Path | None = None
    """File of development rows."""

    partly_labeled: bool = False
    """Whether the label column is one of several tasks, so that test and development rows can lack its label."""

    @property
    def has_columns(self) -> bool:
        """Whether columns beside the text are read."""
        return any(getattr(self, kind) for kind in OTHER_COLUMNS)

    def with_all_columns(self) -> "DataChoice":
        """A copy that reads every column of an embedded data set that has some, unless the user named columns."""
        from text_uda.data.named import COLUMNS

        if self.has_columns or (known := COLUMNS.get(self.source)) is None:
            return self
        return dataclasses.replace(self, **{kind: tuple(names) for kind, names in known.record().items()})

    def training_texts(self) -> Sequence[str]:
        """The texts to paraphrase: the training side, labeled or not."""
        return self.load_texts().training_texts()

    def limited(self, limit: int | None) -> "DataChoice":
        """A copy with this limit, unless the user gave one."""
        return self if self.limit is not None else dataclasses.replace(self, limit=limit)

    def with_dev(self, rows: "int | Path | None") -> "tuple[DataChoice, int | None]":
        """A copy that reads the development rows from a file, or the number of rows to draw."""
        return (dataclasses.replace(self, dev=rows), None) if isinstance(rows, Path) else (self, rows)

    def arguments(self) -> dict[str, Any]:
        """The arguments of `text_uda.data.load`. An option given once is one value, as in earlier studies."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        once = {name: value[0] if value else None for name, value in given.items() if _is_at_most_one(value)}
        left_out = {name for name in (*OTHER_COLUMNS, "partly_labeled") if not (given | once)[name]}
        return {name: value for name, value in (given | once).items() if name not in left_out}

    def load(self) -> "Corpus":
        """Raises DataError if there are no labels."""
        corpus = self.load_any()
        corpus.check_labels()
        return corpus

    def load_any(self) -> "Corpus":
        """With labels or without; read once, since standard input can be read once only."""
        return self._any

    def load_texts(self) -> "Corpus":
        """For verbs that read no label: labels that make no task of classification are ignored, with a warning."""
        return self._texts

    @functools.cached_property  # of this choice: an equal one of a later command can have another standard input
    def _any(self) -> "Corpus":
        from text_uda.data import load

        return load(**self.arguments())

    @functools.cached_property
    def _texts(self) -> "Corpus":
        from text_uda.data.loading import UnusableLabelsError, load

        try:
            return load(**{**self.arguments(), "partly_labeled": True})  # no test row needs a label
        except UnusableLabelsError as error:
            log.warning("%s. This verb needs no labels: it takes all texts and holds out no test rows", error)
            return load(**self.arguments(), with_labels=False)

    def warn_of_left_out_texts(self, job: "Job", cache: str) -> None:
        """Ask whether --unlabeled was left out if the cache has paraphrases of texts that are not of this data."""
        if self.unlabeled or self.limit is not None:
            return
        from text_uda.paraphrasing.cache_access import count_other_sources

        if count := count_other_sources(self.load().all_texts(), job, cache):
            log.warning(
                "%s holds paraphrases of %d %ss that are not in this data: was --unlabeled left out?",
                cache,
                count,
                job.settings()["unit"],
            )


def _is_at_most_one(value: object) -> bool:
    return isinstance(value, tuple) and len(value) < 2


def data_options(
    *, required: bool = True, as_option: bool = False, limit: str = "", leave_out: Sequence[str] = ()
) -> Callable[[Verb], Verb]:
    """DATA and how to read it, handed over as `data: DataChoice`.

    Args:
        limit: the default of --limit in words.
        leave_out: fields that the verb does not read, and has no options for.
    """
    source = option(
        "--data", "source", group="Data", required=True, metavar="DATA", help="A name, a hub id, or a file."
    )
    argument = click.argument("source", metavar="DATA" if required else "[DATA]", required=required)
    others = declared_options(
        (__name__, "DataChoice"),
        into=DataChoice,
        under="data",
        group="Data",
        leave_out=("source", "dev", "partly_labeled", *leave_out),
        metavars=dict.fromkeys(("text_column", "label_column", *OTHER_COLUMNS), "NAME"),
        default_words=lambda field: (limit if field.name == "limit" else "") or default_of(field),
    )
    return lambda function: (source if as_option else argument)(others(function))
