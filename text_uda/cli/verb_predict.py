"""`predict`: classify the rows of a file, or the lines of standard input."""

import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json, printable
from text_uda.cli.parameter_types import COUNT
from text_uda.cli.shared_options import ends, precision_option, run_argument, text_column_option
from text_uda.errors import listed
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory

if TYPE_CHECKING:
    from text_uda.model.precision import Precision


@verb()
@run_argument
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, allow_dash=True))
@option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write a csv, tsv, jsonl or parquet file: the columns of FILE, label, probability and the probability of each"
    " class. A file that is there is replaced.",
    default_words="JSON lines on standard output",
)
@text_column_option
@option(
    "--batch-size",
    type=COUNT,
    metavar="N",
    help="Lines of standard input that are answered together; 1 answers each line at once.",
    default_words="32, or 4096 where a file is redirected",
)
@precision_option
@ends
def predict(
    run: Path,
    file: Path | None,
    out: Path | None,
    text_column: str | None,
    batch_size: int | None,
    precision: "Precision",
    as_json: bool,
) -> None:
    """Classify the rows of FILE (csv, tsv, jsonl, parquet), or one text per line of standard input.

    All columns of FILE stay, in order, beside the predictions. Blank texts stay without a label. JSON lines on standard
    input are recognised.

    \b
    Example:
      text-uda predict run reviews.csv --out predicted.csv
      text-uda predict run < texts.txt
      tail -f reviews.log | text-uda predict run --batch-size 1
    """
    RunDirectory(run).check_finished()
    to_standard_output = out is None or str(out) == "-"
    if file is None or str(file) == "-":
        if not to_standard_output:
            raise click.UsageError("--out needs a FILE to read; redirect standard output instead", _context())
        _predict_standard_input(run, text_column, batch_size, precision)
    elif batch_size is not None:
        raise click.UsageError("--batch-size is for standard input; the rows of a file need none", _context())
    elif to_standard_output:
        _print_rows(run, file, text_column, precision)
    else:
        assert out is not None
        _write_file(run, file, out, text_column, precision, as_json=as_json)


def _context() -> click.Context:
    return click.get_current_context()


def _write_file(
    run: Path, file: Path, out: Path, text_column: str | None, precision: "Precision", *, as_json: bool
) -> None:
    from text_uda.runs.predict_file import predict_file

    with followed("predict", "rows") as progress:
        record = predict_file(run, file, out, text_column=text_column, precision=precision, progress=progress)
    if as_json:
        emit_json(record)
        return
    counts = printable(listed(f"{name:.40} {count:,}" for name, count in record["label_counts"].items()))
    click.echo(f"wrote {printable(str(out))}: {record['rows']:,} rows ({counts}) in {record['precision']}")
    if record["columns"]["label"] != "label":
        click.echo(
            f"the new columns are {record['columns']['label']}, {record['columns']['probability']} and so on, since"
            f" {printable(str(file))} has columns of their names"
        )
    if record["blank_rows"]:
        click.echo(f"{record['blank_rows']:,} rows have a blank text, and no label")


def _print_rows(run: Path, file: Path, text_column: str | None, precision: "Precision") -> None:
    from text_uda.data.table_writer import json_line
    from text_uda.data.text_table import TextTable
    from text_uda.runs.predict_file import predict_rows
    from text_uda.runs.prediction import TrainedClassifier

    texts = TextTable.open(file, text_column)
    classifier = TrainedClassifier.open(run, precision=precision)
    texts.check_columns(classifier.other_columns, classifier.vector_lengths)
    with followed("predict", "rows") as progress:
        for record in predict_rows(classifier, texts, progress=progress):
            click.echo(json_line(record, ascii_only=True))
    _say_blank(texts.blank, f"{file}, row {texts.first_blank}")


def _predict_standard_input(run: Path, text_column: str | None, batch_size: int | None, precision: "Precision") -> None:
    from text_uda.cli.standard_input import NAME, StandardInput
    from text_uda.data.table_writer import json_line
    from text_uda.data.text_field import row_with_columns
    from text_uda.runs.predict_file import ANSWER
    from text_uda.runs.prediction import CHUNK_TEXTS, STREAM_TEXTS
    from text_uda.runs.prediction import predict as classify
    from text_uda.runs.run_columns import columns_read_by

    source = StandardInput(sys.stdin.buffer, text_column=text_column, answer_names=ANSWER)
    waiting: deque[dict[str, Any]] = deque()

    others = columns_read_by(run)

    def texts() -> Iterator[str | None]:
        for number, line in enumerate(source, start=1):
            waiting.append(line.fields)
            where = f"{NAME}, row {number}"
            yield line.text if line.text is None else row_with_columns(line.fields, line.text, others, where)

    size = batch_size or (CHUNK_TEXTS if _is_regular_file(sys.stdin.buffer) else STREAM_TEXTS)
    for answer in classify(run, texts(), batch_size=size, precision=precision):
        named = {source.prefix + name: value for name, value in answer.items()}
        click.echo(json_line(waiting.popleft() | named, ascii_only=True))
    _say_blank(source.blank, f"{NAME}, line {source.first_blank}")
    if source.error is not None:
        raise source.error


def _say_blank(count: int, first: str) -> None:
    if count:
        words = "text is blank, and has" if count == 1 else f"texts are blank (the first: {first}), and have"
        where = f" ({first})" if count == 1 else ""
        click.echo(f"{count:,} {words} the label null{where}", err=True)


def _is_regular_file(stream: Any) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # not a file of the system, as in a test
        return False
