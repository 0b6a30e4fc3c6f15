"""Texts and labels that Python holds, as tables: lists, pandas and `datasets`, which are not imported here."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from text_uda.data.tables import Record, Table, are_names_of_files
from text_uda.errors import DataError, listed

log = logging.getLogger("text_uda")

_BLOCK = 4096  # rows as Python objects at the same time
SPLITS = {
    "train": ("train",),
    "test": ("test",),
    "dev": ("validation", "valid", "dev"),
    "unlabeled": ("unsupervised", "unlabeled"),
}


def as_table(data: Any) -> Table:
    """A table of one of: texts; (texts, labels); a pandas DataFrame; a `datasets.Dataset`.

    A label that is None, NaN, or -1 of a ClassLabel is missing. Class numbers of a ClassLabel become their names.

    Raises:
        DataError: it is something else, or texts and labels differ in number.
    """
    if _is(data, "pandas", "DataFrame"):
        return _data_frame(data)
    if _is(data, "datasets", "Dataset"):
        return _dataset(data)
    if isinstance(data, tuple) and len(data) == 2 and all(map(_is_column, data)):
        texts, labels = map(_listed, data)
        if len(texts) != len(labels):
            raise DataError(f"{len(texts):,} texts and {len(labels):,} labels; give one label for each text")
        return _columns("(texts, labels)", {"text": texts, "label": labels})
    if _is_column(data):
        refuse_names_of_files(data)
        return _columns("the texts", {"text": _listed(data)})
    raise DataError(
        f"{type(data).__name__} is no data set; give a name, a file, texts, (texts, labels), a DataFrame or a Dataset"
    )


def class_names(data: Any, column: str) -> Sequence[str] | None:
    """The names of a ClassLabel in their order, None for another column."""
    feature = data.features.get(column) if _is(data, "datasets", "Dataset") else None
    names = getattr(feature, "names", None)
    return None if names is None else [name.strip() for name in names]  # as `label_of` does


def parts_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The train, test, dev and unlabeled parts of a dict of splits, such as a `datasets.DatasetDict`.

    Raises:
        DataError: there is no split named train, or two are of one kind.
    """
    parts: dict[str, Any] = {}
    for part, names in SPLITS.items():
        present = [name for name in names if name in data]
        if len(present) > 1:
            raise DataError(f"the splits {listed(present)} are all taken as {part}; rename or remove all but one")
        if present:
            parts[part] = data[present[0]]
    if "train" not in parts:
        raise DataError(f"no split is named train (there are: {listed(data)}); rename one, or give it alone")
    if others := [name for name in data if not any(name in names for names in SPLITS.values())]:
        log.warning("the splits %s are not read; rename them to train, test, dev or unlabeled", listed(others))
    return parts


def refuse_names_of_files(texts: Any) -> None:
    """Raises DataError if the texts are names of files: they would be taken as texts."""
    if are_names_of_files(texts):
        raise DataError(
            f"{', '.join(map(repr, list(texts)[:3]))}: a list of names of files, where one file or a list of texts is"
            " needed; give one file, or a folder or pattern such as 'data/*.csv'"
        )


def _is(data: Any, module: str, name: str) -> bool:
    """Whether it is of this class of a library, which then is imported already."""
    return module in sys.modules and isinstance(data, getattr(sys.modules[module], name, ()))


def _is_column(data: Any) -> bool:
    """Whether it is a list, a tuple, an array, a pandas Series, a column of a Dataset, or MappedTexts."""
    if isinstance(data, str | bytes | Mapping):
        return False
    return isinstance(data, Sequence | np.ndarray) or _is(data, "pandas", "Series")


def _listed(data: Any) -> Sequence[Any]:
    if _is(data, "pandas", "Series"):
        data = _without_missing(data)
    return data.tolist() if hasattr(data, "tolist") else data


def _columns(name: str, columns: dict[str, Sequence[Any]]) -> Table:
    if not len(columns["text"]):
        raise DataError(f"{name}: there are none")

    def records(_needed: Sequence[str]) -> Iterator[Record]:
        for number, values in enumerate(zip(*columns.values(), strict=True), start=1):
            yield number, {column: _plain(value) for column, value in zip(columns, values, strict=True)}

    return Table(Path(name), list(columns), records)


def _data_frame(frame: Any) -> Table:
    names = {str(name): name for name in frame.columns}
    if len(names) < len(frame.columns):
        strings = list(map(str, frame.columns))
        twice = next(name for name in strings if strings.count(name) > 1)
        raise DataError(f"the DataFrame has two columns {twice!r}; rename one")

    def records(needed: Sequence[str]) -> Iterator[Record]:
        for start in range(0, len(frame), _BLOCK):
            block = frame.iloc[start : start + _BLOCK]
            lists = [_without_missing(block[names[name]]) for name in needed]
            for number, values in enumerate(zip(*lists, strict=True), start=start + 1):
                yield number, {name: _plain(value) for name, value in zip(needed, values, strict=True)}

    return Table(Path("the DataFrame"), list(names), records)


def _without_missing(series: Any) -> Any:
    """The Series with None for NaN, NaT and pandas.NA."""
    return series.astype(object).where(series.notna(), None)


def _dataset(dataset: Any) -> Table:
    def records(needed: Sequence[str]) -> Iterator[Record]:
        selected = dataset.select_columns(list(dict.fromkeys(needed)))
        for start in range(0, len(dataset), _BLOCK):
            block = selected[start : start + _BLOCK]
            lists = [map(label_name, block[name], repeat(class_names(dataset, name))) for name in needed]
            for number, values in enumerate(zip(*lists, strict=True), start=start + 1):
                yield number, dict(zip(needed, values, strict=True))

    return Table(Path("the Dataset"), list(dataset.column_names), records)


def label_name(value: Any, names: Sequence[str] | None) -> Any:
    """The name of a class number of a ClassLabel, None for no class; without names the value as it is."""
    if names is None or not isinstance(value, int):
        return _plain(value)
    return names[value] if 0 <= value < len(names) else None


def _plain(value: Any) -> Any:
    """A Python object for a NumPy scalar, None for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value
