"""The engine on Ray: the same rows as on this machine's processes, and a death costs a block."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from contents import content
from jobs import DyingOnce, Failing, Upper

from translation_cache import Cache, CacheError, fill, verify

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TEXTS = [f"text {number}" for number in range(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster that runs already, with two logical CPUs more than there are workers."""
    import logging
    import warnings

    from translation_cache import on_ray

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in on_ray._ENVIRONMENT.items():
            patch.setenv(name, value)
        import ray

        path = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
        handler = signal.getsignal(signal.SIGTERM)
        ray.init(
            address="local",
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=100 << 20,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env=path,
        )
        signal.signal(signal.SIGTERM, handler)  # Ray's exits without a word, in the tests of other files too
        try:
            yield
        finally:
            ray.shutdown()


@pytest.fixture
def whole(tmp_path: Path) -> list[tuple]:
    local = Cache(tmp_path / "local")
    fill(local, Upper(), [*TEXTS, "bad"], samples=2)
    return content(local)


def test_the_same_rows_as_on_one_process(cluster: None, tmp_path: Path, whole: list[tuple]):
    cache = Cache(tmp_path / "ray")
    fill(cache, Upper(), TEXTS[:40])
    seen: list[tuple[int, int]] = []
    report = fill(
        cache,
        Upper(),
        [*TEXTS, "bad"],
        samples=2,
        engine="ray",
        workers=2,
        batch_size=7,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.requested, report.present, report.computed) == (602, 40, 562)
    assert content(cache) == whole and seen[0] == (40, 602) and seen[-1] == (602, 602) and len(seen) > 4
    assert fill(cache, Upper(), TEXTS, samples=2, engine="ray").computed == 0


def test_a_worker_that_is_killed_costs_its_block(cluster: None, tmp_path: Path, whole: list[tuple]):
    cache, memory = Cache(tmp_path / "ray"), tmp_path / "memory"
    texts = [*TEXTS[:150], "bad", *TEXTS[150:]]
    report = fill(cache, DyingOnce(memory=str(memory)), texts, samples=2, engine="ray", workers=2, batch_size=100)
    assert report.computed == 602 and content(cache) == whole
    calls = Counter(memory.read_text().splitlines())
    assert calls.pop("died") == 1
    assert sorted(calls.values())[-2:] == [1, 2] and sum(calls.values()) < 20, "one block was made again"


def test_an_error_of_the_job_is_told_and_what_was_made_is_kept(cluster: None, tmp_path: Path):
    from translation_cache.errors import WorkerError

    cache = Cache(tmp_path / "ray")
    with pytest.raises(WorkerError, match=r"^RuntimeError: broken$"):
        fill(cache, Failing(), [*TEXTS, "bad"], engine="ray", workers=1, batch_size=20)
    report = fill(cache, Upper(), [*TEXTS, "bad"])
    assert report.present >= 20 and report.computed > 0 and verify(cache)["damaged"] == []


@pytest.mark.parametrize(("gpus", "workers"), [(1, 1), (8, 3), (8, 8), (2, 3), (1, 3), (1, 6), (8, 64), (3, 50)])
def test_every_worker_finds_room_on_the_gpus(gpus: int, workers: int):
    from translation_cache.on_ray import _gpu_share

    share = round(_gpu_share(gpus, workers) * 10_000)
    assert 0 < share <= 10_000 and gpus * (10_000 // share) >= workers


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from jobs import Upper
from translation_cache import Cache, fill
if __name__ == "__main__":
    texts = [*(f"text {{number}}" for number in range(300)), "bad"]
    fill(Cache({path!r}), Upper(pause_s=0.3), texts, samples=2, engine="ray", workers=2, batch_size=50)
"""


def test_a_driver_that_is_killed_goes_on_from_what_was_committed(tmp_path: Path, whole: list[tuple]):
    """It starts a cluster of its own, which ends by itself when its driver is gone."""
    path = tmp_path / "ray"
    script = SCRIPT.format(here=str(HERE), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, cwd=HERE.parents[1], text=True)
    while process.poll() is None and len(list(path.rglob("*.parquet"))) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    time.sleep(3)  # its actors may finish the block that they are at
    assert verify(Cache(path))["damaged"] == []
    report = fill(Cache(path), Upper(), [*TEXTS, "bad"], samples=2)
    assert 0 < report.present < 602 and report.computed == 602 - report.present
    assert content(Cache(path)) == whole


def test_without_ray_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CacheError, match=r"pip install 'text-uda\[ray\]'"):
        fill(Cache(tmp_path / "ray"), Upper(), TEXTS, engine="ray")
