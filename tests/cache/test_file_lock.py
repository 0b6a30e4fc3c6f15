"""The lock between processes, and what it does where it cannot lock."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from translation_cache.file_lock import exclusive_lock

HOLD = "from pathlib import Path; import sys, time\nfrom translation_cache.file_lock import exclusive_lock\n"
HOLD += "with exclusive_lock(Path(sys.argv[1]), wait_s=0) as locked:\n    print(locked, flush=True); time.sleep(60)"


def test_a_second_holder_is_kept_away_until_the_first_is_killed(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        started = time.monotonic()
        with exclusive_lock(path, wait_s=0.3) as locked:
            assert not locked and time.monotonic() - started >= 0.3
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with exclusive_lock(path, wait_s=5) as locked:
            assert locked
    finally:
        holder.kill()
        holder.communicate()


def test_a_link_is_neither_followed_nor_truncated(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "lock").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(OSError) as refused, exclusive_lock(tmp_path / "lock", wait_s=0):
        pass
    assert refused.value.errno == errno.ELOOP
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    import fcntl

    def no_locks(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with exclusive_lock(tmp_path / "lock", wait_s=0) as locked:
        assert locked
    assert "has no locks; run one process at a time" in caplog.text


def test_an_earlier_filelock_says_otherwise_that_there_are_no_locks(tmp_path, monkeypatch, caplog):
    def no_locks(*_arguments: object, **_named: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock; use SoftFileLock instead")

    monkeypatch.setattr(FileLock, "acquire", no_locks)
    with exclusive_lock(tmp_path / "lock", wait_s=0) as locked:
        assert locked
    assert "has no locks; run one process at a time" in caplog.text


def test_an_error_inside_passes_and_frees_the_lock(tmp_path: Path):
    with pytest.raises(KeyError), exclusive_lock(tmp_path / "lock", wait_s=0):
        raise KeyError
    with exclusive_lock(tmp_path / "lock", wait_s=0) as locked:
        assert locked
