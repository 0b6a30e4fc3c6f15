"""Predictions for the rows of a file, beside its columns."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from text_uda.data.table_writer import inferred_schema, table_kind, table_writer
from text_uda.data.tables import Record, Table, open_table, would_read
from text_uda.data.text_table import TextTable
from text_uda.errors import DataError
from text_uda.model.precision import Precision
from text_uda.model.tokenized import OnProgress
from text_uda.runs.prediction import TrainedClassifier, answers

ANSWER = ("label", "probability", "probabilities")


def predict_file(
    run: str | Path,
    file: str | Path,
    out: str | Path,
    *,
    text_column: str | None = None,
    precision: Precision = "fp32",
    progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Classify the rows of a file; write all its columns and the predictions to another one.

    The new columns are `label`, `probability` (of the label) and `probability_CLASS` for each class. If the file has
    one of these already, all of them begin with `predicted_`, so no column is lost. A row with a blank text stays, with
    empty predictions. All rows are checked before the first is classified, and `out` appears whole or not at all.

    Args:
        file: csv, tsv, jsonl or parquet, of any size: a few thousand rows are in memory at a time.
        out: csv, tsv, jsonl or parquet; a file that is there is replaced.
        text_column: None for the only column, or the one with a usual name.
        precision: see `TrainedClassifier.open`.
    Returns:
        run, file, out, rows, blank_rows, label_counts (class -> rows), columns (`label`, `probability` and each class
        -> its column), precision, seconds.
    Raises:
        DataError: a file or one of its rows is invalid; the message names file, row and remedy.
        SettingsError: the run is not finished.
    """
    started = time.monotonic()
    file, out = Path(file), Path(out)
    check_output(out)
    table = open_table(file, named=(text_column,))
    check_replaces_no_input(out, table)
    texts = TextTable.of(table, text_column)
    classifier = TrainedClassifier.open(run, precision=precision)
    texts.check_columns(classifier.other_columns, classifier.vector_lengths)
    names = {"label": "label", "probability": "probability"} | {
        f"probability_{name}": f"probability_{name}" for name in classifier.classes
    }
    prefix = free_prefix(texts.table.columns, names)
    label_counts = Counter({name: 0 for name in classifier.classes})
    types = {name: pa.string() if name == "label" else pa.float32() for name in names}
    schema = output_schema(texts, out, {prefix + name: kind for name, kind in types.items()})
    with table_writer(out, schema, delimiter=texts.table.delimiter) as write:
        for chunk, probabilities in predicted_chunks(classifier, texts, progress=progress):
            block = []
            for (_, fields), values in zip(chunk, _columns(probabilities, classifier.classes), strict=True):
                label_counts.update([values["label"]] if values["label"] is not None else [])
                block.append(fields | {prefix + name: value for name, value in values.items()})
            write(block)
    return {
        "run": str(run),
        "file": str(file),
        "out": str(out),
        "rows": texts.rows,
        "blank_rows": texts.blank,
        "label_counts": dict(label_counts),
        "columns": {name.removeprefix("probability_"): prefix + name for name in names},
        "precision": classifier.precision,
        "seconds": time.monotonic() - started,
    }


def predict_rows(
    classifier: TrainedClassifier, texts: TextTable, *, progress: OnProgress | None = None
) -> Iterator[dict[str, Any]]:
    """The fields of each row with the answer to it: `label`, `probability` and `probabilities` by class."""
    prefix = free_prefix(texts.table.columns, ANSWER)
    for chunk, probabilities in predicted_chunks(classifier, texts, progress=progress):
        for (_, fields), answer in zip(chunk, answers(probabilities, classifier.classes), strict=True):
            yield fields | {prefix + name: value for name, value in answer.items()}


def predicted_chunks(
    classifier: TrainedClassifier, texts: TextTable, *, progress: OnProgress | None = None
) -> Iterator[tuple[list[Record], np.ndarray]]:
    """The rows in chunks, with their class probabilities (N, C), NaN for a blank text.

    Args:
        progress: called with (done, total) in rows.
    """
    done, read = 0, texts.reader(classifier.other_columns, classifier.vector_lengths)
    if progress is not None:
        progress(0, texts.rows)
    for chunk in texts.chunks():
        before = done

        def follow(done_here: int, _total: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done_here, texts.rows)

        rows = [read(number, fields) for number, fields in chunk]
        yield chunk, classifier.probabilities(rows, progress=follow)
        done += len(chunk)
        if progress is not None:
            progress(done, texts.rows)


def check_output(out: Path) -> None:
    """Raise DataError if the file name says no format or is a folder, before any row is read."""
    table_kind(out)
    if out.is_dir():
        raise DataError(f"{out} is a folder; name a file in it")


def check_replaces_no_input(out: Path, table: Table) -> None:
    """Raise DataError if `out` is a file that is read, or would be one the next time, before any row is classified."""
    for path in table.files:
        if out.exists() and out.samefile(path):
            raise DataError(f"{out} is the input: writing it would lose the original; name another --out")
    if table.files and would_read(table.path, out):
        raise DataError(
            f"{out} lies among the files of {table.path}, and the same command would read it the next time; name an"
            " --out in another folder"
        )


def free_prefix(columns: Collection[str], names: Collection[str]) -> str:
    """ "", or `predicted_`, `predicted_2_`, ...: the first that makes all of the names new beside the columns."""
    candidates = ("" if number == 0 else "predicted_" if number == 1 else f"predicted_{number}_" for number in count())
    return next(prefix for prefix in candidates if not {prefix + name for name in names} & set(columns))


def output_schema(texts: TextTable, out: Path, new: dict[str, pa.DataType]) -> pa.Schema:
    """The columns of the table, and new ones. Parquet needs their types: one more pass over the file, or two."""
    table = texts.table
    if table_kind(out)[0] == ".parquet":
        kept = inferred_schema(table.columns, texts.blocks, known=table.path)
    else:
        kept = pa.schema([(column, pa.string()) for column in table.columns])
    return pa.schema([*(field for field in kept if field.name not in new), *new.items()])


def _columns(probabilities: np.ndarray, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """`label`, `probability` and `probability_CLASS` of each row, to six significant digits."""
    for answer in answers(probabilities, classes):
        if answer["label"] is None:
            yield dict.fromkeys(("label", "probability", *(f"probability_{name}" for name in classes)))
        else:
            yield {
                "label": answer["label"],
                "probability": _rounded(answer["probability"]),
                **{f"probability_{name}": _rounded(value) for name, value in answer["probabilities"].items()},
            }


def _rounded(probability: float) -> float:
    return float(f"{probability:.6g}")
