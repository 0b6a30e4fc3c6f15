"""A user's own files: csv, tsv, jsonl and parquet, with one clear error for each thing that can be wrong."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from text_uda.errors import DataError

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "document", "body", "tweet", "message", "title")
LABEL_NAMES = ("label", "labels", "class", "category", "stars", "rating", "score", "sentiment", "target", "y")
KINDS = (".csv", ".tsv", ".jsonl", ".parquet")

Record = tuple[int, dict[str, Any]]  # where the row stands, as people count (from 1, a header included); its fields


def read_labeled(
    path: Path, *, text_column: str | None, label_column: str | None, classes: Sequence[str] | None = None
) -> list[tuple[int, str, str]]:
    """(row, text, label) for each row; a label is its text, whatever the file's type for it.

    Args:
        classes: the labels there may be; None takes them as they come.
    Raises:
        DataError: the file, a column, a text or a label is not what it has to be; names file, row and mend.
    """
    columns, records = _open(path)
    text_name = _column(path, columns, text_column, TEXT_NAMES, "text", "--text-column")
    label_name = _column(path, columns, label_column, LABEL_NAMES, "label", "--label-column", taken=text_name)
    rows = []
    for number, record in records:
        text = _text(path, number, record, text_name)
        label = _label(path, number, record, label_name)
        if classes is not None and label not in classes:
            known = ", ".join(classes)
            raise DataError(
                f"{path}, row {number}: label {label!r} is none of the classes ({known}); correct it, "
                "or name the right column with --label-column"
            )
        rows.append((number, text, label))
    if not rows:
        raise DataError(f"{path} has a header and no rows; give a file with texts")
    return rows


def read_texts(path: Path, *, text_column: str | None) -> list[str]:
    """The texts of a file without regard to labels. Raises DataError as read_labeled."""
    columns, records = _open(path)
    name = columns[0] if len(columns) == 1 and text_column is None else None
    name = name or _column(path, columns, text_column, TEXT_NAMES, "text", "--text-column")
    texts = [_text(path, number, record, name) for number, record in records]
    if not texts:
        raise DataError(f"{path} has a header and no rows; give a file with texts")
    return texts


def _text(path: Path, number: int, record: dict[str, Any], name: str) -> str:
    text = record.get(name)
    if text is not None and not isinstance(text, str):
        raise DataError(f"{path}, row {number}: {name!r} is {text!r:.40}, not a text; name another --text-column")
    if text is None or not text.strip():
        raise DataError(f"{path}, row {number}: the text ({name!r}) is empty or blank; take the row out")
    return text


def _label(path: Path, number: int, record: dict[str, Any], name: str) -> str:
    label = record.get(name)
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if label is None or isinstance(label, list | dict) or not str(label).strip():
        raise DataError(f"{path}, row {number}: no label in {name!r}; give it one, or take the row out (--unlabeled)")
    return str(label).strip()


def _column(
    path: Path,
    columns: Sequence[str],
    asked: str | None,
    usual: Sequence[str],
    what: str,
    option: str,
    *,
    taken: str | None = None,
) -> str:
    there = ", ".join(columns) or "none"
    if asked is not None:
        if asked not in columns:
            raise DataError(f"{path} has no column {asked!r}; it has: {there}. Name one of them with {option}")
        return asked
    by_name = {column.strip().casefold(): column for column in columns if column != taken}
    found = next((by_name[name] for name in usual if name in by_name), None)
    if found is None:
        raise DataError(f"{path}: which column is the {what}? It has: {there}. Name one of them with {option}")
    return found


# --- formats ----------------------------------------------------------------------------------------------------------


def _open(path: Path) -> tuple[list[str], Iterator[Record]]:
    """The columns of a file and its records."""
    if path.suffix.lower() not in KINDS:
        raise DataError(f"{path}: a file has to end in one of {', '.join(KINDS)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its name and its rights") from error
    if not content.strip():
        raise DataError(f"{path} is empty; give a file with a header and rows")
    if path.suffix.lower() == ".parquet":
        return _parquet(path, content)
    text = _decoded(path, content)
    if path.suffix.lower() == ".jsonl":
        return _jsonl(path, text)
    return _table(path, text, "\t" if path.suffix.lower() == ".tsv" else ",")


def _decoded(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, row {line}: byte 0x{content[error.start]:02x} is not UTF-8; convert the file first, "
            "for example with `iconv -f latin1 -t utf-8`"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, row {line}: a NUL character; is this a text file?")
    return text


def _table(path: Path, text: str, delimiter: str) -> tuple[list[str], Iterator[Record]]:
    lines = None
    if delimiter == "\t":
        # Spreadsheets quote a tsv as they do a csv; elsewhere a quote in a tsv is a quote. Whole quotes are the former.
        with contextlib.suppress(csv.Error):
            lines = _fields(text, delimiter, quoted=True)
        if lines is None or len({len(row) for _, row in lines}) > 1:
            lines = _fields(text, delimiter, quoted=False)
    else:
        try:
            lines = _fields(text, delimiter, quoted=True)
        except csv.Error as error:
            raise DataError(f"{path}, {error}; check the quotes of that row") from error
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} stands twice in the header; rename one")

    def records() -> Iterator[Record]:
        for number, row in lines[1:]:
            if len(row) != len(header):
                raise DataError(
                    f"{path}, row {number}: {len(row)} fields where the header has {len(header)}; "
                    f"quote texts that hold a {'tab' if delimiter == chr(9) else 'comma'}, or give a .jsonl file"
                )
            yield number, dict(zip(header, row, strict=True))

    return header, records()


def _fields(text: str, delimiter: str, *, quoted: bool) -> list[tuple[int, list[str]]]:
    """(the line that a row ends on, its fields) without blank lines. Raises csv.Error with the row."""
    before = csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # a text may be as long as the file
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    ended = 0  # the line that the last whole row ends on
    rows = []
    try:
        for row in reader:
            ended = reader.line_num
            if row:
                rows.append((ended, row))
        return rows
    except csv.Error as error:
        # A quote that is never closed runs to the end of the file: it was opened in the row that was begun.
        raise csv.Error(f"row {ended + 1}: {error}") from error
    finally:
        csv.field_size_limit(before)


def _jsonl(path: Path, text: str) -> tuple[list[str], Iterator[Record]]:
    found: list[Record] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, row {number}: not JSON ({error}); each line has to be one object") from error
        if not isinstance(record, dict):
            raise DataError(f'{path}, row {number}: not an object; each line has to be one, such as {{"text": "..."}}')
        columns |= dict.fromkeys(record)
        found.append((number, record))
    return list(columns), iter(found)


def _parquet(path: Path, content: bytes) -> tuple[list[str], Iterator[Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}); write it again") from error
    return table.column_names, enumerate(table.to_pylist(), start=1)
