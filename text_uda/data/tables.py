"""Whole tables of files, folders and globs, as a stream of records."""

import glob
import logging
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from text_uda.data.arrow_records import is_saved_dataset, is_saved_dataset_dict, read_parquet, read_saved_dataset
from text_uda.data.delimited import Delimited
from text_uda.data.json_records import read_json
from text_uda.data.lines import read_lines
from text_uda.data.plain_text import (
    PACKED,
    SPREADSHEETS,
    check_plain_text,
    member_name,
    refuse_no_bytes,
    refuse_spreadsheet,
)
from text_uda.data.records import Read, Record
from text_uda.errors import DataError, listed

log = logging.getLogger("text_uda")

KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")
_SAME_KIND = {".ndjson": ".jsonl", ".tab": ".tsv", ".pq": ".parquet"}
_MOST_FILES = 1000  # in a list; longer ones are texts
_SPLIT_NAME = re.compile(r"(?:^|[^a-z])(train|test|dev|valid|validation|eval)(?:[^a-z]|$)")


@dataclass(frozen=True)
class Table:
    """The columns of a file, and its records as a stream; memory does not grow with the file."""

    path: Path
    columns: list[str]
    _read: Read
    _where: Callable[[int], str] | None = None
    files: tuple[Path, ...] = ()
    """The files and folders that are read; none for objects of Python and standard input."""
    delimiter: str = ","
    """Between the columns of a csv file."""

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        """(row number, fields) of each row from the first.

        Args:
            columns: the needed columns, None for all; a record can have more.
        Raises:
            DataError: a row is invalid; the message names file, row and remedy.
        """
        return self._read(self.columns if columns is None else columns)

    def where(self, number: int) -> str:
        """The file and the row of a row number that `records` gave, for a message."""
        return self._where(number) if self._where else f"{self.path}, row {number}"


def names_files(source: str) -> bool:
    """Whether this is the name of a file, a folder or a glob, present or not, rather than of a known data set."""
    path = Path(source)
    return kind_of(path) in (*KINDS, *SPREADSHEETS) or _is_glob(path) or path.exists()


def names_table(source: str) -> bool:
    """Whether this names one table; a saved `DatasetDict` has several, which `load` reads."""
    return names_files(source) and not is_saved_dataset_dict(Path(source))


def are_names_of_files(strings: Sequence[Any]) -> bool:
    """Whether a list of strings names files rather than holds texts.

    One that is a file is enough, so that a misspelled name beside it is no text. Otherwise all of them have to look
    like names, since a text can end in "see data.csv" or hold a question mark.
    """
    if not 0 < len(strings) <= _MOST_FILES or not all(isinstance(string, str) for string in strings):
        return False
    return any(map(os.path.isfile, strings)) or all(map(_looks_like_file, strings))


def _looks_like_file(string: str) -> bool:
    path = Path(string)
    has_ending = kind_of(path) in (*KINDS, *SPREADSHEETS) and not any(map(str.isspace, string))
    return has_ending or os.path.exists(string) or bool(glob.has_magic(string) and glob.glob(string, recursive=True))


def kind_of(path: Path) -> str:
    """The ending that names the format, in lower case, without that of a compression: `.csv` for `a.CSV.gz`."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in PACKED:
        if endings[-1] == ".zip" and len(endings) == 1 and path.is_file():
            endings = [ending.lower() for ending in Path(member_name(path)).suffixes]
        else:
            endings.pop()
    return _SAME_KIND.get(endings[-1], endings[-1]) if endings else ""


def data_name(path: Path) -> str:
    """The name of a file or folder without its endings, for the name of the data set."""
    if _is_glob(path):
        return path.parent.name or "files"
    name = path.resolve().name if path.is_dir() else path.name
    for ending in (*PACKED, *KINDS, *_SAME_KIND) if not path.is_dir() else ():
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name


def open_table(path: Path, *, named: Sequence[str | None] = ()) -> Table:
    """The table of a file, or of all files of a folder or a glob, in the order of their names.

    The first pass over a file checks it as a whole; `records` is the second.

    Args:
        named: columns that the user named; a first row with one of them is a header.
    Raises:
        DataError: the file is invalid; the message names file, row and remedy.
    """
    if path.is_dir():
        return _open_folder(path, named)
    if _is_glob(path):
        files = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
        if not files:
            raise DataError(f"no file matches {path}; check the pattern and the folder")
        return _joined(path, files, named)
    return _open_file(path, named)


def _open_file(path: Path, named: Sequence[str | None]) -> Table:
    refuse_spreadsheet(path)
    refuse_no_bytes(path)
    kind = kind_of(path)
    if kind not in KINDS:
        raise DataError(
            f"{path}: the file name has to end in one of {', '.join(KINDS)} (also with {', '.join(PACKED)})"
        )
    if kind == ".parquet":
        if path.suffix.lower() in PACKED:
            raise DataError(f"{path}: a packed Parquet file cannot be read; unpack it, it is compressed inside")
        return Table(path, *read_parquet(path), files=(path,))
    text = check_plain_text(path)
    if kind == ".txt":
        return Table(path, *read_lines(text), files=(path,))
    if kind in (".json", ".jsonl"):
        return Table(path, *read_json(text), files=(path,))
    delimited = Delimited(text, "\t" if kind == ".tsv" else ",", named)
    delimiter = delimited.delimiter if kind == ".csv" else ","
    return Table(path, delimited.columns, delimited.records, files=(path,), delimiter=delimiter)


def _open_folder(path: Path, named: Sequence[str | None]) -> Table:
    if is_saved_dataset(path):
        return Table(path, *read_saved_dataset(path), files=(path,))
    if is_saved_dataset_dict(path):
        raise DataError(f"{path} holds a data set with several splits; name the folder of one of them in it")
    visible = sorted(file for file in path.iterdir() if not file.name.startswith((".", "_")))
    files = [file for file in visible if file.is_file() and kind_of(file) in KINDS]
    files = [file for file in files if kind_of(file) != ".txt"] or files  # a README.txt beside tables is not read
    if not files:
        inside = ", ".join(file.name for file in visible[:5]) or "nothing"
        raise DataError(f"{path} is a folder without a file in {', '.join(KINDS)} (it holds {inside}); name a file")
    splits = {match[1] if (match := _SPLIT_NAME.search(file.name.lower())) else "": file.name for file in files}
    if len(splits) > 1:
        raise DataError(
            f"{path} holds files of several splits ({listed(splits.values())}); name the training file, and the "
            "others with --test and --dev, or a pattern such as 'FOLDER/*.csv' to read all of them as one table"
        )
    if others := [file.name for file in visible if file not in files]:
        log.warning("%s: not read: %s", path, ", ".join(others[:5]) + (", ..." if len(others) > 5 else ""))
    return _joined(path, files, named)


def _joined(path: Path, files: Sequence[Path], named: Sequence[str | None]) -> Table:
    """The records of all files, with row numbers that go on from file to file."""
    if len(files) == 1:
        return _open_file(files[0], named)
    tables = [_open_file(file, named) for file in files]
    first = tables[0]
    for table in tables[1:]:
        if set(table.columns) != set(first.columns):
            differing = listed(sorted(set(table.columns) ^ set(first.columns)))
            raise DataError(
                f"{table.path} has other columns than {first.path} (not in both: {differing}); name files with the "
                "same columns"
            )
    starts: list[int] = []  # the row number before the first row of each file that was read

    def records(columns: Sequence[str]) -> Iterator[Record]:
        starts.clear()
        number = 0
        for table in tables:
            starts.append(number)
            for row, record in table.records(columns):
                number = starts[-1] + row
                yield number, record

    def where(number: int) -> str:
        place = bisect_right(starts, number - 1) - 1
        return tables[place].where(number - starts[place])

    log.warning(
        "%s: %d files are read as one table, from %s to %s; the row numbers of warnings go on from file to file",
        path,
        len(files),
        files[0].name,
        files[-1].name,
    )
    return Table(path, first.columns, records, where, tuple(files))


def would_read(source: Path, file: Path) -> bool:
    """Whether `open_table` of a folder or a glob reads this file, once it is there."""
    path = Path(os.path.abspath(file))
    if _is_glob(source):
        return _matches(path.parts, Path(os.path.abspath(source)).parts)
    hidden = path.name.startswith((".", "_"))
    return source.is_dir() and path.parent.resolve() == source.resolve() and not hidden


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**" and _matches(parts, pattern[1:]):
        return True
    here = bool(parts) and fnmatch(parts[0], pattern[0])
    return here and _matches(parts[1:], pattern if pattern[0] == "**" else pattern[1:])


def _is_glob(path: Path) -> bool:
    return glob.has_magic(str(path)) and not path.exists()  # a browser saves `reviews[1].csv`
