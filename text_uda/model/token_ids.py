"""Token ids of many texts, concatenated: in memory, or memory-mapped from a file that is complete or absent.

The file has the format of safetensors (`offsets`, `ids`), with the key of its content in the metadata. The number of
ids is known last, so the header has a fixed size and is written last.
"""

import json
import logging
import mmap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from translation_cache.atomic import make_folder, remove_leftovers, whole_file
from translation_cache.file_digest import file_digest
from translation_cache.file_lock import exclusive_lock
from translation_cache.mapped import scratch_folder

log = logging.getLogger("text_uda")

Blocks = Iterable[Sequence[Sequence[int]]]  # token ids, in blocks of texts

_HEADER_BYTES = 1024  # including the eight of its length; the format allows blanks at the end
_TYPES = {"U16": np.dtype("<u2"), "I32": np.dtype("<i4")}


@dataclass(frozen=True)
class TokenIds:
    """Row i is ids[offsets[i] : offsets[i + 1]]."""

    ids: np.ndarray  # (T,) uint16 or int32
    offsets: np.ndarray  # (N + 1,) int64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


def type_for(vocabulary: int) -> np.dtype:
    """uint16 if it holds all ids below `vocabulary`, else int32."""
    return _TYPES["U16"] if vocabulary <= 1 << 16 else _TYPES["I32"]


def in_memory(blocks: Blocks) -> TokenIds:
    rows = [np.asarray(row, dtype=np.int32) for block in blocks for row in block]
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return TokenIds(np.concatenate(rows) if rows else np.empty(0, np.int32), offsets)


def in_temporary_file(blocks: Blocks, dtype: np.dtype, *, rows: int) -> TokenIds:
    """In a temporary file (TMPDIR), deleted after its last use. Raises CacheError if the disk is full."""
    with scratch_folder() as folder:
        path = folder / "tokens.safetensors"
        _write(path, "", blocks, dtype, rows)
        return _mapped(path, _header(path))


def load_or_create(
    folder: Path, key: str, make_blocks: Callable[[], Blocks], dtype: np.dtype, *, rows: int
) -> TokenIds:
    """Map the file named by `key` in the folder; create it if it is absent or damaged.

    A killed process leaves no file of that name, and the next call removes its partial file. One of several
    processes creates the file while the others wait.

    Args:
        key: a hash of everything that decides the ids.
        rows: the number of texts in all blocks.
    Raises:
        OSError: the folder is not writable, or the disk is full.
    """
    make_folder(folder)
    path = folder / f"{key}.safetensors"
    with exclusive_lock(folder / ".lock", wait_s=-1):
        existing = read(path, key, rows=rows)
        if existing is not None:
            return existing
        remove_leftovers(folder)  # left by killed processes; only the lock holder writes
        with whole_file(path) as unfinished:
            _write(unfinished, key, make_blocks(), dtype, rows)
        return _mapped(path, _header(path))


def read(path: Path, key: str, *, rows: int) -> TokenIds | None:
    """Map the file; None if it is absent, damaged, or has another key or number of rows.

    Reads the whole file once to verify its digest.
    """
    try:
        header = _header(path)
        metadata = header["__metadata__"]
        if metadata["key"] != key or header["offsets"]["shape"] != [rows + 1]:
            return None
        if metadata["digest"] != _digest(path):
            raise ValueError("its digest is another one")
        return _mapped(path, header)
    except OSError:  # not there, or not readable
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s is damaged (%s): its texts are tokenized again", path, error)
        return None


def _write(path: Path, key: str, blocks: Blocks, dtype: np.dtype, rows: int) -> None:
    ids_start = _HEADER_BYTES + 8 * (rows + 1)
    with path.open("wb+") as file:
        file.truncate(ids_start)  # the first offset is 0
        done = total = 0
        for lengths, ids in map(lambda block: _flat(block, dtype), blocks):
            ends = total + np.cumsum(lengths, dtype=np.int64)
            file.seek(_HEADER_BYTES + 8 * (done + 1))
            file.write(ends.tobytes())
            file.seek(ids_start + total * dtype.itemsize)
            file.write(ids.tobytes())
            done, total = done + len(lengths), int(ends[-1])
        assert done == rows, "as many rows as were announced"
        file.flush()
        edge = 8 * (rows + 1)
        name = next(name for name, kind in _TYPES.items() if kind == dtype)
        header = {
            "__metadata__": {"key": key, "digest": _digest(path)},
            "offsets": {"dtype": "I64", "shape": [rows + 1], "data_offsets": [0, edge]},
            "ids": {"dtype": name, "shape": [total], "data_offsets": [edge, edge + total * dtype.itemsize]},
        }
        room = _HEADER_BYTES - 8
        file.seek(0)
        file.write(room.to_bytes(8, "little") + json.dumps(header).encode("ascii").ljust(room))


def _flat(block: Sequence[Sequence[int]], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.fromiter(map(len, block), dtype=np.int64, count=len(block))
    ids = np.fromiter((token for row in block for token in row), dtype=dtype, count=int(lengths.sum()))
    return lengths, ids


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if int.from_bytes(file.read(8), "little") != _HEADER_BYTES - 8:
            raise ValueError("not a file of token ids")
        return json.loads(file.read(_HEADER_BYTES - 8))


def _digest(path: Path) -> str:
    """The hash of everything after the header."""
    return file_digest(path, start=_HEADER_BYTES)


def _mapped(path: Path, header: dict[str, Any]) -> TokenIds:
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    whole.madvise(mmap.MADV_RANDOM)  # rows are read in shuffled order: reading ahead would waste time
    (rows,), (total,) = header["offsets"]["shape"], header["ids"]["shape"]
    offsets = np.frombuffer(whole, np.dtype("<i8"), rows, _HEADER_BYTES)
    dtype = _TYPES[header["ids"]["dtype"]]
    return TokenIds(np.frombuffer(whole, dtype, total, _HEADER_BYTES + header["ids"]["data_offsets"][0]), offsets)
