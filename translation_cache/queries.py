"""Bulk queries: which rows are missing, the paraphrases of these texts, all rows, a digest of all rows."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.job import Paraphrase
from translation_cache.key import KEY_BYTES, keys_from_bytes, row_keys
from translation_cache.key import fingerprint as fingerprint_of
from translation_cache.keyset import KeySet
from translation_cache.mapped import take_rows
from translation_cache.scan import unique_rows
from translation_cache.shard import keys_of, text_array, to_paraphrase
from translation_cache.store import Cache

Texts = Sequence[str] | pa.Array | pa.ChunkedArray  # a column of a memory-mapped table uses no memory
_BLOCK = 1 << 16  # texts that are Python strings at the same time


class Missing(NamedTuple):
    rows: pa.Table
    """source (large_string), sample (int32): sorted by the first occurrence of the source, then by sample."""
    requested: int
    """The number of distinct sources times the samples."""


def missing(cache: Cache, settings: Mapping[str, Any], sources: Texts, *, samples: int = 1) -> Missing:
    """Each (source, sample) without a row, once.

    Time is linear in the rows of the cache and in the sources. Memory: 90 bytes per (source, sample), a few shards, and
    the result.

    Raises:
        CacheError: a source holds half a surrogate pair.
    """
    fingerprint = fingerprint_of(settings)
    tables = cache.tables(fingerprint, ["key"])
    first = list(islice(tables, 1))  # starts the reading of shards, which overlaps with the computation of the keys
    wanted = KeySet(source_keys(fingerprint, sources, samples))
    present = np.zeros(len(wanted), dtype=bool)
    for table in chain(first, tables):
        places = wanted.find(keys_of(table))
        present[places[places >= 0]] = True
    sample, source = np.divmod(wanted.first()[~present], max(1, len(sources)))  # as in source_keys
    source, sample = np.divmod(np.sort(source * samples + sample), max(1, samples))
    return Missing(
        pa.table({"source": take_texts(sources, source), "sample": pa.array(sample, pa.int32())}), requested=len(wanted)
    )


def count_others(cache: Cache, settings: Mapping[str, Any], sources: Texts) -> int:
    """The number of distinct sources with a row that are not among these sources.

    It reads the keys of the rows. Memory: 90 bytes per source, and 50 per other source.
    """
    fingerprint = fingerprint_of(settings)
    tables = cache.tables(fingerprint, ["key", "sample"])
    first_samples = (keys_of(table.filter(pc.field("sample") == 0)) for table in tables)
    known = KeySet(source_keys(fingerprint, sources, 1))
    others = [keys[known.find(keys) < 0] for keys in first_samples]
    return len(KeySet(np.concatenate(others))) if others else 0


def lookup(
    cache: Cache, settings: Mapping[str, Any], sources: Texts, *, samples: int = 1
) -> list[list[Paraphrase | None]]:
    """For each source its samples, None where there is no row. For millions of sources see `join`."""
    fingerprint = fingerprint_of(settings)
    wanted = KeySet(source_keys(fingerprint, sources, samples))
    paraphrases: list[Paraphrase | None] = [None] * len(wanted)
    for places, table in unique_rows(cache, fingerprint, ["paraphrase", "pivot", "status", "scores"], wanted=wanted):
        for place, record in zip(places.tolist(), table.to_pylist(), strict=True):
            paraphrases[place] = to_paraphrase(record)
    by_sample = wanted.inverse.reshape(samples, len(sources))
    return [[paraphrases[place] for place in places] for places in by_sample.T.tolist()]


def rows(cache: Cache, fingerprint: str) -> Iterator[dict[str, Any]]:
    """Every row once, as a dictionary of its columns."""
    for _, table in unique_rows(
        cache, fingerprint, ["key", "source", "sample", "paraphrase", "pivot", "status", "scores"]
    ):
        for batch in table.to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()


def digest(cache: Cache, settings: Mapping[str, Any]) -> str:
    """32 hex digits over the keys, statuses and paraphrases of these settings; independent of the shards."""
    total = np.zeros(2, dtype=np.uint64)
    for _, table in unique_rows(cache, fingerprint_of(settings), ["key", "status", "paraphrase"]):
        for batch in table.to_batches(max_chunksize=_BLOCK):
            contents = zip(*(batch[name].to_pylist() for name in ("key", "status", "paraphrase")), strict=True)
            total += keys_from_bytes(b"".join([_row_digest(*row) for row in contents])).sum(axis=0)  # modulo 2^64
    return "".join(f"{int(half):016x}" for half in total)


def _row_digest(key: bytes, status: str, paraphrase: str | None) -> bytes:
    text = b"" if paraphrase is None else b"\0" + paraphrase.encode("utf-8")
    return hashlib.blake2b(key + status.encode("utf-8") + b"\0" + text, digest_size=KEY_BYTES).digest()


def source_keys(fingerprint: str, sources: Texts, samples: int) -> np.ndarray:
    """(samples * N, 2) uint64: the keys of sample 0 of all sources, then those of sample 1, and so on."""
    keys = np.empty((samples, len(sources), 2), dtype=np.uint64)
    start = 0
    for block in blocks(sources):
        for sample_keys, block_keys in zip(keys, row_keys(fingerprint, block, range(samples)), strict=True):
            sample_keys[start : start + len(block)] = block_keys
        start += len(block)
    return keys.reshape(-1, 2)


def blocks(texts: Texts) -> Iterator[list[str]]:
    """The texts as lists of Python strings of bounded length."""
    for start in range(0, len(texts), _BLOCK):
        block = texts[start : start + _BLOCK]
        yield list(block) if isinstance(block, Sequence) else block.to_pylist()


def take_texts(texts: Texts, places: np.ndarray) -> pa.Array | pa.ChunkedArray:
    """The texts at these indices, as large_string."""
    if isinstance(texts, Sequence):
        selected: list[Any] = [texts[place] for place in places.tolist()]
        return text_array(selected).cast(pa.large_string())
    column = pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts
    return take_rows(pa.table({"text": column}), places)["text"].cast(pa.large_string())
