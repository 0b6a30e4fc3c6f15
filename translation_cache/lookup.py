"""Ask a cache in bulk: what is missing, what was made of these texts, what does all of it amount to."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from translation_cache.job import Paraphrase
from translation_cache.key import KEY_BYTES, fingerprint, keys_from_bytes, row_keys
from translation_cache.keyset import KeySet
from translation_cache.mapped import take_rows
from translation_cache.scan import each_once
from translation_cache.shard import keys_of, text_array, to_paraphrase
from translation_cache.store import Cache

Texts = Sequence[str] | pa.Array | pa.ChunkedArray  # a column of a memory-mapped table costs no memory
_BLOCK = 1 << 16  # texts that are Python strings at one time


class Missing(NamedTuple):
    rows: pa.Table
    """source (large_string), sample (int32): the samples of the first source in ascending order, then those of the next
    one, ...; a source stands where it stood first."""
    requested: int
    """How many there are to be: the distinct sources, times the samples."""


def missing(cache: Cache, settings: Mapping[str, Any], sources: Texts, *, samples: int = 1) -> Missing:
    """The (source, sample) that have no row yet, each once.

    Time is linear in the rows of the cache and in the sources; memory 90 bytes for each of (source, sample), that of a
    few shards, and what is returned.

    Raises:
        CacheError: a source holds half a surrogate pair.
    """
    mark = fingerprint(settings)
    tables = cache.tables(mark, ["key"])
    first = list(islice(tables, 1))  # begun here, shards are read while the keys are computed
    wanted = KeySet(source_keys(mark, sources, samples))
    there = np.zeros(len(wanted), dtype=bool)
    for table in chain(first, tables):
        places = wanted.find(keys_of(table))
        there[places[places >= 0]] = True
    sample, source = np.divmod(wanted.first()[~there], max(1, len(sources)))  # as in source_keys
    source, sample = np.divmod(np.sort(source * samples + sample), max(1, samples))
    return Missing(
        pa.table({"source": taken(sources, source), "sample": pa.array(sample, pa.int32())}), requested=len(wanted)
    )


def lookup(
    cache: Cache, settings: Mapping[str, Any], sources: Texts, *, samples: int = 1
) -> list[list[Paraphrase | None]]:
    """For each source its samples, None where there is no row. For millions of sources see `join`."""
    mark = fingerprint(settings)
    wanted = KeySet(source_keys(mark, sources, samples))
    made: list[Paraphrase | None] = [None] * len(wanted)
    for places, table in each_once(cache, mark, ["paraphrase", "pivot", "status", "scores"], wanted=wanted):
        for place, record in zip(places.tolist(), table.to_pylist(), strict=True):
            made[place] = to_paraphrase(record)
    by_sample = wanted.inverse.reshape(samples, len(sources))
    return [[made[place] for place in places] for places in by_sample.T.tolist()]


def rows(cache: Cache, mark: str) -> Iterator[dict[str, Any]]:
    """Every row once, as its columns by name."""
    for _, table in each_once(cache, mark, ["key", "source", "sample", "paraphrase", "pivot", "status", "scores"]):
        for batch in table.to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()


def digest(cache: Cache, settings: Mapping[str, Any]) -> str:
    """32 hex digits that stand for the keys, statuses and paraphrases under these settings, in whatever shards."""
    total = np.zeros(2, dtype=np.uint64)
    for _, table in each_once(cache, fingerprint(settings), ["key", "status", "paraphrase"]):
        for batch in table.to_batches(max_chunksize=_BLOCK):
            each = zip(*(batch[name].to_pylist() for name in ("key", "status", "paraphrase")), strict=True)
            total += keys_from_bytes(b"".join([_row_digest(*row) for row in each])).sum(axis=0)  # modulo 2^64 each
    return "".join(f"{int(half):016x}" for half in total)


def _row_digest(key: bytes, status: str, paraphrase: str | None) -> bytes:
    text = b"" if paraphrase is None else b"\0" + paraphrase.encode("utf-8")
    return hashlib.blake2b(key + status.encode("utf-8") + b"\0" + text, digest_size=KEY_BYTES).digest()


def source_keys(mark: str, sources: Texts, samples: int) -> np.ndarray:
    """(samples * N, 2) uint64, all of sample 0 first."""
    keys = np.empty((samples, len(sources), 2), dtype=np.uint64)
    start = 0
    for block in blocks(sources):
        for of_sample, found in zip(keys, row_keys(mark, block, range(samples)), strict=True):
            of_sample[start : start + len(block)] = found
        start += len(block)
    return keys.reshape(-1, 2)


def blocks(texts: Texts) -> Iterator[list[str]]:
    """The texts as lists of Python strings, of bounded length."""
    for start in range(0, len(texts), _BLOCK):
        block = texts[start : start + _BLOCK]
        yield list(block) if isinstance(block, Sequence) else block.to_pylist()


def taken(texts: Texts, places: np.ndarray) -> pa.Array | pa.ChunkedArray:
    """The texts at these places, as large_string."""
    if isinstance(texts, Sequence):
        chosen: list[Any] = [texts[place] for place in places.tolist()]
        return text_array(chosen).cast(pa.large_string())
    column = pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts
    return take_rows(pa.table({"text": column}), places)["text"].cast(pa.large_string())
