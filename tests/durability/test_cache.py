"""A power cut at each step of filling, compacting and merging caches: no acknowledged row is lost, none is wrong."""

from pathlib import Path

import pytest
from cache_scenario import check, early_compaction, record
from exploring import CrashStates


def test_the_cache_survives_a_power_cut_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early_compaction(monkeypatch)
    recorder, acknowledged = record(tmp_path / "disk")
    exploration = CrashStates(recorder).explore(
        "cache", lambda disk, count: check(disk, acknowledged, count), tmp_path, most=40
    )
    exploration.assert_whole()
    assert exploration.steps > 100 and exploration.states > 1000, "too little was recorded to show anything"
