"""Training, and what has to be there of it after a power cut."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from make_fixtures import OBJECTIVES, SETTINGS, TEXTS, Reversed, split
from recording import Recorder

from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_files import DAMAGED_METRICS
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training import checkpoint
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.pretrain_settings import PretrainSettings
from text_uda.training.pretraining import pretrain
from text_uda.training.train_classifier import train

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format-0"
_TIMES = ("seconds", "cpu_seconds", "model_files")  # the model card has the seconds

Work = Callable[[], Any]  # writes the run directory `run` in the working directory


def train_and_refit(*, resume: bool = True, refit: bool = True) -> None:
    train(
        split(),
        objectives=OBJECTIVES,
        augmentation=Reversed(),
        cache=FIXTURE / "cache",
        settings=replace(SETTINGS, encoder=str(FIXTURE / "encoder"), steps=6, checkpoint_every=2, evaluate_every=3),
        out="run",
        refit=refit,
        resume=resume,
    )


def train_alone() -> None:
    train_and_refit(refit=False)


def train_again() -> None:
    train_and_refit(resume=False)


def train_two_tasks(*, resume: bool = True) -> None:
    train_tasks(
        {"a": split(), "b": replace(split(), name="others", digest="1" * 32)},
        objectives=OBJECTIVES,
        augmentation=Reversed(),
        cache=FIXTURE / "cache",
        settings=replace(SETTINGS, encoder=str(FIXTURE / "encoder"), steps=4, checkpoint_every=2, evaluate_every=2),
        out="run",
        resume=resume,
    )


def train_two_tasks_again() -> None:
    train_two_tasks(resume=False)


def pretrain_encoder() -> None:
    settings = PretrainSettings(
        encoder=str(FIXTURE / "encoder"),
        steps=6,
        tokens_per_step=64,
        max_tokens=16,
        checkpoint_every=2,
        evaluate_every=3,
        log_every=1,
    )
    pretrain(list(TEXTS), settings=settings, out="run")


def _in(folder: Path, work: Work) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the path of a run is part of its files
        work()


@dataclass(frozen=True)
class Training:
    """A training that came to its end undisturbed, and its record.

    Args:
        root: the folder that holds it.
        rerun: what a user calls after a power cut.
        runs: the paths of the run directories that it leaves there.
        saved: what was acknowledged: the run and the step of each checkpoint, and None for the end.
        before: the files of the runs before the training.
    """

    root: Path
    rerun: Work
    runs: tuple[str, ...]
    recorder: Recorder
    saved: list[tuple[str, int] | None]
    before: dict[str, dict[str, bytes]]

    @staticmethod
    def record(work: Work, root: Path, *, rerun: Work | None = None) -> "Training":
        """
        Args:
            rerun: what was called before, and is called after a power cut, if it is not `work`.
        """
        root.mkdir()
        if rerun is not None:
            _in(root, rerun)
        before = {name: _files(root / name) for name in _runs_in(root)}
        recorder, saved, save = Recorder(root), list[tuple[str, int] | None](), checkpoint.save

        def acknowledged(folder: Path, *arguments: Any, done: int, **options: Any) -> Path:
            path = save(folder, *arguments, done=done, **options)
            saved.append((str(folder.parent), done))
            recorder.acknowledge()
            return path

        with recorder.recording(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "save", acknowledged)
            _in(root, work)
            saved.append(None)
            recorder.acknowledge()
        return Training(root, rerun or work, _runs_in(root), recorder, saved, before)

    def call(self, disk: Path) -> None:
        _in(disk, self.rerun)

    def check(self, disk: Path, acknowledged: int, *, same_process: bool = True) -> None:
        """What says that it is finished is whole; every checkpoint is whole, and none that was saved is lost.

        Args:
            same_process: whether the files are of the recorded training, with its times.
        """
        saved = self.saved[:acknowledged]
        for name in self.runs:
            run = RunDirectory(disk / name)
            run.check_place(resume=True)  # no state needs a user who clears up
            if run.result() is not None:
                if same_process:
                    self._check_whole(disk, name)
                else:
                    self._check_equal(disk, name)
                continue
            assert None not in saved, "a finished run is lost"
            checkpoint.set_damaged_aside(run.checkpoints, run.metrics)
            steps = [int(path.name.removeprefix("step-")) for path in run.checkpoints.glob("step-*")]
            damaged = [path.name for path in run.checkpoints.glob("damaged-*")]
            assert not damaged, "a checkpoint is damaged"
            assert not (run.path / DAMAGED_METRICS).exists(), "metrics of a checkpoint are lost"
            known = json.loads((run.checkpoints / f"step-{max(steps):08d}" / "state.json").read_text()) if steps else {}
            assert run.metrics.exists() or not (known.get("metrics") or {}).get("bytes"), "the metrics are lost"
            last = max((step for entry, step in filter(None, saved) if entry == name), default=0)
            assert max(steps, default=0) >= last, "a checkpoint is lost"

    def _check_whole(self, disk: Path, name: str) -> None:
        RunDirectory(disk / name).check_model()
        present = _files(disk / name)
        wholes = [_files(self.root / name), *([self.before[name]] if name in self.before else [])]
        differences = [{file for file in whole if present.get(file) != whole[file]} for whole in wholes]
        differences = [{file for file in files if not file.startswith("refit/")} for files in differences]
        assert not all(differences), f"it says that it is finished, and these are not whole: {differences}"

    def check_rerun(self, disk: Path, acknowledged: int) -> None:
        """The same command ends with the same files as without the power cut."""
        self.check(disk, acknowledged)
        self.call_and_check(disk)

    def call_and_check(self, disk: Path) -> None:
        self.call(disk)
        for name in self.runs:
            self._check_equal(disk, name)
            other_files = _files(disk / name).keys() ^ _files(self.root / name).keys()
            assert not other_files, f"other files: {other_files}"

    def _check_equal(self, disk: Path, name: str) -> None:
        """The run is finished, with the same files but for times."""
        run, undisturbed = disk / name, self.root / name
        RunDirectory(run).check_model()
        assert _result(run) == _result(undisturbed), "another result"
        assert _metrics(run) == _metrics(undisturbed), "other metrics"
        present = _files(run)
        for file, content in _files(undisturbed).items():
            if file.startswith("model/") and file != "model/README.md":  # it has the seconds
                assert present.get(file) == content, f"{file} is not the same"
            assert file in present or file.startswith("refit/"), f"{file} is missing"


def _runs_in(root: Path) -> tuple[str, ...]:
    return tuple(str(path.parent.relative_to(root)) for path in sorted(root.rglob("result.json")))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _result(run: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads((run / "result.json").read_text()).items() if name not in _TIMES}


def _metrics(run: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in MACHINE_METRICS} for record in records]
