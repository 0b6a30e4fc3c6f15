"""Whole tables of csv, tsv, jsonl and parquet files, as a stream of records."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from text_uda.errors import DataError

KINDS = (".csv", ".tsv", ".jsonl", ".parquet")

Record = tuple[int, dict[str, Any]]  # (row number from 1, the header included; fields)

_BLOCK_BYTES = 1 << 20
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Table:
    """The columns of a file, and its records as a stream; memory does not grow with the file."""

    path: Path
    columns: list[str]
    _read: Callable[[Sequence[str]], Iterator[Record]]

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        """(row number, fields) of each row from the first.

        Args:
            columns: the needed columns, None for all; a record can have more.
        Raises:
            DataError: a row is invalid; the message names file, row and remedy.
        """
        return self._read(self.columns if columns is None else columns)

    def where(self, number: int) -> str:
        """The file and the row of a row number, for a message."""
        return f"{self.path}, row {number}"


def open_table(path: Path) -> Table:
    """The table of a file.

    The first pass over a file checks it as a whole; `records` is the second.

    Raises:
        DataError: the file is invalid; the message names file, row and remedy.
    """
    if path.suffix.lower() not in KINDS:
        raise DataError(f"{path}: the file name has to end in one of {', '.join(KINDS)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its name and permissions") from error
    if path.suffix.lower() != ".parquet":
        empty = _check_text(path)
    if empty:
        raise DataError(f"{path} is empty; use a file with a header and rows")
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    if path.suffix.lower() == ".jsonl":
        return _jsonl(path)
    return _table(path, "\t" if path.suffix.lower() == ".tsv" else ",")


def _check_text(path: Path) -> bool:
    """Whether a file is blank. Raises DataError if it is not UTF-8 or contains NUL."""
    blank, before = True, 0  # lines before the block
    with path.open("rb") as file:
        while lines := file.readlines(_BLOCK_BYTES):
            block = b"".join(lines)  # whole lines, and so whole characters
            try:
                block.decode("utf-8")
            except UnicodeDecodeError as error:
                line = before + block.count(b"\n", 0, error.start) + 1
                raise DataError(
                    f"{path}, row {line}: byte 0x{block[error.start]:02x} is not UTF-8; convert the file first, "
                    "for example with `iconv -f latin1 -t utf-8`"
                ) from error
            if b"\0" in block:
                line = before + block.count(b"\n", 0, block.index(b"\0")) + 1
                raise DataError(f"{path}, row {line}: a NUL character; is this a text file?")
            blank = blank and not block.removeprefix(codecs.BOM_UTF8 if before == 0 else b"").strip()
            before += len(lines)
    return blank


def _table(path: Path, delimiter: str) -> Table:
    # Spreadsheets quote a tsv like a csv; in other tsv files a quote is a character. Equal row lengths tell which.
    quoted = delimiter == "," or _has_equal_rows(path, delimiter)
    try:
        _, header = next(_fields(path, delimiter, quoted=quoted))
    except csv.Error as error:
        raise DataError(f"{path}, {error}; check the quotes of that row") from error
    header = [name.strip() for name in header]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} occurs twice in the header; rename one")

    def records(_columns: Sequence[str]) -> Iterator[Record]:
        try:
            for number, row in islice(_fields(path, delimiter, quoted=quoted), 1, None):
                if len(row) != len(header):
                    raise DataError(
                        f"{path}, row {number}: {len(row)} fields where the header has {len(header)}; "
                        f"quote texts that hold a {'tab' if delimiter == chr(9) else 'comma'}, or use a .jsonl file"
                    )
                yield number, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, {error}; check the quotes of that row") from error

    return Table(path, header, records)


def _has_equal_rows(path: Path, delimiter: str) -> bool:
    """Whether all rows have the same number of fields if quotes delimit them."""
    try:
        rows = _fields(path, delimiter, quoted=True)
        _, first = next(rows)
        return all(len(row) == len(first) for _, row in rows)
    except csv.Error:
        return False


def _fields(path: Path, delimiter: str, *, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """(number of the last line of a row, fields) without blank lines. Raises csv.Error with the row."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    longest = path.stat().st_size + 1  # a text can be as long as the file
    last_line = 0  # of the last complete row
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
        while True:
            block = []
            before = csv.field_size_limit(longest)  # global to the process: reset before other code runs
            try:
                for row in islice(reader, _BLOCK_ROWS):
                    last_line = reader.line_num
                    block.append((last_line, row))
            except csv.Error as error:
                # An unclosed quote extends to the end of the file: the row after the last complete one opened it.
                raise csv.Error(f"row {last_line + 1}: {error}") from error
            finally:
                csv.field_size_limit(before)
            if not block:
                return
            yield from (numbered for numbered in block if numbered[1])


def _jsonl(path: Path) -> Table:
    def records(_columns: Sequence[str] = ()) -> Iterator[Record]:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{path}, row {number}: not JSON ({error}); every line has to be one object"
                    ) from error
                if not isinstance(record, dict):
                    raise DataError(
                        f'{path}, row {number}: not an object; every line has to be one, such as {{"text": "..."}}'
                    )
                yield number, record

    columns: dict[str, None] = {}
    for _, record in records():
        if not record.keys() <= columns.keys():
            columns |= dict.fromkeys(record)
    return Table(path, list(columns), records)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def unreadable(error: Exception) -> DataError:
        return DataError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}); write it again")

    def records(needed: Sequence[str]) -> Iterator[Record]:
        done = 0
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BLOCK_BYTES) as file:
            batches = file.iter_batches(_BLOCK_ROWS, columns=list(dict.fromkeys(needed)), use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise unreadable(error) from error
                if batch is None:
                    return
                yield from enumerate(batch.to_pylist(), start=done + 1)
                done += len(batch)

    try:
        with pq.ParquetFile(path) as file:
            return Table(path, file.schema_arrow.names, records)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(error) from error
