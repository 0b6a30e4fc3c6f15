"""The unlabeled rows of training: each text with its usable paraphrases, or alone. None is paired with itself."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from text_uda.data.texts import MappedTexts
from text_uda.errors import SettingsError
from text_uda.model.inputs import Inputs
from text_uda.model.tokenized import ModelRows
from text_uda.paraphrasing.fill_and_read import Location, read_paraphrases
from text_uda.paraphrasing.filters import Filters
from translation_cache import Cache, Job, Paraphrase, mapped_table
from translation_cache.atomic import whole_file

if TYPE_CHECKING:
    from datasets import Dataset

MakeRows = Callable[[Sequence[str]], ModelRows]

SCHEMA = pa.schema(
    {
        "text": pa.int64(),  # which of the texts, from 0
        "sample": pa.int32(),
        "source": pa.large_string(),
        "paraphrase": pa.large_string(),  # null where there is none to use
        "status": pa.string(),  # ok, or why the text has no usable paraphrase of this sample
        "pivot": pa.large_string(),
        "change_rate": pa.float64(),
        "fallback_rate": pa.float64(),
    }
)
_BLOCK = 2048  # texts in memory at one time


def pair_table(texts: Sequence[str], paraphrases: Iterable[Sequence[Paraphrase]]) -> pa.Table:
    """The texts and their samples as one memory-mapped table of SCHEMA, in the order of texts and of samples."""
    return mapped_table(SCHEMA, _tables(texts, paraphrases))


def write_pairs(
    texts: Sequence[str],
    augmentation: Job,
    cache: Cache | Location,
    out: str | os.PathLike[str],
    *,
    samples: int = 1,
    filters: Filters | None = None,
) -> "Dataset":
    """The pairs of the texts as a `datasets.Dataset`, memory-mapped from the file `out`, which this writes.

    Every text is in it with each of its samples; where there is no usable paraphrase, `status` says why and
    `paraphrase` is null: `pairs.filter(lambda row: row["status"] == "ok")` are those to train on.

    Args:
        out: an .arrow file, whole or absent.
        filters: judge anew what is usable; see `read_paraphrases`.
    Raises:
        SettingsError: some were never made with these settings; it says what is different.
    """
    from datasets import Dataset

    made = read_paraphrases(texts, augmentation, cache, samples=samples, filters=filters)
    with whole_file(Path(out)) as aside, pa.OSFile(str(aside), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for table in _tables(texts, made):
            writer.write_table(table)
    return Dataset.from_file(os.fspath(out))


def _tables(texts: Sequence[str], paraphrases: Iterable[Sequence[Paraphrase]]) -> Iterator[pa.Table]:
    rows = enumerate(zip(texts, paraphrases, strict=True))
    while block := list(islice(rows, _BLOCK)):
        records = [
            {
                "text": number,
                "sample": sample,
                "source": text,
                "paraphrase": made.text if made.status == "ok" else None,
                "status": made.status,
                "pivot": made.pivot,
                **{name: made.scores.get(name) for name in ("change_rate", "fallback_rate")},
            }
            for number, (text, of_text) in block
            for sample, made in enumerate(of_text)
        ]
        yield pa.Table.from_pylist(records, schema=SCHEMA)


@dataclass(frozen=True)
class Coverage:
    """What the augmentation did to the unlabeled texts."""

    method: str
    change_rate: float
    """Mean share of words changed over the usable paraphrases, 0 to 1."""
    usable: float
    """Share of texts with a usable paraphrase, 0 to 1."""
    statuses: dict[str, int] = field(default_factory=dict)
    """How many paraphrases ended how."""
    without: dict[str, int] = field(default_factory=dict)
    """How many texts have no usable paraphrase, by the reason of the first one."""


class Pairs:
    """The texts that have a usable paraphrase, and those paraphrases, ready for the model.

    Memory: some 40 bytes a row of the table, and no text.

    Args:
        table: of SCHEMA, best memory-mapped; `make_rows` is given views of its columns.
        method: the name of the augmentation.
    Raises:
        SettingsError: no text has a usable paraphrase.
    """

    def __init__(self, table: pa.Table, make_rows: MakeRows, *, method: str) -> None:
        usable = np.flatnonzero(pc.call_function("equal", [table["status"], "ok"]))
        kept, starts, counts = np.unique(table["text"].to_numpy()[usable], return_index=True, return_counts=True)
        self.coverage = _coverage(table, usable, kept, method)
        if not len(kept):
            raise SettingsError(
                f"{method}: none of the {_texts(table):,} unlabeled texts has a usable paraphrase "
                f"({self.coverage.statuses}); choose another --method or --translator"
            )
        self._texts, self._starts, self._counts = kept, starts, counts
        self._original = make_rows(MappedTexts(table["source"], usable[starts]))
        self._augmented = make_rows(MappedTexts(table["paraphrase"], usable))

    def __len__(self) -> int:
        return len(self._counts)

    def batch(self, indices: np.ndarray, visits: np.ndarray) -> tuple[Inputs, Inputs]:
        """Both views of the rows; a row visited again shows its next sample."""
        chosen = self._starts[indices] + visits % self._counts[indices]
        return self._original.batch(indices), self._augmented.batch(chosen)

    def texts_of(self, indices: np.ndarray) -> np.ndarray:
        """Which of all unlabeled texts these rows are, (U,) int64; those without a usable paraphrase are no rows."""
        return self._texts[indices]


class Originals:
    """Unlabeled texts, ready for the model; their other view is made in the training step, or is another dropout."""

    coverage = None

    def __init__(self, texts: Sequence[str], make_rows: MakeRows) -> None:
        self._rows = make_rows(texts)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: np.ndarray, visits: np.ndarray) -> tuple[Inputs, None]:
        """The first view of the rows; however often one was visited, the step draws its other view anew."""
        return self._rows.batch(indices), None

    def texts_of(self, indices: np.ndarray) -> np.ndarray:
        """Which of all unlabeled texts these rows are: each is the one of its number."""
        return indices


def _texts(table: pa.Table) -> int:
    return int(table["text"][-1].as_py()) + 1 if len(table) else 0


def _coverage(table: pa.Table, usable: np.ndarray, kept: np.ndarray, method: str) -> Coverage:
    """Of a table of pairs, of which the rows `usable` have a paraphrase, and so the texts `kept`."""
    first = np.flatnonzero(table["sample"].to_numpy() == 0)
    without = np.ones(len(first), dtype=bool)
    without[kept] = False
    rates = table["change_rate"].fill_null(0.0).to_numpy()[usable]
    return Coverage(
        method=method,
        change_rate=float(rates.mean()) if len(rates) else 0.0,
        usable=len(kept) / max(1, len(first)),
        statuses=_counted(table["status"]),
        without=_counted(table["status"].take(pa.array(first[without]))),
    )


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.call_function("value_counts", [column])
    return dict(sorted((each["values"], each["counts"]) for each in counted.to_pylist()))
