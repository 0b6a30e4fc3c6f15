"""`data`: the data sets known by name, and the description of one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.data_options import OTHER_COLUMNS, DataChoice, data_options
from text_uda.cli.grouped_help import verb
from text_uda.cli.output import emit_json, printable, table
from text_uda.cli.shared_options import ends
from text_uda.errors import listed

if TYPE_CHECKING:
    from text_uda.data import Corpus


@verb()
@data_options(required=False, leave_out=OTHER_COLUMNS)
@ends
def data(data: DataChoice, as_json: bool) -> None:
    """List the data sets known by name, or describe DATA: one of them, or your own file, with labels or without.

    \b
    Example:
      text-uda data
      text-uda data movie-snippets
      text-uda data reviews.tsv --text-column review --label-column stars
      text-uda data texts.txt
    """
    if data.source is None:
        from text_uda.data import known

        names = known()
        if as_json:
            emit_json({"known": names})
        else:
            click.echo(table(list(names.items())))
        return
    from text_uda.data.named import COLUMNS, TASKS
    from text_uda.data.row_counts import describe_counts, describe_unused

    corpus = data.load_any()
    record = _description(corpus)
    if data.source in TASKS:
        record["tasks"] = TASKS[data.source]
    if columns := COLUMNS.get(data.source):
        record["columns"] = columns.record()
    if as_json:
        emit_json(record)
        return
    click.echo(printable(f"{corpus.name}: {corpus.description}"))
    if not corpus.classes:
        click.echo(f"unlabeled  {len(corpus.unlabeled):,} distinct texts, all for training: no test rows are held out")
        for text in corpus.unlabeled[:3]:
            click.echo(f"  {printable(text, 100)}")
        return
    click.echo(f"classes    {printable(listed(corpus.classes, most=200))}")
    for part in ("train", "test"):
        counts = printable(listed([f"{name:.40} {count:,}" for name, count in record[part].items()], most=200))
        click.echo(f"{part:<10} {sum(record[part].values()):,} rows: {counts}")
    if len(corpus.unused):
        click.echo(f"unused     {len(corpus.unused):,} rows: {describe_unused(corpus)}")
    click.echo(f"rows       {describe_counts(corpus, limited=data.limit is not None)}")
    click.echo(f"unlabeled  {len(corpus.unlabeled):,} more texts")
    if columns:
        click.echo(f"columns    {', '.join(f'{name} ({kind})' for name, kind in columns)}, read where they are named")
    if tasks := TASKS.get(data.source):
        words = [f"{name} ({_words(data.source, arguments)})" for name, arguments in tasks.items()]
        click.echo(f"tasks      {', '.join(words)}")
    for text, label in zip(corpus.train.texts[:3], corpus.train.labels[:3], strict=True):
        click.echo(f"  [{printable(corpus.classes[label], 40)}] {printable(text, 100)}")


def _words(name: str, arguments: Mapping[str, Any]) -> str:
    """What a task of the set `name` is: another data set, or a label of this one."""
    return arguments["source"] if arguments["source"] != name else f"--label-column {arguments['label_column']}"


def _description(corpus: "Corpus") -> dict[str, Any]:
    def counts(labels: tuple[int, ...]) -> dict[str, int]:
        return {name: labels.count(index) for index, name in enumerate(corpus.classes)}

    return {
        "name": corpus.name,
        "description": corpus.description,
        "classes": list(corpus.classes),
        "train": counts(corpus.train.labels),
        "test": counts(corpus.test.labels),
        "unused": len(corpus.unused),
        "unlabeled": len(corpus.unlabeled),
    }
