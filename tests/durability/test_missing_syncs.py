"""The simulation sees what it is there for: with a sync taken out on purpose, a state is not as expected."""

from pathlib import Path

import pytest
import test_cache
from exploring import CrashStates

from translation_cache import atomic


def leave_out(patch: pytest.MonkeyPatch, *, folders: bool) -> None:
    """Take out the sync of each file, or of each folder, in the module that writes."""
    sync = atomic.sync
    patch.setattr(atomic, "sync", lambda path: None if path.is_dir() == folders else sync(path))


@pytest.mark.parametrize(("folders", "loss"), [(False, "damaged"), (True, "an acknowledged row is lost")])
def test_the_cache_without_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: bool, loss: str) -> None:
    monkeypatch.setattr(test_cache.compaction, "MIN_SMALL_FILES", 3)
    with monkeypatch.context() as patch:
        leave_out(patch, folders=folders)
        recorder, acknowledged = test_cache.record(tmp_path / "disk")
    exploration = CrashStates(recorder).explore(
        "cache", lambda disk, count: test_cache.check(disk, acknowledged, count), tmp_path, stop_at=1
    )
    print(*exploration.violations)
    assert exploration.violations
