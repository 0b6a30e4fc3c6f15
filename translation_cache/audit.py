"""Look at a cache: how much is there, is it sound, what does it say."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.errors import CacheError, DamagedError
from translation_cache.job import OK
from translation_cache.join import score_column
from translation_cache.key import row_keys
from translation_cache.lookup import blocks, rows
from translation_cache.scan import each_once
from translation_cache.shard import SUFFIX, keys_of
from translation_cache.store import SETTINGS_FILE, Cache

_MEANS = ("change_rate", "length_ratio")  # scores whose mean over the usable rows says what a method does


def stats(cache: Cache) -> dict[str, Any]:
    """rows, ok, yield, rejected (reason -> rows), bytes, set_aside (damaged files), and the same by settings.

    yield is the share of rows that are ok; copy_rate the share whose paraphrase is their source; change_rate and
    length_ratio the means of the scores of that name over the rows that are ok, None where none has it.
    """
    by_settings = [_stats(cache, mark, settings) for mark, settings in cache.settings().items()]
    rejected: Counter[str] = Counter()
    for entry in by_settings:
        rejected.update(entry["rejected"])
    count, ok = (sum(entry[name] for entry in by_settings) for name in ("rows", "ok"))
    return {
        "rows": count,
        "ok": ok,
        "yield": ok / count if count else 0.0,
        "rejected": dict(sorted(rejected.items())),
        "bytes": sum(entry["bytes"] for entry in by_settings),
        "set_aside": cache.set_aside(),
        "settings": by_settings,
    }


def _stats(cache: Cache, mark: str, settings: dict[str, Any]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    copies, sums, counts = 0, dict.fromkeys(_MEANS, 0.0), dict.fromkeys(_MEANS, 0)
    for _, table in each_once(cache, mark, ["status", "source", "paraphrase", "scores"]):
        statuses.update({each["values"]: each["counts"] for each in table["status"].value_counts().to_pylist()})
        copies += table.filter(pc.field("source") == pc.field("paraphrase")).num_rows
        usable = table.filter(pc.field("status") == OK)
        for name in _MEANS:
            values = score_column(usable["scores"], name).drop_null().to_numpy()
            sums[name] += float(values.sum())
            counts[name] += len(values)
    shards, total = cache.shards(mark), statuses.total()
    ok = statuses.pop(OK, 0)
    return {
        "fingerprint": mark,
        "method": settings.get("method"),
        "made_with": settings,
        "rows": total,
        "ok": ok,
        "yield": ok / total if total else 0.0,
        "rejected": dict(sorted(statuses.items())),
        "copy_rate": copies / total if total else 0.0,
        **{name: sums[name] / counts[name] if counts[name] else None for name in _MEANS},
        "shards": len(shards),
        "bytes": sum(shard.bytes for shard in shards),
    }


def verify(cache: Cache, *, set_aside: bool = False) -> dict[str, Any]:
    """Read everything: shards, rows (with those that stand twice), damaged (a list of file and reason).

    Of each shard the digest, the columns, and each key anew from its settings, source and sample.

    Args:
        set_aside: move what is damaged or foreign to where nothing reads it, so that `fill` makes its rows again.
    """
    shards, count, damaged = 0, 0, [(name, "no cache wrote this file") for name in cache.strangers()]
    for mark in cache.fingerprints():
        names = [file.name for file in cache.files(mark)]
        if SETTINGS_FILE not in names and cache.shards(mark):
            damaged.append((f"{mark}/{SETTINGS_FILE}", "it is not there"))
        for name in names:
            try:
                rows, reason = _look_at(cache, mark, name), None
                shards, count = shards + (rows is not None), count + (rows or 0)
            except FileNotFoundError:
                continue  # compacted away meanwhile
            except (CacheError, ValueError, OverflowError) as error:
                shards, reason = shards + name.endswith(SUFFIX), str(error)
            if reason:
                damaged.append((f"{mark}/{name}", reason))
    if set_aside:
        for path, _ in damaged:
            if "/" in path and not path.endswith(SETTINGS_FILE):
                cache.move_aside(path, whatever=True)
    return {
        "shards": shards,
        "rows": count,
        "damaged": [{"file": cache.at(path), "reason": reason} for path, reason in damaged],
    }


def _look_at(cache: Cache, mark: str, name: str) -> int | None:
    """The rows of a shard that is sound, None for settings that are. Raises DamagedError for anything else."""
    if name == SETTINGS_FILE:
        cache.read_settings(mark)
        return None
    if not name.endswith(SUFFIX):
        raise DamagedError("no cache wrote this file")
    table = cache.table(mark, name, ["key", "source", "sample"])
    if reason := _row_damage(table, mark):
        raise DamagedError(reason)
    return len(table)


def _row_damage(table: pa.Table, mark: str) -> str | None:
    keys, samples = keys_of(table), np.asarray(table["sample"])
    for sample in np.unique(samples):
        there = np.flatnonzero(samples == sample)
        sources = table["source"].take(pa.array(there))
        made = np.concatenate([keys for block in blocks(sources) for keys in row_keys(mark, block, [int(sample)])])
        if (wrong := np.flatnonzero((made != keys[there]).any(axis=1))).size:
            return f"a key does not belong to its source ({sources[int(wrong[0])].as_py()!r:.80})"
    return None


def show(cache: Cache, limit: int, *, settings: str | None = None, query: str | None = None) -> list[dict[str, Any]]:
    """The first rows: source, sample, paraphrase, pivot, status, method, scores.

    Args:
        settings: a fingerprint, or the beginning of one.
        query: only rows whose source or paraphrase holds this.
    Raises:
        CacheError: no settings have that fingerprint.
    """
    known = cache.settings()
    chosen = [mark for mark in known if settings is None or mark.startswith(settings)]
    if settings is not None and not chosen:
        raise CacheError(f"no settings in {cache} have the fingerprint {settings}; there are: {', '.join(known)}")
    found: list[dict[str, Any]] = []
    for mark in chosen:
        for row in _matching(cache, mark, query):
            if len(found) == limit:
                return found
            found.append(readable(row, known[mark]))
    return found


def _matching(cache: Cache, mark: str, query: str | None) -> Iterator[dict[str, Any]]:
    for row in rows(cache, mark):
        if query is None or query in row["source"] or query in (row["paraphrase"] or ""):
            yield row


def readable(row: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A row for people: without its keys, with its method."""
    names = ("source", "sample", "paraphrase", "pivot", "status")
    scores = {score["name"]: score["value"] for score in row["scores"] or ()}
    return {name: row[name] for name in names} | {"method": settings.get("method"), "scores": scores}
