"""Killed at each single step on the disk, in a commit and in a compaction: no row that was acknowledged is lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from contents import content
from jobs import Upper

from translation_cache import Cache, compact, fill, verify

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Counts what changes the disk, and dies before the N-th such step.
SCRIPT = """
import os, signal, sys
sys.path.insert(0, {here!r})
from jobs import Upper
from translation_cache import Cache, compact, fill

left = {steps}
def counted(step):
    def then(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return step(*arguments, **options)
    return then
for name in ("mkdir", "open", "fsync", "chmod", "replace", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
cache = Cache({path!r})
for start in range(0, 40, 10):
    fill(cache, Upper(), [f"text {{number}}" for number in range(start, start + 10)])
    os.write(1, b"filled\\n")
compact(cache)
os.write(1, b"compacted\\n")
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list:
    cache = Cache(tmp_path_factory.mktemp("whole") / "cache")
    fill(cache, Upper(), [f"text {number}" for number in range(40)])
    return content(cache)


@pytest.mark.slow
def test_at_every_step(tmp_path: Path, whole: list):
    told = ""
    for steps in range(200):
        path = tmp_path / str(steps)
        script = SCRIPT.format(here=str(HERE), path=str(path), steps=steps)
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT).stdout
        cache = Cache(path)
        assert verify(cache)["damaged"] in (
            [],
            [
                {
                    "file": f"{path}/{next(iter(cache.fingerprints()), '')}/_settings.json",
                    "reason": "the file is missing",
                }
            ],
        )
        kept = content(cache)
        assert set(kept) <= set(whole) and len(kept) >= 10 * told.count("filled")
        fill(cache, Upper(), [f"text {number}" for number in range(40)])
        compact(cache)
        assert (
            content(cache) == whole
            and verify(cache)["damaged"] == []
            and len(cache.shards(cache.fingerprints()[0])) == 1
        )
        if "compacted" in told:
            break
    assert "compacted" in told and steps > 40, "too few steps were seen to show anything"


@pytest.mark.slow
def test_killed_at_random_with_several_writers():
    """The short form of the script, which says what it does."""
    done = subprocess.run(
        [sys.executable, "scripts/kill_cache.py", "--rounds", "5"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal          True" in done.stdout
