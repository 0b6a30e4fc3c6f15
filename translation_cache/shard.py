"""One immutable Parquet file of rows, named by the digest of its bytes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from translation_cache.errors import CacheError, DamagedError
from translation_cache.job import OK, Paraphrase
from translation_cache.key import KEY_BYTES, content_digest, keys_from_bytes, row_keys
from translation_cache.keyset import KeySet

SUFFIX = ".parquet"
SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(KEY_BYTES), nullable=False),  # row_key(settings, source, sample)
        pa.field("settings", pa.string(), nullable=False),  # the fingerprint
        pa.field("source", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("paraphrase", pa.string()),
        pa.field("pivot", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("scores", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
    ]
)

_GENERATION = b"generation"  # in the file's metadata

Row = tuple[str, int, Paraphrase]  # (source, sample, paraphrase)


# --- rows and columns -------------------------------------------------------------------------------------------------


def to_table(fingerprint: str, rows: Iterable[Row]) -> pa.Table:
    """The rows of one fingerprint as a table: distinct keys, sorted, so that equal rows give equal files.

    Raises:
        CacheError: a text has a lone surrogate, which UTF-8 cannot encode, or a score is not finite.
    """
    rows = list(rows)
    sources, samples = [source for source, _, _ in rows], [sample for _, sample, _ in rows]
    paraphrases = [paraphrase for _, _, paraphrase in rows]
    keys = np.empty((len(rows), 2), dtype=np.uint64)
    for sample in set(samples):
        places = [place for place, number in enumerate(samples) if number == sample]
        (keys[places],) = row_keys(fingerprint, (sources[place] for place in places), [sample])
    try:
        table = pa.table(
            [
                key_array(keys),
                pa.array([fingerprint] * len(rows), pa.string()),
                text_array(sources),
                pa.array(samples, pa.int32()),
                text_array([paraphrase.text for paraphrase in paraphrases]),
                text_array([paraphrase.pivot for paraphrase in paraphrases]),
                text_array([paraphrase.status for paraphrase in paraphrases]),
                _scores(paraphrases),
            ],
            schema=SCHEMA,
        )
    except pa.ArrowInvalid as error:
        raise CacheError(f"cannot store these rows: {error}") from error
    return deduplicated(table)


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """Raises CacheError for a lone surrogate, which UTF-8 cannot encode."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError as error:
        raise CacheError(
            f"a text holds half a surrogate pair, which UTF-8 cannot encode ({error.object!r:.80}); decode it first"
        ) from error


def _scores(paraphrases: Sequence[Paraphrase]) -> pa.Array:
    ordered = [sorted(paraphrase.scores.items()) for paraphrase in paraphrases]
    offsets = np.zeros(len(paraphrases) + 1, dtype=np.int32)
    np.cumsum([len(scores) for scores in ordered], out=offsets[1:])
    values = np.array([value for scores in ordered for _, value in scores], dtype=np.float64)
    if not np.isfinite(values).all():
        raise CacheError("a score is not a finite number; the job has to reject such a paraphrase")
    names = pa.array([name for scores in ordered for name, _ in scores], pa.string())
    fields = SCHEMA.field("scores").type.value_type
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([names, pa.array(values)], fields=list(fields)))


def key_array(keys: np.ndarray) -> pa.Array:
    """(N, 2) uint64 -> N values of 16 bytes."""
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(KEY_BYTES), len(keys), [None, pa.py_buffer(keys.astype(">u8").tobytes())]
    )


def keys_of(table: pa.Table) -> np.ndarray:
    """The column `key` as (N, 2) uint64."""
    chunks = [
        memoryview(chunk.buffers()[1])[chunk.offset * KEY_BYTES : (chunk.offset + len(chunk)) * KEY_BYTES]
        for chunk in table["key"].chunks
        if len(chunk)
    ]
    return keys_from_bytes(b"".join(chunks))


def to_paraphrase(record: dict[str, Any]) -> Paraphrase:
    """The paraphrase of a row, which is a dictionary of (some of) its columns."""
    scores = {score["name"]: score["value"] for score in record.get("scores") or ()}
    return Paraphrase(record["paraphrase"], record["status"], record.get("pivot"), scores)


def rank(paraphrase: Paraphrase) -> tuple:
    """Sort key that decides which of several rows of one key is read: the least; ok comes first."""
    texts = [(text is not None, text or "") for text in (paraphrase.text, paraphrase.pivot)]
    return (paraphrase.status != OK, paraphrase.status, texts, sorted(paraphrase.scores.items()))


def deduplicated(table: pa.Table) -> pa.Table:
    """One row per key, sorted by key."""
    keys = KeySet(keys_of(table))
    if len(keys) == len(table):
        return table.take(keys.first())
    selected = keys.first()
    rivals = np.flatnonzero(np.bincount(keys.inverse)[keys.inverse] > 1)
    best = rivals[best_of(keys.inverse[rivals], table.take(rivals))]
    selected[keys.inverse[best]] = best
    return table.take(selected)


def best_of(places: np.ndarray, table: pa.Table) -> np.ndarray:
    """The index of the first-ranked row of each place, ascending."""
    best: dict[int, tuple] = {}
    records = (record for batch in table.to_batches(max_chunksize=10_000) for record in batch.to_pylist())
    for index, (place, record) in enumerate(zip(places.tolist(), records, strict=True)):
        ranked = (rank(to_paraphrase(record)), index)
        if place not in best or ranked < best[place]:
            best[place] = ranked
    return np.array(sorted(index for _, index in best.values()), dtype=np.int64)


def content_hashes(table: pa.Table) -> np.ndarray:
    """A 64-bit hash of the contents of each row, valid within this process: (N,) uint64."""
    texts = zip(*(table[name].to_pylist() for name in ("status", "paraphrase", "pivot")), strict=True)
    hashes = np.fromiter((hash(row) for row in texts), dtype=np.int64, count=len(table)).view(np.uint64)
    scores = table["scores"].combine_chunks()
    if len(scores) and len(pairs := scores.flatten()):
        names = np.fromiter(map(hash, pairs.field("name").to_pylist()), np.int64, len(pairs)).view(np.uint64)
        values = np.asarray(pairs.field("value")).view(np.uint64)
        mixed = (names ^ (values * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
        np.add.at(hashes, np.asarray(scores.value_parent_indices()), mixed ^ (mixed >> np.uint64(32)))
    return hashes


# --- files ------------------------------------------------------------------------------------------------------------


def encode(table: pa.Table) -> tuple[str, memoryview]:
    """(name, bytes) of the file for a table."""
    sink = pa.BufferOutputStream()
    options: Any = {"use_dictionary": ["settings", "status", "scores.list.element.name"]}  # other columns hardly repeat
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd", store_schema=False, **options) as writer:
        if number := generation(table):
            writer.add_key_value_metadata({_GENERATION: str(number)})
        writer.write_table(table.replace_schema_metadata(None))
    content = memoryview(sink.getvalue())
    return content_digest(content) + SUFFIX, content


def decode(
    name: str, content: bytes, *, fingerprint: str, columns: Sequence[str] | None = None, checked: bool = False
) -> pa.Table:
    """The rows of a file. Its digest is checked first, so a changed or truncated file is never read as data.

    Args:
        fingerprint: the settings that its rows must have.
        columns: columns to read; None is all.
        checked: skip the digest, which was checked before.
    Raises:
        DamagedError: its content does not match its name, or it is not a file of this format.
    """
    if not checked and content_digest(content) + SUFFIX != name:
        raise DamagedError("its content does not match its name")
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise DamagedError("its columns are not the columns of a cache")
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            settings = SCHEMA.get_field_index("settings")
            statistics = [group.column(settings).statistics for group in groups if group.num_rows]
            if any(known is None or {known.min, known.max} != {fingerprint} for known in statistics):
                raise DamagedError("its rows have other settings")
            table = file.read(columns=list(columns) if columns is not None else None)
            return with_generation(table, int((file.metadata.metadata or {}).get(_GENERATION, 0)))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedError(f"it is not a Parquet file ({error!s:.300})") from error


def row_count(content: bytes) -> int:
    return pq.read_metadata(pa.BufferReader(content)).num_rows


def generation(table: pa.Table) -> int:
    """The number of compactions behind a shard; 0 for a shard of `Cache.add`."""
    return int((table.schema.metadata or {}).get(_GENERATION, 0))


def with_generation(table: pa.Table, number: int) -> pa.Table:
    return table.replace_schema_metadata({_GENERATION: str(number)} if number else None)
