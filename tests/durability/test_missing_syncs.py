"""The simulation sees what it is there for: with a sync taken out on purpose, a state is not as expected."""

from pathlib import Path

import pytest
from cache_scenario import check, early_compaction, record
from exploring import CrashStates
from run_scenario import Training, train_alone

from text_uda.training.metrics import Metrics
from translation_cache import atomic


def leave_out(patch: pytest.MonkeyPatch, kind: str) -> None:
    """Take out the sync of each file or of each folder in the module that writes, or that of the metrics."""
    if kind == "metrics":
        patch.setattr(Metrics, "sync", lambda metrics: None)
    else:
        sync = atomic.sync
        patch.setattr(atomic, "sync", lambda path: None if path.is_dir() == (kind == "folders") else sync(path))


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_the_cache_without_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    early_compaction(monkeypatch)
    with monkeypatch.context() as patch:
        leave_out(patch, kind)
        recorder, acknowledged = record(tmp_path / "disk")
    exploration = CrashStates(recorder).explore(
        "cache", lambda disk, count: check(disk, acknowledged, count), tmp_path, stop_at=1
    )
    print(*exploration.violations)
    assert exploration.violations


@pytest.mark.parametrize("kind", ["files", "folders", "metrics"])
def test_a_run_without_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    with monkeypatch.context() as patch:
        leave_out(patch, kind)
        training = Training.record(train_alone, tmp_path / "disk")
    exploration = CrashStates(training.recorder).explore("run", training.check, tmp_path, stop_at=1)
    print(*exploration.violations)
    assert exploration.violations
