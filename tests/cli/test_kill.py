"""`text-uda train`, killed in the middle and given again: the same bytes as if nothing had happened."""

import json
import signal
import time
from pathlib import Path

import pytest
from forked import Started, finished

from text_uda.training.metrics import MACHINE_METRICS

pytestmark = pytest.mark.slow

STEPS = 120


@pytest.fixture(scope="module")
def command(reviews, tiny_bert, tmp_path_factory) -> list[str]:
    """Training on cached pairs, without its --out."""
    cache = tmp_path_factory.mktemp("kill") / "cache"
    augment = ["--rate", "0.3", "--cache", str(cache), "--encoder", str(tiny_bert)]
    finished("paraphrase", reviews, "--method", "switchout", *augment)
    steps = ["--steps", str(STEPS), "--evaluate-every", "30", "--checkpoint-every", "20", "--labels", "6"]
    words = ["--confidence-threshold", "0", "--tsa", "log", "--labeled-batch", "4"]
    return ["train", str(reviews), "--augment", "switchout", *augment, *steps, *words]


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("kill") / "undisturbed"
    finished(*command, "--out", run)
    return run


def steps_done(run: Path) -> int:
    lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []
    return sum('"kind": "train"' in line and line.endswith("}") for line in lines) * 10  # one line every ten steps


def decided(run: Path) -> list:
    """All that the settings decide: weights, metrics, result; times are not that."""
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    for record in (*metrics, result):
        for name in (*MACHINE_METRICS, "seconds", "cpu_seconds", "run"):
            record.pop(name, None)
    return [(run / "model" / "model.safetensors").read_bytes(), metrics, result]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_goes_on_to_the_same_bytes(command, undisturbed, tmp_path, how):
    run = tmp_path / "killed"
    process = Started(*command, "--out", run)
    while steps_done(run) < 50 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130), errors
    assert not (run / "result.json").exists(), "it was stopped too late to test anything"
    assert list((run / "checkpoints").glob("step-*"))
    if how is not signal.SIGKILL:
        assert errors.splitlines()[-1].startswith("interrupted: stopped after step ")
    again = finished(*command, "--out", run)
    assert f"/{STEPS} steps" in again.stderr
    assert decided(run) == decided(undisturbed)
