"""The unlabeled rows of training: texts with their usable paraphrases, or texts alone; no text is its own pair."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from text_uda.data.loading import texts_of
from text_uda.data.texts import MappedTexts
from text_uda.errors import SettingsError
from text_uda.model.inputs import Inputs
from text_uda.model.tokenized import ModelRows
from text_uda.paraphrasing.cache_access import Location, read_paraphrases
from text_uda.paraphrasing.filters import Filters
from translation_cache import Cache, Job, Paraphrase, mapped_table
from translation_cache.atomic import whole_file

if TYPE_CHECKING:
    from datasets import Dataset

MakeRows = Callable[[Sequence[str]], ModelRows]

SCHEMA = pa.schema(
    {
        "text": pa.int64(),  # index of the text
        "sample": pa.int32(),
        "source": pa.large_string(),
        "paraphrase": pa.large_string(),  # null if it is not usable
        "status": pa.string(),  # ok, or why this sample is not usable
        "pivot": pa.large_string(),
        "change_rate": pa.float64(),
        "fallback_rate": pa.float64(),
    }
)
_BLOCK = 2048  # texts in memory at one time


def pair_table(texts: Sequence[str], paraphrases: Iterable[Sequence[Paraphrase]]) -> pa.Table:
    """One memory-mapped table of SCHEMA, ordered by text and sample."""
    return mapped_table(SCHEMA, _tables(texts, paraphrases))


def write_pairs(
    texts: Any,
    augmentation: Job,
    cache: Cache | Location,
    out: str | os.PathLike[str],
    *,
    samples: int = 1,
    filters: Filters | None = None,
) -> "Dataset":
    """Write the pairs to the file `out` and return them as a memory-mapped `datasets.Dataset`.

    It has a row for each sample of each text. If the paraphrase is not usable, `paraphrase` is null and `status` has
    the reason: train on `pairs.filter(lambda row: row["status"] == "ok")`.

    Args:
        texts: as in `paraphrase`.
        out: an .arrow file, written whole or not at all.
        filters: filters to apply on reading; see `read_paraphrases`.
    Raises:
        SettingsError: the cache lacks some of them; the message names the differing setting.
    """
    from datasets import Dataset

    texts = texts_of(texts)
    paraphrases = read_paraphrases(texts, augmentation, cache, samples=samples, filters=filters)
    with (
        whole_file(Path(out)) as unfinished,
        pa.OSFile(str(unfinished), "wb") as file,
        pa.ipc.new_stream(file, SCHEMA) as writer,
    ):
        for table in _tables(texts, paraphrases):
            writer.write_table(table)
    return Dataset.from_file(os.fspath(out))


def _tables(texts: Sequence[str], paraphrases: Iterable[Sequence[Paraphrase]]) -> Iterator[pa.Table]:
    rows = enumerate(zip(texts, paraphrases, strict=True))
    while block := list(islice(rows, _BLOCK)):
        records = [
            {
                "text": index,
                "sample": sample,
                "source": text,
                "paraphrase": paraphrase.text if paraphrase.status == "ok" else None,
                "status": paraphrase.status,
                "pivot": paraphrase.pivot,
                **{name: paraphrase.scores.get(name) for name in ("change_rate", "fallback_rate")},
            }
            for index, (text, of_text) in block
            for sample, paraphrase in enumerate(of_text)
        ]
        yield pa.Table.from_pylist(records, schema=SCHEMA)


@dataclass(frozen=True)
class Coverage:
    """How many unlabeled texts have a paraphrase, and how much the paraphrases change."""

    method: str
    change_rate: float
    """Mean share of changed words over the usable paraphrases, 0 to 1."""
    usable: float
    """Share of texts with a usable paraphrase, 0 to 1."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Number of paraphrases by status."""
    without: dict[str, int] = field(default_factory=dict)
    """Number of texts without a usable paraphrase, by the status of their first sample."""


class Pairs:
    """The texts with a usable paraphrase, and these paraphrases, as inputs of the model.

    Takes about 40 bytes of memory per row of the table; the texts stay in the table.

    Args:
        table: of SCHEMA, preferably memory-mapped; `make_rows` gets views of its columns.
        method: the name of the augmentation.
    Raises:
        SettingsError: no text has a usable paraphrase.
    """

    def __init__(self, table: pa.Table, make_rows: MakeRows, *, method: str) -> None:
        usable = np.flatnonzero(pc.call_function("equal", [table["status"], "ok"]))
        paired, starts, counts = np.unique(table["text"].to_numpy()[usable], return_index=True, return_counts=True)
        self.coverage = _coverage(table, usable, paired, method)
        if not len(paired):
            raise SettingsError(
                f"{method}: none of the {_text_count(table):,} unlabeled texts has a usable paraphrase "
                f"({self.coverage.statuses}); choose another --method or --translator"
            )
        self._texts, self._starts, self._counts = paired, starts, counts
        self._original = make_rows(MappedTexts(table["source"], usable[starts]))
        self._augmented = make_rows(MappedTexts(table["paraphrase"], usable))

    def __len__(self) -> int:
        return len(self._counts)

    def batch(self, indices: np.ndarray, visits: np.ndarray) -> tuple[Inputs, Inputs]:
        """Original and augmented view of the rows; each further visit of a row uses its next sample."""
        samples = self._starts[indices] + visits % self._counts[indices]
        return self._original.batch(indices), self._augmented.batch(samples)

    def texts_of(self, indices: np.ndarray) -> np.ndarray:
        """Their indices among all unlabeled texts, (U,) int64; texts without a usable paraphrase have no row."""
        return self._texts[indices]


class Originals:
    """Unlabeled texts as inputs of the model; the training step makes their second view, or dropout does."""

    coverage = None

    def __init__(self, texts: Sequence[str], make_rows: MakeRows) -> None:
        self._rows = make_rows(texts)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: np.ndarray, visits: np.ndarray) -> tuple[Inputs, None]:
        """The first view of the rows, independent of the visits."""
        return self._rows.batch(indices), None

    def texts_of(self, indices: np.ndarray) -> np.ndarray:
        """Their indices among all unlabeled texts: row i is text i."""
        return indices


def _text_count(table: pa.Table) -> int:
    return int(table["text"][-1].as_py()) + 1 if len(table) else 0


def _coverage(table: pa.Table, usable: np.ndarray, paired: np.ndarray, method: str) -> Coverage:
    """Coverage of a table of pairs.

    Args:
        usable: rows with a usable paraphrase.
        paired: texts with a usable paraphrase.
    """
    first = np.flatnonzero(table["sample"].to_numpy() == 0)
    without = np.ones(len(first), dtype=bool)
    without[paired] = False
    rates = table["change_rate"].fill_null(0.0).to_numpy()[usable]
    return Coverage(
        method=method,
        change_rate=float(rates.mean()) if len(rates) else 0.0,
        usable=len(paired) / max(1, len(first)),
        statuses=_value_counts(table["status"]),
        without=_value_counts(table["status"].take(pa.array(first[without]))),
    )


def _value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.call_function("value_counts", [column])
    return dict(sorted((entry["values"], entry["counts"]) for entry in counts.to_pylist()))
