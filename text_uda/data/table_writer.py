"""Writes tables as csv, tsv, jsonl or parquet, block by block; a file appears whole or not at all."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from text_uda.data.tables import kind_of
from text_uda.errors import DataError
from translation_cache.atomic import whole_file

KINDS = (".csv", ".tsv", ".jsonl", ".parquet")
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}

Record = Mapping[str, Any]
WriteBlock = Callable[[Sequence[Record]], None]


def table_kind(path: Path) -> tuple[str, str | None]:
    """(one of KINDS, compression of the file) by the name of the file.

    Raises:
        DataError: the name ends in none of them.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    kind = suffixes[-2] if compression and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    if kind not in KINDS or (compression and kind == ".parquet"):
        raise DataError(
            f"{path}: an output file has to end in {', '.join(KINDS)}, or in .csv.gz and the like;"
            " Parquet compresses by itself"
        )
    return kind, compression


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[WriteBlock]:
    """A function that writes a block of records; the file appears at the end of the block of this manager.

    Args:
        schema: the columns in order. Only Parquet keeps their types: in csv and tsv a list or an object is JSON and
            None an empty field.
    Raises:
        DataError: the name of the file has no known ending.
    """
    kind, compression = table_kind(path)
    with ExitStack() as stack:
        unfinished = stack.enter_context(whole_file(path))
        if kind == ".parquet":
            writer = stack.enter_context(pq.ParquetWriter(unfinished, schema))
            yield lambda block: writer.write_table(_arrow_table(block, schema))
            return
        stream = stack.enter_context(pa.output_stream(str(unfinished), compression=compression))
        file = stack.enter_context(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
        if kind == ".jsonl":
            yield lambda block: file.writelines(json_line(record) + "\n" for record in block)
        else:
            yield _delimited(file, schema.names, "\t" if kind == ".tsv" else ",")


def _delimited(file: io.TextIOBase, columns: Sequence[str], delimiter: str) -> WriteBlock:
    # Python 3.12 and older leave a lone carriage return unquoted, and readers end a row there.
    plain = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    quoting = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)

    def write(block: Sequence[Record]) -> None:
        for record in block:
            fields = [_field(record.get(column)) for column in columns]
            (quoting if any("\r" in field for field in fields) else plain).writerow(fields)

    return write


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return _json(value) if isinstance(value, bool | list | dict) else str(value)


def json_line(record: Record, *, ascii_only: bool = False) -> str:
    """The record as one line of JSON; numbers that JSON does not have (NaN, infinity) are null."""
    return _json(dict(record), ascii_only=ascii_only)


def _json(value: Any, *, ascii_only: bool = False) -> str:
    try:
        return json.dumps(value, ensure_ascii=ascii_only, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=ascii_only, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value


def inferred_schema(
    columns: Sequence[str], blocks: Callable[[], Iterable[Sequence[Record]]], *, known: Path | None
) -> pa.Schema:
    """A schema that keeps the values of all blocks; values that no type keeps, such as 1.5 and "x", become JSON texts.

    Args:
        blocks: called again where a later block widens the type of a column, to see that it keeps the earlier values.
        known: a file that the records are from; if it is Parquet, its types are kept where the values have them.
    """
    types: dict[str, pa.DataType] = dict.fromkeys(columns, pa.null())
    if known is not None and kind_of(known) == ".parquet" and known.is_file():
        types |= {field.name: field.type for field in pq.read_schema(known) if field.name in types}
    widened: set[str] = set()
    for block in blocks():
        for column, kind in types.items():
            types[column] = _common_type(kind, [record.get(column) for record in block])
            if types[column] != kind and not pa.types.is_null(kind):
                widened.add(column)
    if widened := {column for column in widened if not pa.types.is_string(types[column])}:
        for block in blocks():
            for column in widened:
                if not _keeps(types[column], [record.get(column) for record in block]):
                    types[column] = pa.string()
    untyped = [column for column, kind in types.items() if pa.types.is_null(kind) or not _is_writable(kind)]
    return pa.schema([*(types | dict.fromkeys(untyped, pa.string())).items()])


def _common_type(kind: pa.DataType, values: list[Any]) -> pa.DataType:
    if pa.types.is_string(kind) or _keeps(kind, values):
        return kind
    try:
        parts = [pa.schema([("", part)]) for part in (kind, pa.array(values).type)]
        wider = pa.unify_schemas(parts, promote_options="permissive").field(0).type
    except (pa.ArrowException, OverflowError):
        return pa.string()
    return wider if _keeps(wider, values) else pa.string()


def _keeps(kind: pa.DataType, values: list[Any]) -> bool:
    """Whether the values come back from a column of this type: Arrow itself cuts 1.5 to 1 for a column of integers."""
    try:
        back = pa.array(values, type=kind).to_pylist()
    except (pa.ArrowException, OverflowError):
        return False
    return back == values or all(map(_is_same, back, values))


def _is_same(back: Any, value: Any) -> bool:
    """Equality in which NaN is NaN, and a key that an object lacks is None, as Parquet stores it."""
    if isinstance(value, dict) and isinstance(back, dict):
        return value.keys() <= back.keys() and all(_is_same(inner, value.get(key)) for key, inner in back.items())
    if isinstance(value, list | tuple) and isinstance(back, list | tuple):
        return len(value) == len(back) and all(map(_is_same, back, value))
    return back == value or (back != back and value != value)


def _is_writable(kind: pa.DataType) -> bool:
    """Whether Parquet has the type: it has no objects without keys."""
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return all(map(_is_writable, inner)) if inner else not pa.types.is_struct(kind)


def _arrow_table(block: Sequence[Record], schema: pa.Schema) -> pa.Table:
    columns = [_arrow_column([record.get(field.name) for record in block], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _arrow_column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else _json(value) for value in values]
    return pa.array(values, type=kind)
