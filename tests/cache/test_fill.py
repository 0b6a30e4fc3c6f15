"""Filling: only what is missing, in any way the same, and nothing lost when it is stopped."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from contents import content
from jobs import Dying, Failing, Numbered, Upper

from translation_cache import Cache, CacheError, fill, fingerprint, verify
from translation_cache.atomic import PREFIX
from translation_cache.lifeline import Lifeline

TEXTS = [f"text {number}" for number in range(100)]


def test_only_what_is_missing_is_made(cache: Cache):
    first = fill(cache, Upper(), TEXTS[:60], batch_size=7)
    assert (first.requested, first.present, first.computed, first.rejected) == (60, 0, 60, {"unchanged": 60})
    second = fill(cache, Upper(), [*TEXTS, *TEXTS], samples=2)
    assert (second.requested, second.present, second.computed) == (200, 60, 140)
    assert fill(cache, Upper(), TEXTS, samples=2).computed == 0
    assert fill(cache, Upper(seed=1), TEXTS).present == 0, "other settings, other rows"


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path: Path):
    alone, shared = Cache(tmp_path / "alone"), Cache(tmp_path / "shared")
    fill(alone, Upper(), TEXTS, samples=2)
    report = fill(shared, Upper(), TEXTS, samples=2, workers=2, batch_size=9)
    assert report.computed == 200 and content(alone) == content(shared)


@pytest.mark.slow
def test_each_of_several_workers_is_told_its_number(tmp_path: Path):
    told = tmp_path / "told"
    told.mkdir()
    fill(Cache(tmp_path / "alone"), Numbered(folder=str(told)), TEXTS)
    assert not list(told.iterdir()), "a process that works alone is no worker"
    fill(Cache(tmp_path / "shared"), Numbered(folder=str(told)), TEXTS, workers=2, batch_size=9)
    assert sorted(path.name for path in told.iterdir()) == ["0 of 2", "1 of 2"]


def test_progress_begins_with_what_is_there(cache: Cache):
    fill(cache, Upper(), TEXTS[:50])
    seen: list[tuple[int, int]] = []
    fill(cache, Upper(), TEXTS, batch_size=25, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(50, 100), (75, 100), (100, 100)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_made_is_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]):
    calls = []

    def breaking(self, sources, samples):
        if len(calls) == 3:
            raise error
        calls.append(sources)
        return make(self, sources, samples)

    make = Upper.__call__
    with monkeypatch.context() as patch:
        patch.setattr(Upper, "__call__", breaking)
        with pytest.raises(error):
            fill(cache, Upper(), TEXTS, batch_size=10)
    assert fill(cache, Upper(), TEXTS).present == 30


def test_ctrl_c_in_the_progress_bar_keeps_what_was_made(cache: Cache):
    def interrupted(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    try:
        fill(cache, Upper(), TEXTS, batch_size=10, progress=interrupted)
    except KeyboardInterrupt:
        assert fill(cache, Upper(), TEXTS).present == 10, "before the exception is forgotten"


def test_a_job_that_breaks_is_not_hidden(cache: Cache):
    with pytest.raises(RuntimeError, match="broken"):
        fill(cache, Failing(), ["a", "bad", "c"], batch_size=1)
    assert fill(cache, Upper(), ["a", "c"]).present == 1


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_what_was_made_is_kept(cache: Cache):
    with pytest.raises(CacheError, match="worker process died"):
        fill(cache, Dying(), [*TEXTS, "bad"], workers=2, batch_size=1)
    assert verify(cache)["damaged"] == []
    assert fill(cache, Upper(), TEXTS).present > 0


@pytest.mark.slow
def test_the_workers_of_a_broken_pool_are_ended_before_they_are_waited_for(cache: Cache, monkeypatch):
    """They ignore SIGTERM, and a pool of Python 3.12 and later sends them nothing else."""
    calls = list[str]()
    for owner, name in ((Lifeline, "close"), (ProcessPoolExecutor, "shutdown")):
        method = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, method=method, name=name, **named: (calls.append(name), method(*args, **named))
        )
    with pytest.raises(CacheError, match="worker process died"):
        fill(cache, Dying(), [*TEXTS, "bad"], workers=2, batch_size=1)
    assert calls[:2] == ["close", "shutdown"]


def test_shards_are_written_as_time_and_bytes_go(cache: Cache):
    fill(cache, Upper(), TEXTS, batch_size=10, commit_bytes=1)
    assert len(cache.shards(fingerprint(Upper().settings()))) == 10
    fill(cache, Upper(seed=1), TEXTS, batch_size=10, commit_every_s=0)
    assert len(cache.shards(fingerprint(Upper(seed=1).settings()))) == 10


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_once_and_nothing_is_lost(cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int):
    fill(cache, Upper(), TEXTS[:50])
    before = content(cache)

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CacheError, match="is full; free some space"):
            fill(cache, Upper(), TEXTS, batch_size=10, commit_bytes=1)
    assert content(cache) == before and not list(Path(str(cache)).rglob(f"{PREFIX}*"))
    assert fill(cache, Upper(), TEXTS).computed == 50


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        cache = Cache(disk / "cache")
        many = [f"{number} {os.urandom(200).hex()}" for number in range(1000)]
        with pytest.raises(CacheError, match="is full; free some space"):
            fill(cache, Upper(), many, batch_size=10, commit_bytes=1)
        assert verify(cache)["damaged"] == []
        kept = len(content(cache))
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert kept > 0 and fill(cache, Upper(), many).present == kept
    finally:
        subprocess.run(["umount", str(disk)], check=True)


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from jobs import Upper
from translation_cache import Cache, fill
fill(Cache({path!r}), Upper(pause_s=0.02), [f"text {{n}}" for n in range(100)], batch_size=2, commit_every_s=0.1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_it_goes_on_to_the_same_rows(tmp_path: Path, how: signal.Signals):
    whole, killed = Cache(tmp_path / "whole"), Cache(tmp_path / "killed")
    fill(whole, Upper(), TEXTS)
    script = SCRIPT.format(here=str(Path(__file__).parent), path=str(killed))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    while process.poll() is None and len(list(Path(str(killed)).rglob("*.parquet"))) < 2:
        time.sleep(0.005)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == -how
    assert verify(killed)["damaged"] == []
    report = fill(killed, Upper(), TEXTS)
    assert 0 < report.present < len(TEXTS), "it was stopped too early or too late to show anything"
    assert content(killed) == content(whole)
