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

Row = tuple[str, int, Paraphrase]  # source, sample, what was made of it


# --- rows and columns -------------------------------------------------------------------------------------------------


def to_table(fingerprint: str, rows: Iterable[Row]) -> pa.Table:
    """Rows of one fingerprint as a table: each key once, sorted by key, so that equal rows make equal files.

    Raises:
        CacheError: a text that UTF-8 has no bytes for (a lone surrogate), or a score that is not finite.
    """
    rows = list(rows)
    sources, samples = [source for source, _, _ in rows], [sample for _, sample, _ in rows]
    made = [paraphrase for _, _, paraphrase in rows]
    keys = np.empty((len(rows), 2), dtype=np.uint64)
    for sample in set(samples):
        places = [place for place, each in enumerate(samples) if each == sample]
        (keys[places],) = row_keys(fingerprint, (sources[place] for place in places), [sample])
    try:
        table = pa.table(
            [
                key_array(keys),
                pa.array([fingerprint] * len(rows), pa.string()),
                text_array(sources),
                pa.array(samples, pa.int32()),
                text_array([each.text for each in made]),
                text_array([each.pivot for each in made]),
                text_array([each.status for each in made]),
                _scores(made),
            ],
            schema=SCHEMA,
        )
    except pa.ArrowInvalid as error:
        raise CacheError(f"these rows cannot be kept: {error}") from error
    return once(table)


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """Raises CacheError for what UTF-8 has no bytes for."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError as error:
        raise CacheError(
            f"a text holds half a surrogate pair, which no file can hold ({error.object!r:.80}); decode it first"
        ) from error


def _scores(made: Sequence[Paraphrase]) -> pa.Array:
    ordered = [sorted(each.scores.items()) for each in made]
    offsets = np.zeros(len(made) + 1, dtype=np.int32)
    np.cumsum([len(scores) for scores in ordered], out=offsets[1:])
    values = np.array([value for scores in ordered for _, value in scores], dtype=np.float64)
    if not np.isfinite(values).all():
        raise CacheError("a score is not a finite number; the job that made it has to reject the paraphrase instead")
    names = pa.array([name for scores in ordered for name, _ in scores], pa.string())
    fields = SCHEMA.field("scores").type.value_type
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([names, pa.array(values)], fields=list(fields)))


def key_array(keys: np.ndarray) -> pa.Array:
    """(N, 2) uint64 -> N times 16 bytes."""
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
    """From a row as a dictionary of (some of) its columns."""
    scores = {score["name"]: score["value"] for score in record.get("scores") or ()}
    return Paraphrase(record["paraphrase"], record["status"], record.get("pivot"), scores)


def rank(made: Paraphrase) -> tuple:
    """Which of two rows with one key is read: the least. It depends on their content alone, and ok comes first."""
    texts = [(text is not None, text or "") for text in (made.text, made.pivot)]
    return (made.status != OK, made.status, texts, sorted(made.scores.items()))


def once(table: pa.Table) -> pa.Table:
    """Each key once, in the order of the keys."""
    keys = KeySet(keys_of(table))
    if len(keys) == len(table):
        return table.take(keys.first())
    chosen = keys.first()
    rivals = np.flatnonzero(np.bincount(keys.inverse)[keys.inverse] > 1)
    best = rivals[best_of(keys.inverse[rivals], table.take(rivals))]
    chosen[keys.inverse[best]] = best
    return table.take(chosen)


def best_of(places: np.ndarray, table: pa.Table) -> np.ndarray:
    """Of the rows with one place the one that ranks first: their indices, ascending."""
    best: dict[int, tuple] = {}
    records = (record for batch in table.to_batches(max_chunksize=10_000) for record in batch.to_pylist())
    for index, (place, record) in enumerate(zip(places.tolist(), records, strict=True)):
        ranked = (rank(to_paraphrase(record)), index)
        if place not in best or ranked < best[place]:
            best[place] = ranked
    return np.array(sorted(index for _, index in best.values()), dtype=np.int64)


def content_numbers(table: pa.Table) -> np.ndarray:
    """A 64-bit number for what was made, the same for equal rows as long as this process lives: (N,) uint64."""
    texts = zip(*(table[name].to_pylist() for name in ("status", "paraphrase", "pivot")), strict=True)
    numbers = np.fromiter((hash(row) for row in texts), dtype=np.int64, count=len(table)).view(np.uint64)
    scores = table["scores"].combine_chunks()
    if len(scores) and len(pairs := scores.flatten()):
        names = np.fromiter(map(hash, pairs.field("name").to_pylist()), np.int64, len(pairs)).view(np.uint64)
        values = np.asarray(pairs.field("value")).view(np.uint64)
        mixed = (names ^ (values * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
        np.add.at(numbers, np.asarray(scores.value_parent_indices()), mixed ^ (mixed >> np.uint64(32)))
    return numbers


# --- files ------------------------------------------------------------------------------------------------------------


def encode(table: pa.Table) -> tuple[str, memoryview]:
    """The name and the bytes of the file that holds a table."""
    sink = pa.BufferOutputStream()
    options: Any = {"use_dictionary": ["settings", "status", "scores.list.element.name"]}  # others hardly repeat
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd", store_schema=False, **options) as writer:
        if number := generation(table):
            writer.add_key_value_metadata({_GENERATION: str(number)})
        writer.write_table(table.replace_schema_metadata(None))
    content = memoryview(sink.getvalue())
    return content_digest(content) + SUFFIX, content


def decode(
    name: str, content: bytes, *, fingerprint: str, columns: Sequence[str] | None = None, checked: bool = False
) -> pa.Table:
    """The rows of a file, after a look at its digest: what was changed or cut short is never read as data.

    Args:
        fingerprint: of the settings that its rows have to be of.
        columns: to read; None is all.
        checked: its digest was seen before, and need not be computed again.
    Raises:
        DamagedError: it is not what its name says, or is not one of ours.
    """
    if not checked and content_digest(content) + SUFFIX != name:
        raise DamagedError("its content is not what its name says")
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise DamagedError("its columns are not those of this cache")
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            settings = SCHEMA.get_field_index("settings")
            statistics = [group.column(settings).statistics for group in groups if group.num_rows]
            if any(each is None or {each.min, each.max} != {fingerprint} for each in statistics):
                raise DamagedError("its rows were made with other settings")
            table = file.read(columns=list(columns) if columns is not None else None)
            return of_generation(table, int((file.metadata.metadata or {}).get(_GENERATION, 0)))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedError(f"it is no Parquet file ({error})") from error


def row_count(content: bytes) -> int:
    return pq.read_metadata(pa.BufferReader(content)).num_rows


def generation(table: pa.Table) -> int:
    """How many compactions it took to make a shard; 0 is of one that `Cache.add` wrote."""
    return int((table.schema.metadata or {}).get(_GENERATION, 0))


def of_generation(table: pa.Table, number: int) -> pa.Table:
    return table.replace_schema_metadata({_GENERATION: str(number)} if number else None)
