"""A writer is killed before the last sync of a file that is seen already; a later call relies on it; then a cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
from contents import content
from exploring import CrashStates
from jobs import Upper
from recording import Recorder

from translation_cache import Cache, atomic, fill, merge

TEXTS = ["one", "two", "three"]


def fill_again(disk: Path) -> None:
    assert fill(Cache(disk / "cache"), Upper(), TEXTS).computed == 0


def merge_again(disk: Path) -> None:
    other = Cache(disk / "other")
    fill(other, Upper(), TEXTS)
    assert merge(Cache(disk / "cache"), other)["files"] == 0


@pytest.mark.parametrize("again", [fill_again, merge_again], ids=lambda again: again.__name__)
def test_what_a_later_call_has_seen_is_durable_when_it_returns(tmp_path: Path, again: Callable[[Path], None]) -> None:
    disk, sync = tmp_path / "disk", atomic.sync
    disk.mkdir()
    recorder = Recorder(disk)

    def killed(path: Path) -> None:
        if path.is_dir() and list(path.glob("*.parquet")):
            raise KeyboardInterrupt
        sync(path)

    with recorder.recording():
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(atomic, "sync", killed)
            fill(Cache(disk / "cache"), Upper(), TEXTS)
        again(disk)
        recorder.acknowledge()
    whole = content(Cache(disk / "cache"))

    def check(state: Path, acknowledged: int) -> None:
        assert content(Cache(state / "cache")) == whole or not acknowledged, "an acknowledged row is lost"

    CrashStates(recorder).explore(again.__name__, check, tmp_path).assert_whole()
