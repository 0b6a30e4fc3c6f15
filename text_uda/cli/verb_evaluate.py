"""`evaluate` and `predict`: what a trained run is worth, and what it says."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.output import emit_json, printable, table
from text_uda.cli.shared_options import COUNT, DataChoice, data_options, ends
from text_uda.errors import DataError
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory

if TYPE_CHECKING:
    from text_uda.data import Corpus, Rows

RUN = click.argument("run", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.command(short_help="Error of a trained run on a data set.")
@RUN
@data_options()
@click.option(
    "--rows",
    type=click.Choice(("test", "all")),
    default="test",
    show_default=True,
    help="The test rows of DATA, or all rows that have a label (for a file the run has never seen). Repeated rows"
    " count as often as they stand.",
)
@ends
def evaluate(run: Path, data: DataChoice, rows: str, as_json: bool) -> None:
    """Error of the model in RUN on DATA, and precision, recall and F1 of each class, in percent.

    \b
    Example:
      text-uda evaluate run movie-snippets
      text-uda evaluate run new-reviews.tsv --rows all
    """
    corpus = data.load()
    from text_uda.runs.evaluation import evaluate

    chosen = _as_the_run_counts(corpus, data.source, run, everything=rows == "all")
    with followed("evaluate", "texts") as progress:
        record = evaluate(run, chosen, progress=progress)
    if as_json:
        emit_json(_beside_training(record, corpus, run))
        return
    repeated = f" ({record['repeated_rows']:,} repeat a text, and count)" if record["repeated_rows"] else ""
    click.echo(f"{printable(str(run))} on {len(chosen.texts):,} rows{repeated} of {printable(corpus.name)}:")
    click.echo(
        f"error {record['test_error']:.2f}%, balanced error {record['test_balanced_error']:.2f}%,"
        f" macro-F1 {record['test_macro_f1']:.2f}%"
    )
    click.echo(table([("class", "precision", "recall", "F1", "rows"), *map(_class_line, record["per_class"])]))


def _class_line(scores: dict[str, Any]) -> tuple[str, ...]:
    shares = (scores[name] for name in ("precision", "recall", "f1"))
    cells = ("-" if share is None else f"{share:.1f}" for share in shares)
    return (printable(scores["class"], 40), *cells, f"{scores['support']:,}")


def _beside_training(record: dict[str, Any], corpus: "Corpus", run: Path) -> dict[str, Any]:
    """With what training measured. The last weights are gone: their error is known on their test set only."""
    trained = json.loads((run / "result.json").read_text(encoding="utf-8"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    counts = [[sum(row) for row in source["confusion"]] for source in (record, trained)]
    same_rows = config["data"]["name"] == corpus.name and counts[0] == counts[1]
    return record | {
        "dev_error": trained["dev_error"],
        "last_test_error": trained["last_test_error"] if same_rows else None,
        "steps": trained["steps"],
    }


def _as_the_run_counts(corpus: "Corpus", source: str, run: Path, *, everything: bool) -> "Rows":
    """The rows with the class numbers that the run was trained with; classes are told by name."""
    from text_uda.data import Rows

    rows = Rows.joined(corpus.train, corpus.unused, corpus.test) if everything else corpus.test
    texts, labels = rows.texts, rows.labels
    classes = run_classes(run)
    numbers = {name: number for number, name in enumerate(classes)}
    strange = sorted({corpus.classes[label] for label in labels} - set(numbers))
    if strange:
        raise DataError(
            f"{source}: label {strange[0]!r} (of the text {_first_text(corpus, texts, labels, strange[0])}) is none of"
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
            f"{run} is no run directory (no readable config.json); give what `train --out` wrote"
        ) from error


@click.command(short_help="Classify the lines of standard input.")
@RUN
@click.option(
    "--batch-size",
    type=COUNT,
    default=32,
    show_default=True,
    metavar="N",
    help="Texts read before they are answered; 1 answers each line at once.",
)
@ends
def predict(run: Path, batch_size: int, as_json: bool) -> None:
    """Read one text a line from standard input, write one JSON object a line.

    \b
    Example:
      text-uda predict run < texts.txt
      tail -f reviews.log | text-uda predict run --batch-size 1
    """
    del as_json  # what is printed is JSON either way
    from text_uda.runs.evaluation import predict as classify

    source = _Lines(sys.stdin.buffer)
    for record in classify(run, source, batch_size=batch_size):
        emit_json(record)
    if source.error is not None:
        raise source.error


class _Lines(Iterable[str]):
    """The lines of standard input. A bad one ends them, and is told when those before it are answered."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: DataError | None = None

    def __iter__(self) -> Iterator[str]:
        number = 0
        for number, line in enumerate(self._stream, start=1):
            line = line.rstrip(b"\r\n")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                self.error = DataError(
                    f"<stdin>, line {number}: byte {error.start + 1} (0x{byte:02x}) is not UTF-8;"
                    " convert the texts first, for example with `iconv -f latin1 -t utf-8`"
                )
                return
            if not text.strip():
                self.error = DataError(f"<stdin>, line {number}: the text is blank; take the line out")
                return
            yield text
        if number == 0:
            self.error = DataError(
                "<stdin> is empty; give one text a line, for example `text-uda predict RUN < texts.txt`"
            )
