"""The workers of `fill` end with the process that started them, whatever ends it."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from translation_cache import Cache, verify

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from jobs import Waiting
from translation_cache import Cache, fill
if __name__ == "__main__":
    def progress(done, total):
        with open({pipe!r}, "w") as file:
            file.write(f"{{done}} of {{total}}\\n")
    texts = [f"text {{n}}" for n in range(8)]
    job = Waiting(pipe={pipe!r})
    fill(Cache({path!r}), job, texts, workers=2, batch_size=1, commit_every_s=600, progress=progress)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_is_left_behind(tmp_path: Path, how: signal.Signals):
    """Workers, the programs that they start and the resource tracker hold the error stream: at its end none is left."""
    pipe, path = tmp_path / "at-work", tmp_path / "cache"
    os.mkfifo(pipe)
    script = SCRIPT.format(here=str(Path(__file__).parent), path=str(path), pipe=str(pipe))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    with open(os.open(pipe, os.O_RDWR), encoding="utf-8") as lines:  # also a writer, so that it has no end
        expected = {"0 of 8": 1, "1 of 8": 1, "2 of 8": 1, "at work": 2}
        assert Counter(next(lines).strip() for _ in range(5)) == expected  # both are in the middle of a batch
        process.send_signal(how)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == -how, errors
    assert len(list(path.rglob("*.parquet"))) == (0 if how is signal.SIGKILL else 1), "finished rows are committed"
    assert [*verify(Cache(path))["damaged"]] == [] and b"Process" not in errors, "no traceback of a worker"
