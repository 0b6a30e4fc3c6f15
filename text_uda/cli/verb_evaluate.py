"""`evaluate`: the error of a trained run on a data set."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.data_options import DataChoice, data_options
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json, printable, table
from text_uda.cli.shared_options import ends, run_argument
from text_uda.errors import DataError
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory

if TYPE_CHECKING:
    from text_uda.data import Corpus, Rows


@verb()
@run_argument
@data_options()
@option(
    "--rows",
    group="Data",
    type=click.Choice(("test", "all")),
    default="test",
    show_default=True,
    help="The test rows of DATA, or all labeled rows (for a file that the run has never seen). Each repetition of a"
    " row counts.",
)
@ends
def evaluate(run: Path, data: DataChoice, rows: str, as_json: bool) -> None:
    """Measure the error of the model in RUN on DATA, and precision, recall and F1 of each class, in percent.

    \b
    Example:
      text-uda evaluate run movie-snippets
      text-uda evaluate run new-reviews.tsv --rows all
    """
    corpus = data.load()
    from text_uda.runs.evaluation import evaluate

    selected = _with_class_numbers_of(run, corpus, data.source, all_rows=rows == "all")
    with followed("evaluate", "texts") as progress:
        record = evaluate(run, selected, progress=progress)
    if as_json:
        emit_json(_with_training(record, corpus, run))
        return
    repeated = f" ({record['repeated_rows']:,} repeat a text, and count)" if record["repeated_rows"] else ""
    click.echo(f"{printable(str(run))} on {len(selected.texts):,} rows{repeated} of {printable(corpus.name)}:")
    click.echo(
        f"error {record['test_error']:.2f}%, balanced error {record['test_balanced_error']:.2f}%,"
        f" macro-F1 {record['test_macro_f1']:.2f}%"
    )
    click.echo(table([("class", "precision", "recall", "F1", "rows"), *map(_class_line, record["per_class"])]))


def _class_line(scores: dict[str, Any]) -> tuple[str, ...]:
    shares = (scores[name] for name in ("precision", "recall", "f1"))
    cells = ("-" if share is None else f"{share:.1f}" for share in shares)
    return (printable(scores["class"], 40), *cells, f"{scores['support']:,}")


def _with_training(record: dict[str, Any], corpus: "Corpus", run: Path) -> dict[str, Any]:
    """The record with the figures of training. The last weights are not kept: their error is known on one test set."""
    trained = json.loads((run / "result.json").read_text(encoding="utf-8"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    counts = [[sum(row) for row in source["confusion"]] for source in (record, trained)]
    same_rows = config["data"]["name"] == corpus.name and counts[0] == counts[1]
    return record | {
        "dev_error": trained["dev_error"],
        "last_test_error": trained["last_test_error"] if same_rows else None,
        "steps": trained["steps"],
    }


def _with_class_numbers_of(run: Path, corpus: "Corpus", source: str, *, all_rows: bool) -> "Rows":
    """The rows with the class numbers of the run, by the names of the classes."""
    from text_uda.data import Rows
    from text_uda.data.label_spelling import class_finder

    rows = Rows.joined(corpus.train, corpus.unused, corpus.test) if all_rows else corpus.test
    texts, labels = rows.texts, rows.labels
    classes = run_classes(run)
    class_of = class_finder(classes)
    numbers = {name: classes.index(found) for name in corpus.classes if (found := class_of(name)) is not None}
    unknown = sorted({corpus.classes[label] for label in labels} - set(numbers))
    if unknown:
        raise DataError(
            f"{source}: label {unknown[0]!r} (of the text {_first_text(corpus, texts, labels, unknown[0])}) is none of"
            f" the classes of {run} ({', '.join(classes)}); correct it, or name the right column with --label-column"
        )
    return Rows(texts=texts, labels=tuple(numbers[corpus.classes[label]] for label in labels))


def _first_text(corpus: "Corpus", texts: Sequence[str], labels: tuple[int, ...], name: str) -> str:
    return repr(next(text for text, label in zip(texts, labels, strict=True) if corpus.classes[label] == name)[:60])


def run_classes(run: Path) -> list[str]:
    """The names of the classes, in the order of the model's outputs."""
    RunDirectory(run).check_holds_no_pretraining()
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        return [str(name) for name in config["data"]["classes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{run} is not a run directory (no readable config.json); give a folder that `train --out` wrote"
        ) from error
