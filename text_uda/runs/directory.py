"""The run directory: everything that a run leaves, and the only input of reports. `run_files` lists the names.

config.json           a marker and the configuration and its provenance: settings, digests, versions, code revision
metrics.jsonl         one line for each logged step and for each evaluation on the development rows
examples.jsonl        some of the unlabeled pairs
test_examples.jsonl   some of the test rows with the predictions of the chosen weights
dev_predictions.jsonl label, predicted class and its probability of each development row
seen_texts.npz        a hash of each text that the run used
diverged.json         the step, terms and rows of a loss or gradient that was not finite, if there was one
result.json           errors, scores of classes, confusion, calibration, coverage, digests of model/; written last
checkpoints/          the newest checkpoint, until the run is finished
tokens/               token ids of data sets too large for memory, until the run is finished
model/                an ordinary transformers folder with the chosen weights
refit/                the run directory of a refit, a model trained on every label, where one was requested
tasks/NAME/           of a run of several tasks: the run directory of each task, with its model
.lock                 held while a call writes here

A run that has a result.json is finished: all its other files are durable before that one.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_uda.errors import OtherRunError, SettingsError, listed
from text_uda.runs.decisive_settings import changes, has_earlier_head
from text_uda.runs.file_names import check_name
from text_uda.runs.model_files import check_model, digests
from text_uda.runs.run_files import (
    FORMAT,
    LOCK,
    MARKER,
    inputs_among,
    is_config_of_run,
    remove_folder,
    remove_own,
    remove_unfinished,
    sort_entries,
)
from translation_cache.atomic import PREFIX, make_folder, sync, unfinished_name, write_whole

log = logging.getLogger("text_uda")

if TYPE_CHECKING:
    from text_uda.model.precision import Precision, ResolvedPrecision

PRETRAINING = "pretrain"  # the `method` of a run that trains an encoder
REFIT = "refit"  # the folder of the refit inside the run directory
TASKS = "tasks"  # the folder of the run directories of several tasks


@dataclass(frozen=True)
class RunDirectory:
    path: Path

    def __post_init__(self) -> None:
        check_name(self.path)

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tokens(self) -> Path:
        return self.path / "tokens"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def dev_predictions(self) -> Path:
        return self.path / "dev_predictions.jsonl"

    def check_place(self, *, resume: bool) -> None:
        """Raise SettingsError where the folder is not one to write this run to; writes nothing itself.

        It is new or empty, or a run directory. Beside a run that resumes, other files may lie, but not in model/, which
        the end of the run replaces.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SettingsError(f"{self.path} is a file; name a folder for the run")
        if not self.path.exists():
            if self.path.is_symlink():
                raise SettingsError(f"{self.path} is a symbolic link to nothing; name a folder for the run")
            return
        own, others = sort_entries(self.path)
        if not (self.path / "config.json").exists():
            hidden = [path for path in own if path.parent == self.path and path.name.startswith(".")]
            others += [path for path in own if not any(path.is_relative_to(one) for one in hidden)]
            if others:
                raise SettingsError(
                    f"{self.path} holds files that are not of a run ({_names(others, self.path)}); name an empty folder"
                    " for the run"
                )
            return
        if not is_config_of_run(self.config()):
            raise SettingsError(
                f"{self.path} holds files that are not of a run (no run of text-uda wrote its config.json); name an"
                " empty folder for the run"
            )
        if resume:
            others = [path for path in others if path.is_relative_to(self.model) and not self._has_result()]
        if others:
            raise SettingsError(
                f"{self.path} holds files that no run wrote, which are not removed ({_names(others, self.path)}): move"
                " them elsewhere, or name another folder for the run"
            )

    def is_finished(self, config: Mapping[str, Any], *, resume: bool) -> bool:
        """Whether there is nothing to do: with `resume`, the folder holds this run, finished, and its model is whole.

        It writes nothing, so that a finished run can be in a folder that is read only.

        Raises:
            OtherRunError: the folder holds a run with other settings.
            SettingsError: it holds other files, or the model is damaged.
        """
        self.check_place(resume=resume)
        if not resume or not self._has_result():
            return False
        self._check_same(config)
        self.check_model()
        return True

    def open(self, config: Mapping[str, Any], *, resume: bool, inputs: Iterable[Path] = ()) -> bool:
        """Start or resume the run with this configuration. Returns whether it starts here.

        Args:
            inputs: files and folders that the call reads. Without `resume`, none of them is removed.
        Raises:
            SettingsError: the folder holds other files, or an input.
            OtherRunError: it holds a run with other settings.
        """
        self.check_place(resume=resume)
        is_run = (self.path / "config.json").exists()
        if is_run and resume:
            self._check_same(config)
        if self.path.exists():
            remove_unfinished(self.path)
        if is_run and resume:
            return False
        if is_run:
            self._remove_run(inputs)
        make_folder(self.path)
        self.write("config.json", {MARKER: FORMAT, **config})
        return True

    def open_task(self, name: str, config: Mapping[str, Any]) -> None:
        """Start or resume the run directory of a task, whose settings are those of this run. The end of this run writes
        the model and the result of each task again: until then, no task is finished.

        Raises:
            SettingsError: its folder holds other files.
            OtherRunError: it holds a run with other settings.
        """
        task = self.task(name)
        is_run = (task.path / "config.json").exists()
        if is_run:
            task._check_same({**config, "machine": task.config().get("machine")})  # this run says where it differs
            (task.path / "result.json").unlink(missing_ok=True)
            sync(task.path)
        task.check_place(resume=True)
        remove_unfinished(task.path)
        if not is_run:
            make_folder(task.path)
            task.write("config.json", {MARKER: FORMAT, **config})

    def check_is_no_task(self) -> None:
        """Raise SettingsError for the folder of a task, where the run of several tasks writes, under its lock."""
        path = self.path.absolute()
        run = RunDirectory(path.parent.parent)
        if path.parent.name == TASKS and run.is_run() and path in [task.path for task in run.task_directories()]:
            raise SettingsError(f"{self.path} is a task of the run {run.path}: name another folder for this run")

    def discard(self) -> None:
        """Remove a run that has not begun, so that a corrected call does not meet its settings."""
        remove_own(self.path, keep=(LOCK,))

    def _check_same(self, config: Mapping[str, Any]) -> None:
        earlier = self.config()
        if different := changes(earlier, json.loads(json.dumps(config))):
            raise OtherRunError(self.path, different)
        if not self._has_result() and earlier.get("machine") not in (None, config.get("machine")):
            log.warning(
                "%s started with %s and resumes with %s: the results will not be the same to the bit",
                self.path,
                _listed(earlier["machine"]),
                _listed(config.get("machine") or {}),
            )

    def _remove_run(self, inputs: Iterable[Path]) -> None:
        """Remove the files of the run but its config.json, which the next one replaces: a kill leaves a run."""
        own, _ = sort_entries(self.path)
        if read := inputs_among(own, inputs, self.path):
            raise SettingsError(
                f"{read[0]} is an input of this call and lies in the run {self.path}, which --no-resume (resume=False)"
                " would remove: name another folder for the run"
            )
        for result in (path for path in own if path.name == "result.json"):  # before the files that it stands for
            result.unlink()
            sync(result.parent)
        remove_own(self.path, keep=("config.json", LOCK))

    def check_head(self, *, tune: str, linear: Callable[[], bool]) -> None:
        """Raise OtherRunError where an earlier version started the run with a head that this version does not make.

        Args:
            linear: whether the encoder gets a linear head; called only where there is an earlier run.
        """
        if (self.path / "config.json").exists() and has_earlier_head(self.config()) and (tune == "head" or linear()):
            raise OtherRunError(
                self.path, ["head: of a run of an earlier version, whose head is not linear as in this version"]
            )

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        write_whole(self.path / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def write_test_examples(self, lines: str) -> None:
        write_whole(self.path / "test_examples.jsonl", lines)

    def write_dev_predictions(self, lines: str) -> None:
        write_whole(self.dev_predictions, lines)

    def finish(self, result: Mapping[str, Any]) -> dict[str, str]:
        """Write result.json, the last file of a run, then remove checkpoints and token ids; returns the digests of
        model/. Everything else of the run is written before."""
        sync(self.metrics)
        model_files = digests(self.model)
        self.write("result.json", {**result, "model_files": model_files})
        self.remove_scratch()
        return model_files

    def holds_scratch(self) -> bool:
        """Whether there are checkpoints or token ids; in a finished run, a kill has left them."""
        return self.checkpoints.is_dir() or self.tokens.is_dir()

    def remove_scratch(self) -> None:
        """Remove checkpoints and token ids."""
        remove_folder(self.path, "checkpoints")
        remove_folder(self.path, "tokens")

    def config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            SettingsError: it cannot be read, or a later version of text_uda wrote it.
        """
        config = self._read("config.json")
        if isinstance(later := config.get(MARKER), int) and later > FORMAT:
            raise SettingsError(
                f"{self.path} is a run of a later version of text-uda (format {later}, here {FORMAT}): update text-uda"
            )
        return config

    def resolved_precision(self, precision: "Precision", width: int | None, *, resume: bool) -> "ResolvedPrecision":
        """The precision of the forward passes. With "auto", a resumed run keeps the precision that it started with."""
        from text_uda.model.precision import resolve_precision

        if precision == "auto" and resume and (self.path / "config.json").exists():
            earlier = (self.config().get("machine") or {}).get("precision")
            if earlier in ("fp32", "bf16"):
                return earlier
        return resolve_precision(precision, width=width)

    def result(self) -> dict[str, Any] | None:
        """The result of a finished run, else None."""
        return self._read("result.json") if self._has_result() else None

    def _has_result(self) -> bool:
        return (self.path / "result.json").exists()

    def is_run(self) -> bool:
        """Whether a run, finished or not, wrote the configuration of this folder."""
        try:
            return is_config_of_run(self.config())
        except SettingsError:  # there is no configuration, or it is no JSON object
            return False

    def holds_pretraining(self) -> bool:
        """Whether this is a run of `text-uda pretrain`, finished or not: it leaves an encoder, not a classifier."""
        try:
            return self.config().get("method") == PRETRAINING
        except SettingsError:  # there is no configuration, or the file is not of a run
            return False

    def check_leaves_a_classifier(self) -> None:
        """Raise SettingsError for a pretraining run, which leaves none, and a run of several tasks, which leaves one of
        each."""
        if self.holds_pretraining():
            raise SettingsError(
                f"{self.path} holds a pretraining run, which leaves an encoder and no classifier; pass it to "
                "`text-uda train` as --encoder"
            )
        if self.is_run() and (tasks := self.task_directories()):
            raise SettingsError(
                f"{self.path} holds a run of several tasks, each with a model: name one of {_names_of(tasks)}"
            )

    def check_finished(self) -> None:
        """Raise SettingsError unless this is the directory of a finished run that has a classifier."""
        self.check_leaves_a_classifier()
        if not self.path.is_dir():
            raise SettingsError(f"the run {self.path} does not exist")
        if (self.path.parent / "result.json").exists() and self.path.name == self.model.name:
            raise SettingsError(f"{self.path} is the model of a run; give the run, {self.path.parent}")
        if not (self.path / "config.json").exists() or not is_config_of_run(self.config()):
            raise SettingsError(
                f"{self.path} is not a run directory; give a folder that `text-uda train --out` wrote (a model folder "
                "opens with transformers' pipeline)"
            )
        if self.result() is None or not self.model.is_dir():
            raise SettingsError(f"the run {self.path} is not finished: rerun the same `text-uda train` command")

    def check_whole(self) -> None:
        """`check_finished`, and the files of the model are those that the run wrote (DamagedModelError)."""
        self.check_finished()
        self.check_model()

    def check_model(self) -> None:
        """Check the files of the models of a finished run; see `model_files.check_model`."""
        for directory in self.task_directories() or [self]:
            check_model(directory.path, directory.result())

    def task_directories(self) -> list["RunDirectory"]:
        """The run directories of the tasks of this run, which has no model of its own; [] for a run of one task."""
        names = self.config().get("tasks") if (self.path / "config.json").exists() else None
        return [self.task(name) for name in names or ()]

    def holds_model(self) -> bool:
        """Whether there is a model, or the rest of one."""
        return self.model.exists() or any(self.path.glob(f"{PREFIX}{self.model.name}.*"))

    def remove_model(self) -> None:
        """Remove the model of a finished run; all else stays readable. The caller holds the lock."""
        remove_unfinished(self.path)  # of a call that was killed here
        with suppress(FileNotFoundError):  # another call has removed it, where there are no locks
            gone = self.path / unfinished_name(self.model.name)
            self.model.rename(gone)  # in one step, so that no model is found in part
            shutil.rmtree(gone)

    def task(self, name: str) -> "RunDirectory":
        return RunDirectory(self.path / TASKS / name)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(f"{path} cannot be read ({error}); is {self.path} a run directory?") from error
        if not isinstance(content, dict):
            raise SettingsError(f"{path} is not in the format of a run; is {self.path} a run directory?")
        return content

    def mean_of(self, name: str) -> float | None:
        """The mean of a metric over the logged steps; None where no step logs it."""
        values = [float(record[name]) for record in self.read_metrics() if name in record]
        return round(sum(values) / len(values), 6) if values else None

    def read_metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, without a last line that a kill cut short."""
        if not self.metrics.exists():
            return []
        records = []
        for line in self.metrics.read_text("utf-8", errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except (ValueError, RecursionError):
                break
        return records

    def keep_metrics_until(self, step: int) -> None:
        """Drop the metrics of later steps, which will run again."""
        self.write_metrics([record for record in self.read_metrics() if record["step"] <= step])

    def write_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        write_whole(self.metrics, "".join(json.dumps(record) + "\n" for record in records))


def _names(paths: Iterable[Path], folder: Path) -> str:
    return listed(
        (f"{path.relative_to(folder)}{' (a symbolic link)' if path.is_symlink() else ''}" for path in paths), most=5
    )


def _names_of(directories: Iterable[RunDirectory]) -> str:
    return ", ".join(str(directory.path) for directory in directories)


def _listed(machine: Mapping[str, Any]) -> str:
    return listed(f"{name} {value}" for name, value in machine.items())
