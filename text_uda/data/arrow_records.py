"""Records of Parquet files, and of folders that `datasets` saved."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_uda.data.records import Read, Record
from text_uda.errors import DataError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 1 << 20
_BLOCK_ROWS = 1024


def read_parquet(path: Path) -> tuple[list[str], Read]:
    """(columns, function that reads the records). Numbers of classes become the names that `datasets` stored."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wrong = (pa.ArrowException, OSError)

    def unreadable(error: Exception) -> DataError:
        return DataError(f"{path} cannot be read as Parquet ({reason_of(error)}); write it again")

    @contextmanager
    def opened(**options: Any) -> Iterator[pq.ParquetFile]:
        try:
            file = pq.ParquetFile(path, **options)
        except (*wrong, UnicodeDecodeError) as error:  # the latter from the name of a column
            raise unreadable(error) from error
        with file:
            yield file

    def records(needed: Sequence[str]) -> Iterator[Record]:
        done = 0
        with opened(pre_buffer=False, buffer_size=_BLOCK_BYTES) as file:
            batches = file.iter_batches(_BLOCK_ROWS, columns=list(dict.fromkeys(needed)), use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except wrong as error:
                    raise unreadable(error) from error
                if batch is None:
                    return
                for number, record in enumerate(_checked(path, batch, done).to_pylist(), start=done + 1):
                    yield number, _with_class_names(path, number, record, names)
                done += len(batch)

    with opened() as file:
        try:
            names = _stored_class_names(file.schema_arrow.metadata or {})
            columns = file.schema_arrow.names
        except wrong as error:
            raise unreadable(error) from error
    if len({*columns}) < len(columns):
        twice = Counter(columns).most_common(1)[0][0]
        raise DataError(f"{path}: column {twice!r} occurs twice; rename one")
    return columns, records


def _checked(path: Path, batch: "pa.RecordBatch", done: int) -> "pa.RecordBatch":
    """A batch after `done` other rows. Raises DataError for a value that Arrow's readers do not check themselves."""
    import pyarrow as pa

    try:
        batch.validate(full=True)
        return batch
    except pa.ArrowException:
        for index in range(len(batch)):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                _check_value(f"{path}, row {done + index + 1}: {name!r}", column.slice(index, 1))
        raise


def _check_value(where: str, value: "pa.Array") -> None:
    """Raise DataError unless the one value is whole."""
    import pyarrow as pa

    try:
        value.validate(full=True)
    except pa.ArrowException as error:
        if "UTF8" not in str(error):
            raise DataError(f"{where} is damaged ({reason_of(error)}); write the file again") from error
        try:
            value[0].as_py()
        except UnicodeDecodeError as wrong:
            byte = f"byte {wrong.object[wrong.start]:#04x}"
            raise DataError(
                f"{where} is not UTF-8 ({byte}); decode it with its encoding, and write it again"
            ) from error


def is_saved_dataset(path: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote the folder."""
    return (path / "state.json").is_file() and (path / "dataset_info.json").is_file()


def is_saved_dataset_dict(path: Path) -> bool:
    """Whether `DatasetDict.save_to_disk` wrote the folder."""
    return (path / "dataset_dict.json").is_file()


def read_saved_dataset(path: Path) -> tuple[list[str], Read]:
    """(columns, function that reads the records) of a folder of `Dataset.save_to_disk`."""
    rows = load_saved(path)
    done = 0
    for batch in rows.data.table.to_batches():  # `datasets` maps the file as it is: wrong offsets would end the process
        done += len(_checked(path, batch, done))
    names = {name: feature.names for name, feature in rows.features.items() if hasattr(feature, "names")}

    def records(needed: Sequence[str]) -> Iterator[Record]:
        columns = rows.select_columns(list(dict.fromkeys(needed)))
        number = 0
        for block in columns.iter(_BLOCK_ROWS):
            for values in zip(*block.values(), strict=True):
                number += 1
                yield number, _with_class_names(path, number, dict(zip(block, values, strict=True)), names)

    return list(rows.column_names), records


def load_saved(path: Path) -> Any:
    """The `Dataset` or `DatasetDict` of a folder. Raises DataError if it cannot be read."""
    import datasets

    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:  # any exception of the library
        reason = reason_of(error)
        raise DataError(f"{path} cannot be read as a data set of `datasets` ({reason}); save it again") from error


def _stored_class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes of each column, from the metadata that `datasets` writes."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _with_class_names(path: Path, number: int, record: dict[str, Any], names: dict[str, list[str]]) -> dict[str, Any]:
    """The record with names for its numbers of classes; -1 is no label, as in `datasets`."""
    for column, classes in names.items():
        value = record.get(column)
        if isinstance(value, int):
            if not -1 <= value < len(classes):
                raise DataError(
                    f"{path}, row {number}: {column!r} is {value}, and there are {len(classes)} classes; correct it"
                )
            record[column] = classes[value] if value >= 0 else None
    return record
