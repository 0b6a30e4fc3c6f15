"""Work on caches, and what has to be there of it after a power cut."""

import os
from pathlib import Path

import pytest
from contents import content
from jobs import Upper
from recording import Recorder

from translation_cache import Cache, compact, compaction, export, fill, merge, verify, writer

TEXTS = [f"text {number}" for number in range(12)]
OTHERS = [f"another {number}" for number in range(4)]


def fill_other(disk: Path) -> None:
    fill(Cache(disk / "other"), Upper(), OTHERS)


def fill_first(disk: Path) -> None:
    fill(Cache(disk / "cache"), Upper(), TEXTS[:4])


def fill_in_commits(disk: Path) -> None:
    """Each batch is a commit, and a few commits are compacted."""
    fill(Cache(disk / "cache"), Upper(), TEXTS, batch_size=2, commit_bytes=1)


def fill_second_method(disk: Path) -> None:
    fill(Cache(disk / "cache"), Upper(seed=1), TEXTS[:2])


def compact_all(disk: Path) -> None:
    compact(Cache(disk / "cache"))


def merge_other(disk: Path) -> None:
    merge(Cache(disk / "cache"), Cache(disk / "other"))


def export_all(disk: Path) -> None:
    export(Cache(disk / "cache"), disk / "out" / "rows.jsonl")


def damage(disk: Path) -> None:
    """As a disk does that returns other bytes than were written: the next call sets the file aside."""
    shard = sorted(disk.glob("cache/*/*.parquet"))[0]
    with shard.open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
        file.flush()
        os.fsync(file.fileno())


def refill(disk: Path) -> None:
    for seed in (0, 1):
        fill(Cache(disk / "cache"), Upper(seed=seed), TEXTS[: 12 - 10 * seed])
    merge_other(disk)
    compact_all(disk)


WORK = (
    *(fill_other, fill_first, fill_in_commits, fill_second_method, compact_all, merge_other, compact_all, export_all),
    *(damage, refill),
)
RERUN = tuple(part for part in WORK if part != damage)


def early_compaction(patch: pytest.MonkeyPatch) -> None:
    """Three small files are many."""
    for module in (compaction, writer):
        patch.setattr(module, "MIN_SMALL_FILES", 3)


def rows(disk: Path) -> dict[str, set[tuple]]:
    return {name: set(content(Cache(disk / name))) for name in ("cache", "other")}


def record(root: Path) -> tuple[Recorder, list[dict[str, set[tuple]]]]:
    """The steps of the work, and the rows that are acknowledged after each part of it."""
    root.mkdir()
    recorder, acknowledged = Recorder(root), [{"cache": set(), "other": set()}]
    with recorder.recording():
        for part in WORK:
            part(root)
            recorder.acknowledge()
            acknowledged.append(rows(root))
    return recorder, acknowledged


def check(disk: Path, acknowledged: list[dict[str, set[tuple]]], count: int) -> None:
    whole, damaged = acknowledged[-1], WORK.index(damage) + 1
    may_be_damaged = count in (damaged - 1, damaged)
    expected = acknowledged[damaged if may_be_damaged else count]
    for name, present in rows(disk).items():
        assert present <= whole[name], "rows that nobody has written"
        assert expected[name] <= present, "an acknowledged row is lost"
        damage_found = verify(Cache(disk / name))["damaged"]
        assert may_be_damaged or not damage_found, f"a damaged file: {damage_found}"
    exported = disk / "out" / "rows.jsonl"
    if exported.exists() or count > WORK.index(export_all):
        assert len(exported.read_text().splitlines()) == len(whole["cache"]), "the export is not whole"
    for part in RERUN:
        part(disk)
    assert rows(disk) == whole, "a rerun gives other rows"
    assert not any(verify(Cache(disk / name))["damaged"] for name in whole), "a rerun leaves damage"
    cache = Cache(disk / "cache")
    assert [len(cache.shards(fingerprint)) for fingerprint in cache.fingerprints()] == [1, 1], "not compact"
