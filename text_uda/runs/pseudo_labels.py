"""Pseudo-labels to hand on: the unlabeled rows of a data set that a run labels with confidence."""

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from text_uda.data import load
from text_uda.data.columns import Columns
from text_uda.data.label_spelling import label_of
from text_uda.data.row_columns import fields_of
from text_uda.data.table_writer import table_writer
from text_uda.data.tables import Record, Table, names_table, open_table
from text_uda.data.text_table import TextTable
from text_uda.data.texts import in_blocks, take_texts
from text_uda.errors import DataError, SettingsError
from text_uda.model.precision import Precision
from text_uda.model.tokenized import OnProgress
from text_uda.runs.directory import RunDirectory
from text_uda.runs.intervals import wilson_interval
from text_uda.runs.kept_predictions import errors_above
from text_uda.runs.predict_file import (
    check_output,
    check_replaces_no_input,
    free_prefix,
    output_schema,
    predicted_chunks,
)
from text_uda.runs.prediction import TrainedClassifier
from text_uda.runs.run_columns import columns_read_by
from text_uda.runs.seen_texts import training_labels_among

BLOCK_ROWS = 1024


def pseudo_label(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    threshold: float = 0.9,
    per_class: int | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    precision: Precision = "fp32",
    progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Write the unlabeled rows whose predicted class is probable enough, with that class and its probability.

    The unlabeled rows of a file are those whose label is blank, or all where it has no column of labels. Those of a
    data set by name or hub id are its unlabeled texts and the training texts whose labels the run did not use. All
    columns stay; the predicted class stands in the column of labels (`label` if there is none), its probability in
    `probability` (`predicted_probability` if the file has one).

    The probabilities are the model's own, not calibrated: `dev` says what error to expect above the threshold.

    Args:
        data: a file, a name or a hub id.
        out: csv, tsv, jsonl or parquet; a file that is there is replaced.
        threshold: the smallest probability of a predicted class, 0 to 1.
        per_class: at most so many rows of each class, the most probable ones.
    Returns:
        run, out, unlabeled_rows, labeled_rows (left out), blank_rows (left out), rows (written), per_class (class ->
        rows), threshold, highest (the highest probability of a row, None without rows), dev (the development rows above
        the threshold: `rows`, `errors`, `error` in percent, `interval`; None where the run kept none), seconds.
    Raises:
        DataError: a file or one of its rows is invalid, or there is no unlabeled row.
        SettingsError: the threshold or the number is out of range, or the run is not finished.
    """
    started = time.monotonic()
    if not 0 <= threshold <= 1:
        raise SettingsError(f"threshold={threshold} is no probability; give a number from 0 to 1")
    if per_class is not None and per_class < 1:
        raise SettingsError(f"per_class={per_class}: keep at least one row of each class")
    out = Path(out)
    check_output(out)
    texts, label_name, labeled_rows = _unlabeled_rows(run, data, text_column, label_column, out=out)
    classifier = TrainedClassifier.open(run, precision=precision)
    texts.check_columns(classifier.other_columns, classifier.vector_lengths)
    probability_name = free_prefix(texts.table.columns, ("probability",)) + "probability"
    confident = _Confident(threshold, classifier.classes)
    records = confident.records(
        predicted_chunks(classifier, texts, progress=progress), label_name=label_name, probability_name=probability_name
    )
    if per_class is not None:
        records = _most_probable(records, per_class, label_name=label_name, probability_name=probability_name)
    counts = Counter({name: 0 for name in classifier.classes})
    schema = output_schema(texts, out, {label_name: pa.string(), probability_name: pa.float32()})
    with table_writer(out, schema, delimiter=texts.table.delimiter) as write:
        for block in _blocks(records):
            counts.update(record[label_name] for record in block)
            write(block)
    return {
        "run": str(run),
        "out": str(out),
        "unlabeled_rows": texts.rows,
        "labeled_rows": labeled_rows,
        "blank_rows": texts.blank,
        "rows": counts.total(),
        "per_class": dict(counts),
        "threshold": threshold,
        "highest": confident.highest,
        "dev": _dev_error(Path(run), threshold),
        "seconds": time.monotonic() - started,
    }


class _Confident:
    """Selects the rows whose most probable class reaches the threshold."""

    def __init__(self, threshold: float, classes: Sequence[str]) -> None:
        self._threshold, self._classes = threshold, classes
        self.highest: float | None = None

    def records(self, chunks: Iterable[Any], *, label_name: str, probability_name: str) -> Iterator[dict[str, Any]]:
        for chunk, probabilities in chunks:
            best = probabilities.argmax(axis=-1).tolist()
            for (_, fields), row, index in zip(chunk, probabilities, best, strict=True):
                probability = float(row[index])
                if probability != probability:  # a blank text
                    continue
                self.highest = max(probability, self.highest or 0.0)
                if probability >= self._threshold:
                    answer = {label_name: self._classes[index], probability_name: float(f"{probability:.6g}")}
                    yield fields | answer


def _most_probable(
    records: Iterable[dict[str, Any]], per_class: int, *, label_name: str, probability_name: str
) -> Iterator[dict[str, Any]]:
    """The most probable records of each class in their order; of equally probable ones the first."""
    heaps: dict[str, list[tuple[float, int, dict[str, Any]]]] = defaultdict(list)
    for index, record in enumerate(records):
        heap, entry = heaps[record[label_name]], (record[probability_name], -index, record)
        if len(heap) < per_class:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    kept = sorted((-negative, record) for heap in heaps.values() for _, negative, record in heap)
    yield from (record for _, record in kept)


def _blocks(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    block = []
    for record in records:
        block.append(record)
        if len(block) == BLOCK_ROWS:
            yield block
            block = []
    yield block  # at least one, so that a file without rows has its header


def _unlabeled_rows(
    run: str | Path, data: str | Path, text_column: str | None, label_column: str | None, *, out: Path
) -> tuple[TextTable, str, int]:
    """(the unlabeled rows, the column for their labels, number of labeled rows)."""
    if not names_table(str(data)):
        return _unlabeled_texts(run, str(data), text_column, label_column)
    table = open_table(Path(data), named=(text_column, label_column))
    check_replaces_no_input(out, table)
    columns = Columns.named(text_column, label_column)
    text_name = columns.text_of_data(table)
    label_name = columns.label_of_data(table, text_name)
    if label_name is None:
        return _not_empty(TextTable.of(table, text_name)), "label", 0
    texts = TextTable.of(table, text_name, is_read=lambda fields: label_of(fields.get(label_name)) is None)
    return _not_empty(texts, f"every row has a label in {label_name!r}"), label_name, texts.skipped


def _unlabeled_texts(
    run: str | Path, name: str, text_column: str | None, label_column: str | None
) -> tuple[TextTable, str, int]:
    others = columns_read_by(run)
    columns: dict[str, Any] = {**others.record()} if others else {}
    corpus = load(name, text_column=text_column, label_column=label_column, **columns)
    texts = corpus.training_texts()
    used = training_labels_among(Path(run), texts)
    if used is None:
        texts, labeled_rows = corpus.unlabeled, len(corpus.train)
    else:
        texts, labeled_rows = take_texts(texts, (~used).nonzero()[0]), int(used.sum())

    def records(_columns: Sequence[str]) -> Iterator[Record]:
        numbered = (text for block in in_blocks(texts) for text in block)
        return ((number, {text_name: str(text)} | fields_of(text)) for number, text in enumerate(numbered, start=1))

    text_name = free_prefix(others.names, ["text"]) + "text"
    table = TextTable.of(Table(Path(name), [text_name, *others.names], records), text_name)
    label_name = free_prefix(others.names, ["label"]) + "label"
    return _not_empty(table, "the run used the label of every training text"), label_name, labeled_rows


def _not_empty(texts: TextTable, reason: str = "it has no rows") -> TextTable:
    if not texts.rows:
        raise DataError(f"{texts.table.path}: there is no unlabeled row, since {reason}; give other rows")
    return texts


def _dev_error(run: Path, threshold: float) -> dict[str, Any] | None:
    path = RunDirectory(run).dev_predictions
    if not path.exists():
        return None
    lines = path.read_text("utf-8").splitlines()
    if not lines:
        return None
    errors, rows = errors_above(lines, threshold)
    if not rows:
        return {"rows": 0, "errors": 0, "error": None, "interval": None}
    interval = list(wilson_interval(errors, rows))
    return {"rows": rows, "errors": errors, "error": 100 * errors / rows, "interval": interval}
