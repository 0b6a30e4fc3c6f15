"""Inspect a cache: statistics, verification, and rows to read."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.errors import CacheError, DamagedError
from translation_cache.job import OK
from translation_cache.joining import score_column
from translation_cache.key import row_keys
from translation_cache.queries import blocks, rows
from translation_cache.scan import unique_rows
from translation_cache.shard import SUFFIX, keys_of
from translation_cache.store import SETTINGS_FILE, Cache

_MEANS = ("change_rate", "length_ratio")  # scores that `stats` averages over the usable rows


def stats(cache: Cache) -> dict[str, Any]:
    """rows, ok, yield, rejected (reason -> rows), bytes, set_aside (damaged files), and the same for each settings.

    yield is the share of rows that are ok, copy_rate the share of rows whose paraphrase equals the source. change_rate
    and length_ratio are means of these scores over the rows that are ok, None if no row has the score.
    """
    by_settings = [_stats(cache, fingerprint, settings) for fingerprint, settings in cache.settings().items()]
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


def _stats(cache: Cache, fingerprint: str, settings: dict[str, Any]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    copies, sums, counts = 0, dict.fromkeys(_MEANS, 0.0), dict.fromkeys(_MEANS, 0)
    for _, table in unique_rows(cache, fingerprint, ["status", "source", "paraphrase", "scores"]):
        statuses.update({pair["values"]: pair["counts"] for pair in table["status"].value_counts().to_pylist()})
        copies += table.filter(pc.field("source") == pc.field("paraphrase")).num_rows
        usable = table.filter(pc.field("status") == OK)
        for name in _MEANS:
            values = score_column(usable["scores"], name).drop_null().to_numpy()
            sums[name] += float(values.sum())
            counts[name] += len(values)
    shards, total = cache.shards(fingerprint), statuses.total()
    ok = statuses.pop(OK, 0)
    return {
        "fingerprint": fingerprint,
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
    """Read everything: shards, rows (duplicates included), damaged (a list of file and reason).

    It checks the digest and the columns of each shard, and computes each key again from settings, source and sample.

    Args:
        set_aside: move damaged and foreign files to where nothing reads them, so that `fill` computes their rows again.
    """
    shards, count, damaged = 0, 0, [(name, "not a file of a cache") for name in cache.foreign_files()]
    for fingerprint in cache.fingerprints():
        names = [file.name for file in cache.files(fingerprint)]
        if SETTINGS_FILE not in names and cache.shards(fingerprint):
            damaged.append((f"{fingerprint}/{SETTINGS_FILE}", "the file is missing"))
        for name in names:
            try:
                rows, reason = _check(cache, fingerprint, name), None
                shards, count = shards + (rows is not None), count + (rows or 0)
            except FileNotFoundError:
                continue  # another process compacted it away
            except (CacheError, ValueError, OverflowError) as error:
                shards, reason = shards + name.endswith(SUFFIX), str(error)
            if reason:
                damaged.append((f"{fingerprint}/{name}", reason))
    if set_aside:
        for path, _ in damaged:
            if "/" in path and not path.endswith(SETTINGS_FILE):
                cache.move_aside(path, even_if_sound=True)
    return {
        "shards": shards,
        "rows": count,
        "damaged": [{"file": cache.at(path), "reason": reason} for path, reason in damaged],
    }


def _check(cache: Cache, fingerprint: str, name: str) -> int | None:
    """The row count of a sound shard, None for a sound settings file. Raises DamagedError for any other file."""
    if name == SETTINGS_FILE:
        cache.read_settings(fingerprint)
        return None
    if not name.endswith(SUFFIX):
        raise DamagedError("not a file of a cache")
    table = cache.table(fingerprint, name, ["key", "source", "sample"])
    if reason := _row_damage(table, fingerprint):
        raise DamagedError(reason)
    return len(table)


def _row_damage(table: pa.Table, fingerprint: str) -> str | None:
    keys, samples = keys_of(table), np.asarray(table["sample"])
    for sample in np.unique(samples):
        places = np.flatnonzero(samples == sample)
        sources = table["source"].take(pa.array(places))
        expected = np.concatenate(
            [keys for block in blocks(sources) for keys in row_keys(fingerprint, block, [int(sample)])]
        )
        if (wrong := np.flatnonzero((expected != keys[places]).any(axis=1))).size:
            return f"the key does not match the source {sources[int(wrong[0])].as_py()!r:.80}"
    return None


def show(cache: Cache, limit: int, *, settings: str | None = None, query: str | None = None) -> list[dict[str, Any]]:
    """The first rows: source, sample, paraphrase, pivot, status, method, scores.

    Args:
        settings: a fingerprint or the beginning of one.
        query: only rows whose source or paraphrase contains this text.
    Raises:
        CacheError: no settings have that fingerprint.
    """
    known = cache.settings()
    selected = [fingerprint for fingerprint in known if settings is None or fingerprint.startswith(settings)]
    if settings is not None and not selected:
        raise CacheError(f"no settings in {cache} have the fingerprint {settings}; it has: {', '.join(known)}")
    matches: list[dict[str, Any]] = []
    for fingerprint in selected:
        for row in _matching(cache, fingerprint, query):
            if len(matches) == limit:
                return matches
            matches.append(_readable(row, known[fingerprint]))
    return matches


def _matching(cache: Cache, fingerprint: str, query: str | None) -> Iterator[dict[str, Any]]:
    for row in rows(cache, fingerprint):
        if query is None or query in row["source"] or query in (row["paraphrase"] or ""):
            yield row


def _readable(row: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A row without its key, with its method."""
    names = ("source", "sample", "paraphrase", "pivot", "status")
    scores = {score["name"]: score["value"] for score in row["scores"] or ()}
    return {name: row[name] for name in names} | {"method": settings.get("method"), "scores": scores}
