"""A power cut at each step of a training: a run that says it is finished is whole, all others resume to the same end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exploring import CrashStates
from make_fixtures import OBJECTIVES, SETTINGS, Reversed, split
from recording import Recorder

from text_uda.runs.directory import RunDirectory
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.train_classifier import train

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format-0"
TIMES = ("seconds", "cpu_seconds", "model_files")  # the model card has the seconds


def train_in(disk: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(disk)  # the path of the run is part of its files
        return train(
            split(),
            objectives=OBJECTIVES,
            augmentation=Reversed(),
            cache=FIXTURE / "cache",
            settings=replace(SETTINGS, encoder=str(FIXTURE / "encoder"), steps=6, checkpoint_every=2, evaluate_every=3),
            out="run",
            refit=True,
        )


def record(root: Path) -> Recorder:
    root.mkdir()
    recorder = Recorder(root)
    with recorder.recording():
        train_in(root)
        recorder.acknowledge()
    return recorder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def result(run: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads((run / "result.json").read_text()).items() if name not in TIMES}


def metrics(run: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in MACHINE_METRICS} for record in records]


def check_finished(undisturbed: Path, disk: Path, acknowledged: int) -> None:
    """What says that it is finished has every file of the undisturbed run."""
    for name in ("run", "run/refit"):
        says_finished = RunDirectory(disk / name).result() is not None
        assert says_finished or not acknowledged, "a finished run is lost"
        if says_finished:
            present, whole = files(disk / name), files(undisturbed / name)
            for file, content in whole.items():
                assert file.startswith("refit/") or present.get(file) == content, f"{file} is not whole"


def check_rerun(undisturbed: Path, disk: Path, acknowledged: int) -> None:
    """The same command ends with the same model, metrics and result as without the power cut."""
    check_finished(undisturbed, disk, acknowledged)
    train_in(disk)
    for name in ("run", "run/refit"):
        run, whole = disk / name, undisturbed / name
        assert result(run) == result(whole) and metrics(run) == metrics(whole)
        present, expected = files(run), files(whole)
        assert present.keys() == expected.keys()
        for file in expected:
            if file.startswith("model/") and file != "model/README.md":  # it has the seconds
                assert present[file] == expected[file], f"{file} is not the same"


def is_finished(tree: dict[str, bytes | None]) -> bool:
    return "run/result.json" in tree or "run/refit/result.json" in tree


def test_a_run_survives_a_power_cut_at_each_step(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    states = CrashStates(record(disk))
    finished = states.explore(
        "finished run", lambda state, count: check_finished(disk, state, count), tmp_path, most=200, where=is_finished
    )
    rerun = states.explore(
        "run", lambda state, count: check_rerun(disk, state, count), tmp_path, most=6, exhaustive=400
    )
    finished.assert_whole()
    rerun.assert_whole()
