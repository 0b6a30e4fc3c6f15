"""`torchrun -m text_uda.cli train`: two processes share each batch, and come to the weights of one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import as_group
from safetensors.torch import load_file

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

pytestmark = pytest.mark.slow

# In the step, a state, an average, no dropout: of several processes each has its own.
WORDS = ["--labels", "6", "--augment", "uniform", "--rate", "0.3", "--objective", "mean-teacher", "--dropout", "0"]
LOOP = ["--steps", "20", "--evaluate-every", "7", "--labeled-batch", "4", "--learning-rate", "1e-3"]


def torchrun(processes: int, *words: object) -> subprocess.CompletedProcess:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launcher, "-m", "text_uda.cli", *map(str, words)]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def words(reviews, tiny_bert) -> list[object]:
    return ["train", reviews, *WORDS, *LOOP, "--encoder", tiny_bert]


def metrics_of(run: Path, kind: str) -> list[dict]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


@pytest.fixture(scope="module")
def runs(words, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("processes")
    for processes, start in ((1, as_group), (2, torchrun)):
        done = start(processes, *words, "--refit", "--out", folder / str(processes))
        assert done.returncode == 0, done.stderr
        assert [done.stdout.count(words) for words in ("the run is in", "forward passes")] == [1, 1], "one speaks"
    return folder / "1", folder / "2"


@pytest.mark.parametrize("part", ["", "refit"])
def test_two_processes_come_to_the_weights_of_one(runs, part):
    one, two = (load_file(run / part / "model" / "model.safetensors") for run in runs)
    first = json.loads((runs[1] / "config.json").read_text())["machine"]
    assert first["processes"] == 2 and one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-5, rtol=1e-4, msg=name)


def test_they_tell_of_the_whole_batch(runs):
    one, two = (metrics_of(run, "train") for run in runs)
    assert [record["step"] for record in two] == [1, 11]
    for alone, together in zip(one, two, strict=True):
        for name in ("loss", "supervised", "changed", "unlabeled_loss"):
            assert together[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-5), name
    errors = [[look["error"] for look in metrics_of(run, "dev")] for run in runs]
    assert errors[0] == errors[1]


def test_a_run_of_two_processes_that_was_stopped_goes_on_to_the_same_bytes(words, runs, tmp_path):
    run = tmp_path / "run"
    stopped = as_group(2, *words, "--out", run, "--max-minutes", "0.000001")
    assert stopped.returncode != 0 and "stopped after step 1 of 20 (limit of 1e-06 minutes)" in stopped.stderr
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000001"]
    done = as_group(2, *words, "--out", run)
    assert done.returncode == 0, done.stderr
    weights = [each / "model" / "model.safetensors" for each in (run, runs[1])]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_what_one_process_refuses_all_refuse(words, runs):
    done = as_group(2, *words, "--out", runs[1], "--seed", "1")
    assert done.returncode != 0
    assert "holds a run with other settings" in done.stderr


def test_processes_that_would_not_train_together_are_refused(split_of_two, tiny_bert, tmp_path, monkeypatch):
    """As under `torchrun` on a machine without a GPU, where accelerate has to be told that it is meant for CPUs."""
    monkeypatch.setattr("text_uda.distributed.processes", lambda: 2)
    with pytest.raises(SettingsError, match="2 processes are running, and accelerate sees 1: on CPUs set ACCELERATE"):
        train(
            split_of_two,
            objectives=(Supervised(),),
            settings=TrainSettings(encoder=str(tiny_bert)),
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_the_process_group_ends_before_the_interpreter():
    """Its threads can outlive the last collective, and abort a process that shuts down under them."""
    lines = [
        "import atexit, torch.distributed as dist",
        "from accelerate import Accelerator",
        "from text_uda import distributed",
        "accelerator = Accelerator()",
        "atexit.register(lambda: print('a group:', dist.is_initialized()))",
        "distributed.check(accelerator)",
        "assert dist.is_initialized()",
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launcher, sys.executable, "-c", "\n".join(lines)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a group: False") == 2, done.stdout


def test_columns_are_shared_among_two_processes(reviews, tiny_bert, tmp_path):
    """The draws of column dropout are those of the whole batch, and each process has the columns of its rows."""
    lines = reviews.read_text().splitlines()
    with_length = [f"{lines[0]}\tlength", *(f"{line}\t{len(line)}" for line in lines[1:])]
    (tmp_path / "reviews.tsv").write_text("\n".join(with_length) + "\n")
    columns = ["--numeric", "length", "--fusion", "late", "--column-dropout", "0.3", "--fusion-learning-rate", "0.01"]
    for processes in (1, 2):
        words = ["train", tmp_path / "reviews.tsv", *columns, *WORDS, *LOOP, "--encoder", tiny_bert]
        done = as_group(processes, *words, "--out", tmp_path / str(processes))
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / run / "model" / "text_and_columns.safetensors") for run in "12")
    assert one.keys() == two.keys() and one["fusion.of_columns.output.weight"].abs().max() > 0.01
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-5, rtol=1e-4, msg=name)
    modes = [json.loads((tmp_path / run / "result.json").read_text())["modes"] for run in "12"]
    assert modes[0] == modes[1]


@pytest.fixture
def split_of_two() -> Split:
    rows = Rows(("good", "bad"), (0, 1))
    return Split("test", ("good", "bad"), rows, ("fine",), rows, rows, "0" * 32)


def test_pretraining_in_two_processes_comes_to_the_weights_of_one(reviews, tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path / "encoder")
    config = tmp_path / "encoder" / "config.json"
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | without))
    options = ["--encoder", tmp_path / "encoder", "--steps", "8", "--tokens-per-step", "512", "--learning-rate", "1e-3"]
    for processes in (1, 2):
        done = as_group(processes, "pretrain", reviews, *options, "--out", tmp_path / str(processes))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("held-out perplexity") == 1, "one process speaks"
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in "12")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-5, rtol=1e-4, msg=name)
    losses = [[look["loss"] for look in metrics_of(tmp_path / name, "dev")] for name in "12"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and losses[0][-1] < losses[0][0]
