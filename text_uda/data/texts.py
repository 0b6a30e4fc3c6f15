"""Any number of texts as one sequence: a tuple while they are few, else a memory-mapped file without a name."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

import numpy as np
import pyarrow as pa

from text_uda.errors import DataError
from translation_cache.key import KEY_BYTES, keys_from_bytes
from translation_cache.keyset import KeySet
from translation_cache.mapped import Parts, mapped_table, scratch_folder

IN_MEMORY = 1 << 26  # bytes, about, that are held as Python strings; more go to a file
_STRING_BYTES = 64  # of a Python string, beside its characters
_BLOCK_TEXTS = 1 << 13  # that are Python strings at one time,
_BLOCK_CHARACTERS = 1 << 24  # unless they are long
_SORTED_AT_ONCE = 1 << 26  # characters
_SCHEMA = pa.schema({"text": pa.large_string()})


class MappedTexts(Sequence[str]):
    """Texts in a memory-mapped Arrow file: what is read of them is memory that the system may take back.

    It compares, counts and slices as a tuple of the same texts does, but has no hash. A slice or `take` is a view: it
    costs 8 bytes a text. The file lies with the temporary ones (TMPDIR), has no name, and goes with the last view.

    Args:
        column: large_string, without nulls at `places`.
        places: which of them, in this order, (N,) int64; None for all.
    """

    def __init__(self, column: pa.ChunkedArray, places: np.ndarray | None = None) -> None:
        self._column, self._places = column, places
        self._starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])

    def __len__(self) -> int:
        return len(self._column) if self._places is None else len(self._places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "MappedTexts": ...
    def __getitem__(self, index: int | slice) -> "str | MappedTexts":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.take(np.arange(start, stop, step))
        place = range(len(self))[index]
        return self._column[place if self._places is None else int(self._places[place])].as_py()

    def take(self, indices: np.ndarray) -> "MappedTexts":
        """A view of the texts at these indices (N,), in this order."""
        return MappedTexts(self._column, indices if self._places is None else self._places[indices])

    def blocks(self) -> Iterator[list[str]]:
        """All texts in order, some at a time."""
        bytes_a_text = self._column.nbytes / max(1, len(self._column))
        count = max(1, min(_BLOCK_TEXTS, int(_BLOCK_CHARACTERS / max(1.0, bytes_a_text))))
        for start in range(0, len(self), count):
            stop = min(start + count, len(self))
            yield self._read(np.arange(start, stop) if self._places is None else self._places[start:stop])

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.blocks())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | MappedTexts):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"MappedTexts({len(self):,} texts)"

    def _read(self, places: np.ndarray) -> list[str]:
        order = np.argsort(places, kind="stable")
        ascending = places[order]
        chunks, firsts = np.unique(np.searchsorted(self._starts, ascending, side="right") - 1, return_index=True)
        read: list[str] = []
        for chunk, first, last in zip(chunks.tolist(), firsts, [*firsts[1:], len(order)], strict=True):
            wanted = pa.array(ascending[first:last] - self._starts[chunk])
            read += self._column.chunk(chunk).take(wanted).to_pylist()
        texts = [""] * len(order)
        for place, text in zip(order.tolist(), read, strict=True):
            texts[place] = text
        return texts

    def column(self) -> pa.ChunkedArray:
        """The texts as Arrow sees them; of a view with an order of its own, a copy in memory."""
        return self._column if self._places is None else self._column.take(pa.array(self._places))

    @staticmethod
    def joined(parts: "Sequence[MappedTexts]") -> "MappedTexts":
        """The texts of all parts, one part after the other, without reading any."""
        column = pa.chunked_array([chunk for part in parts for chunk in part._column.chunks], pa.large_string())
        if all(part._places is None for part in parts):
            return MappedTexts(column)
        firsts = np.cumsum([0, *(len(part._column) for part in parts)])
        places = [
            first + (np.arange(len(part)) if part._places is None else part._places)
            for first, part in zip(firsts[:-1], parts, strict=True)
        ]
        return MappedTexts(column, np.concatenate(places))


def in_blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of bounded length."""
    if isinstance(texts, MappedTexts):
        yield from texts.blocks()
        return
    block: list[str] = []
    characters = 0
    for text in texts:
        block.append(text)
        characters += len(text)
        if len(block) == _BLOCK_TEXTS or characters >= _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def keep(texts: Iterable[str]) -> Sequence[str]:
    """The texts in their order, wherever they come from; memory does not grow with them.

    Raises:
        DataError: one of many texts holds half a surrogate pair.
        CacheError: no space for the file.
    """
    held: list[list[str]] = []
    size = 0
    blocks = in_blocks(texts)
    for block in blocks:
        held.append(block)
        size += sum(map(len, block)) + _STRING_BYTES * len(block)
        if size > IN_MEMORY:
            return MappedTexts(_written(chain(_let_go(held), blocks)))
    return tuple(chain.from_iterable(held))


def taken(texts: Sequence[str], places: np.ndarray) -> Sequence[str]:
    """The texts at these places (N,), in this order."""
    if isinstance(texts, MappedTexts):
        return texts.take(places)
    chosen: list[int] = places.tolist()
    return tuple(texts[place] for place in chosen)


def joined(*parts: Sequence[str]) -> Sequence[str]:
    """The texts of all parts, one part after the other."""
    if not any(isinstance(part, MappedTexts) for part in parts):
        return tuple(chain.from_iterable(parts))
    mapped = [part if isinstance(part, MappedTexts) else MappedTexts(_written(in_blocks(part))) for part in parts]
    return MappedTexts.joined(mapped)


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """A 128-bit hash of each text, (N, 2) uint64: two texts of one hash are taken for the same. 16 bytes a text."""
    return digests(text.encode("utf-8", "surrogatepass") for text in texts)


def digests(contents: Iterable[bytes]) -> np.ndarray:
    """128-bit BLAKE2b of each, (N, 2) uint64, in whose order are the numbers that the 16 bytes are."""
    kept = bytearray()
    for content in contents:
        kept += hashlib.blake2b(content, digest_size=KEY_BYTES).digest()
    return keys_from_bytes(memoryview(kept))


def distinct_places(texts: Sequence[str], *, but: Sequence[Sequence[str]] = ()) -> np.ndarray:
    """Where each text stands first, in ascending order, those left out that are in `but`: (M,) int64.

    Told by 128-bit hashes: 64 bytes a text while it runs, and no text.
    """
    others = [text_keys(each) for each in but]
    keys = KeySet(np.concatenate([*others, text_keys(texts)]))
    first = np.sort(keys.first()) - sum(map(len, others))
    return first[first >= 0]


def sorted_distinct(texts: Iterable[str]) -> Sequence[str]:
    """Each text once, in the order of `sorted`, also where they are more than memory has room for.

    They are dealt out to files between whose texts no others lie, and each file is sorted by itself: what is read and
    written is linear in the texts, and nothing is read at random.

    Raises:
        as `keep`.
    """
    kept = keep(texts)
    if not isinstance(kept, MappedTexts):
        return tuple(sorted({*kept}))
    characters = sum(len(text) for text in kept)
    with scratch_folder() as folder:
        parts = Parts(folder, _SCHEMA, characters // _SORTED_AT_ONCE + 1)
        # 64 texts a part, at equal steps, tell well enough where the parts have to begin; any places would do.
        sample = sorted(kept.take(np.linspace(0, len(kept) - 1, 64 * len(parts)).astype(np.int64)))
        begins = sample[64::64]
        parts.distribute(
            (np.array([bisect_right(begins, text) for text in block]), _table(block)) for block in kept.blocks()
        )
        return MappedTexts(_written(block for part in parts for block in in_blocks(_sorted_part(part))))


def _sorted_part(part: pa.Table) -> list[str]:
    found: set[str] = set()
    for batch in part.to_batches():
        found.update(batch["text"].to_pylist())
    return sorted(found)


def _let_go(blocks: list[list[str]]) -> Iterator[list[str]]:
    while blocks:
        yield blocks.pop(0)


def _written(blocks: Iterable[list[str]]) -> pa.ChunkedArray:
    return mapped_table(_SCHEMA, map(_table, blocks))["text"]


def _table(block: list[str]) -> pa.Table:
    try:
        return pa.table([pa.array(block, pa.large_string())], schema=_SCHEMA)
    except UnicodeEncodeError as error:
        raise DataError(
            f"a text holds half a surrogate pair, which no file can hold ({error.object!r:.80}); decode it first"
        ) from error
