"""Look at a cache: how much is there, is it sound, what does it say."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from translation_cache.errors import CacheError
from translation_cache.job import OK
from translation_cache.key import fingerprint, row_key
from translation_cache.shard import read_shard
from translation_cache.store import Cache


def stats(cache: Cache) -> dict[str, Any]:
    """rows, ok, rejected (reason -> rows), and the same by settings with method, copy_rate, change_rate and bytes.

    copy_rate is the share of rows whose paraphrase is their source; change_rate the mean score of that name over the
    rows that are ok, None where none has it.
    """
    by_settings = [_stats(cache, mark, settings) for mark, settings in cache.settings().items()]
    rejected: Counter[str] = Counter()
    for entry in by_settings:
        rejected.update(entry["rejected"])
    return {
        "rows": sum(entry["rows"] for entry in by_settings),
        "ok": sum(entry["ok"] for entry in by_settings),
        "rejected": dict(sorted(rejected.items())),
        "settings": by_settings,
    }


def _stats(cache: Cache, mark: str, settings: dict[str, Any]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    copies, rates = 0, []
    for row in cache.rows(mark):
        statuses[row["status"]] += 1
        copies += row["paraphrase"] == row["source"]
        if row["status"] == OK:
            rates += [score["value"] for score in row["scores"] or () if score["name"] == "change_rate"]
    rows = statuses.total()
    return {
        "fingerprint": mark,
        "method": settings.get("method"),
        "rows": rows,
        "ok": statuses.pop(OK, 0),
        "rejected": dict(sorted(statuses.items())),
        "copy_rate": copies / rows if rows else 0.0,
        "change_rate": sum(rates) / len(rates) if rates else None,
        "bytes": sum(path.stat().st_size for path in cache.shards(mark)),
    }


def verify(cache: Cache) -> dict[str, Any]:
    """Read everything: shards, rows (with those that stand twice), damaged (a list of file and reason)."""
    shards, rows, damaged = 0, 0, []
    for mark in cache.fingerprints():
        folder = cache.path / mark
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.name == "_settings.json":
                reason = _settings_damage(path, mark)
            elif path.suffix == ".parquet":
                shards += 1
                try:
                    table = read_shard(path)
                    reason = _row_damage(table, mark)
                    rows += len(table)
                except (CacheError, pa.ArrowException) as error:
                    reason = str(error)
            else:
                reason = "no cache wrote this file"
            if reason:
                damaged.append({"file": str(path), "reason": reason})
        if not (folder / "_settings.json").exists():
            damaged.append({"file": str(folder / "_settings.json"), "reason": "it is not there"})
    return {"shards": shards, "rows": rows, "damaged": damaged}


def _settings_damage(path: Path, mark: str) -> str | None:
    try:
        sound = fingerprint(json.loads(path.read_bytes())) == mark
    except (ValueError, CacheError, RecursionError):
        sound = False
    return None if sound else "its content is not what the name of its folder says"


def _row_damage(table: pa.Table, mark: str) -> str | None:
    for row in table.select(["key", "settings", "source", "sample"]).to_pylist():
        if row["settings"] != mark:
            return f"a row was made with other settings ({row['settings']})"
        if row["key"] != row_key(mark, row["source"], row["sample"]):
            return f"a key does not belong to its source ({row['source']!r:.80})"
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
        raise CacheError(f"no settings in {cache.path} have the fingerprint {settings}; there are: {', '.join(known)}")
    found: list[dict[str, Any]] = []
    for mark in chosen:
        for row in cache.rows(mark):
            if len(found) == limit:
                return found
            if query is None or query in row["source"] or query in (row["paraphrase"] or ""):
                found.append(readable(row, known[mark]))
    return found


def readable(row: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A row for people: without its keys, with its method."""
    names = ("source", "sample", "paraphrase", "pivot", "status")
    scores = {score["name"]: score["value"] for score in row["scores"] or ()}
    return {name: row[name] for name in names} | {"method": settings.get("method"), "scores": scores}
