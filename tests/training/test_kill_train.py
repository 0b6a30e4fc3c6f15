"""The short form of scripts/kill_train.py, which says what it does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["uda", "joint"])
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_bytes(method):
    """It is killed at least once where a checkpoint is there, or is written, so that one is read."""
    command = [sys.executable, "scripts/kill_train.py", "--rounds", "1", "--seed", "1", "--method", method, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["equal"] is True and found["different"] == found["failed"] == []
    assert found["kills"] == sum(found["phases"].values()) >= 1
