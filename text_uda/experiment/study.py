"""A study: many runs on one data set. Rerunning skips finished runs and resumes interrupted ones.

`text_uda.experiment.catalogue` has the named studies; any other list of `Trial`s is a study too.

OUT/
  study.json              data and trials; another study in the same folder is refused
  cache/                  paraphrases, without `cache`
  features/               features of frozen encoders, unless TEXT_UDA_FEATURES names another folder
  runs/NAME-seed-N/       run directories
  logs/                   output of the processes, and tracebacks of failures
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from text_uda.data import load
from text_uda.data.several_tasks import tasks_of
from text_uda.errors import SettingsError
from text_uda.experiment.preparation import prepare
from text_uda.experiment.trial import Trial, TrialRunner
from text_uda.experiment.workers import run_trials
from text_uda.keyed_random import keyed_seed
from text_uda.model.feature_store import features_folder
from text_uda.progress import progress_bar
from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_files import mode_runs
from text_uda.runs.run_lock import remove_models
from text_uda.training.stop_signals import Interrupted
from translation_cache.atomic import make_folder, write_whole


@dataclass(frozen=True)
class Outcome:
    """The state of the trials after a call."""

    finished: tuple[Path, ...]
    """Run directories, with those of the modes of `Choose`."""

    failed: Mapping[str, str]
    """The error by the name of the run directory."""

    elsewhere: int = 0
    """Number of trials of other shares that are not finished."""


def run_study(
    trials: Sequence[Trial],
    data: Mapping[str, Any],
    *,
    out: str | Path,
    cache: str | Path | None = None,
    fill: bool = False,
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    keep_models: bool = True,
) -> Outcome:
    """Run the trials that are not finished. A failed trial does not stop the others; the next call tries it again.

    Args:
        trials: no two with the same name and seed.
        data: the arguments of `load`, `{"source": "movie-snippets", "limit": 1000}`.
        out: the folder of the study; another call with the same folder resumes it.
        cache: location of the paraphrases; None for a folder in `out`.
        fill: make missing paraphrases instead of raising an error.
        workers: number of processes on this machine. None takes one per GPU; without a GPU, one per core (at most 8) if
            all trials train a head on a frozen encoder, else one.
        shard: (i, n), i from 1: run only the i-th of n equal shares of the trials, one on each of several machines that
            share the folder.
        keep_models: False removes the model of each finished run; the report reads the results alone.
    Raises:
        SettingsError: the folder holds another study, the data have changed, or paraphrases are missing.
        Interrupted: SIGINT or SIGTERM; runs in training have written a checkpoint.
    """
    if getattr(current_process(), "_inheriting", False):  # the check of multiprocessing itself
        raise SettingsError(
            'the processes of a study import your script: call run_study under if __name__ == "__main__"'
        )
    if workers is not None and workers < 1:
        raise SettingsError(f"workers={workers}: give 1 or more, or None")
    out = Path(out)
    _check_names(trials)
    runner = TrialRunner(
        data=data,
        cache=str(out / "cache" if cache is None else cache),
        runs=out / "runs",
        features=features_folder() or out / "features",
        of_tasks=_of_tasks(trials),
    )
    if fill and shard is not None:
        raise SettingsError(
            "with a shard, every share would make the paraphrases of all texts: leave out --fill; the error about "
            "missing paraphrases names the command that makes them, which has its own --shard"
        )
    if not all(_has_result(runner, trial) for trial in trials):
        _check_tasks(trials, data)
    _open(out, runner, trials)
    selected = select_share(trials, shard)
    todo: list[Trial] = []
    failed: dict[str, str] = {}
    for trial in selected:
        try:
            if not runner.has_finished(trial):
                todo.append(trial)
            elif not keep_models:
                remove_models(RunDirectory(runner.runs / trial.folder))
        except (SettingsError, OSError) as error:
            failed[trial.folder] = str(error)
    if todo:
        _check_corpus(out, runner)
        prepare(todo, runner, fill=fill)
    workers = max(1, min(len(todo), default_workers(todo) if workers is None else workers))
    with progress_bar(len(selected), "study", "runs", done=len(selected) - len(todo)) as bar:
        try:
            for trial, error in run_trials(todo, runner, workers=workers, logs=out / "logs"):
                if error is None and not keep_models:
                    error = _error_of_removal(runner, trial)
                if error is not None:
                    failed[trial.folder] = error
                bar.note(f"{trial.folder}{' failed' if error else ''}")
                bar.advance()
        except Interrupted as interrupted:
            done = sum(_has_result(runner, trial) for trial in selected)
            raise Interrupted(
                f"{done:,} of {len(selected):,} runs are finished and kept in {out}; the same command resumes"
            ) from interrupted
    others = [trial for trial in trials if trial.folder not in failed]
    finished = [trial for trial in others if _has_result(runner, trial)]
    runs = [runner.runs / trial.folder for trial in finished]
    return Outcome(
        finished=tuple(path for run in runs for path in (run, *mode_runs(run))),
        failed=failed,
        elsewhere=len(others) - len(finished),
    )


def select_share(trials: Sequence[Trial], shard: tuple[int, int] | None) -> Sequence[Trial]:
    """The trials of the i-th of n equal shares, drawn by a hash; all for None."""
    if shard is None:
        return trials
    number, count = shard
    if not 1 <= number <= count:
        raise SettingsError(f"shard={shard}: give (i, n) with i from 1 to n")
    folders = sorted(trial.folder for trial in trials)
    folders.sort(key=lambda folder: keyed_seed("shard", folder))
    in_share = set(folders[number - 1 :: count])
    return [trial for trial in trials if trial.folder in in_share]


def default_workers(trials: Sequence[Trial]) -> int:
    """How many trials this machine runs at a time."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    if any(trial.settings.tune != "head" for trial in trials):
        return 1  # one training uses all cores
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _of_tasks(trials: Sequence[Trial]) -> bool:
    """Whether the trials read the data as several tasks. All of them do, or none: their texts differ."""
    of_tasks = {trial.of_tasks for trial in trials}
    if len(of_tasks) > 1:
        raise SettingsError("some trials have a task or a task_method, and others none: make them two studies")
    return of_tasks == {True}


def _check_tasks(trials: Sequence[Trial], data: Mapping[str, Any]) -> None:
    """The data has the tasks of the trials."""
    if not _of_tasks(trials):
        return
    names = list(tasks_of(data))
    if not names:
        load(**data)  # raises where there is no such data
        raise SettingsError(
            f"{data['source']} is one task: give a file with several label columns, or trials without task, task_method"
        )
    for trial in trials:
        if trial.task is not None and trial.task not in names:
            raise SettingsError(f"task={trial.task!r} of {trial.name}: the data has the tasks {', '.join(names)}")


def _check_names(trials: Sequence[Trial]) -> None:
    folders = [trial.folder for trial in trials]
    if not folders:
        raise SettingsError("a study needs at least one trial")
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise SettingsError(f"two trials are called {twice}: change the name or the seed of one")


def _open(out: Path, runner: TrialRunner, trials: Sequence[Trial]) -> None:
    """Start the folder, or check that it holds this study, possibly with further trials.

    Contents decide, not where they lie: the data and the encoder can have moved.
    """
    arguments = {name: value for name, value in runner.data.items() if value is not None}
    arguments = json.loads(json.dumps(arguments, default=str))
    digests = {trial.folder: trial.digest() for trial in trials}
    file = out / "study.json"
    if not file.exists():
        if out.exists() and not out.is_dir():
            raise SettingsError(f"{out} is a file; name a folder for the study")
        # Names with a dot are temporary files of another share or of a killed process.
        if out.exists() and any(path.name != "cache" and not path.name.startswith(".") for path in out.iterdir()):
            raise SettingsError(f"{out} holds files of something else; name an empty folder")
        make_folder(out)
        content: dict[str, Any] = {"data": arguments, "trials": {}}
    else:
        content = _read(file)
    if content["data"] != arguments and content.get("digest") != runner.digest:
        raise SettingsError(f"{out} holds a study of {content['data']}, not of {arguments}; name another folder")
    encoders = content.setdefault("encoders", {})  # missing in studies of earlier versions
    for trial in trials:
        name, before = trial.folder, content["trials"].get(trial.folder)
        if before not in (None, digests[name]) and before != _digest_at(trial, encoders.get(name)):
            raise SettingsError(f"{out} holds {name} with other settings (another --size?); name another folder")
    if new := digests.keys() - content["trials"].keys():
        content["trials"] |= {name: digests[name] for name in sorted(new)}
        encoders |= {trial.folder: at for trial in trials if trial.folder in new and (at := _encoder_at(trial))}
        write_whole(file, json.dumps(content, indent=1) + "\n")


def _encoder_at(trial: Trial) -> list[str] | None:
    """[path, digest] of an encoder in a folder; None for a name or a hub id, which do not move."""
    from text_uda.model.encoder_content import encoder_digest

    encoder = trial.settings.encoder
    digest = encoder_digest(encoder) if Path(encoder).is_dir() else None
    return None if digest is None else [encoder, digest]


def _digest_at(trial: Trial, encoder: Sequence[str] | None) -> str | None:
    """The digest of the trial by the earlier path of its encoder, if that had the same content."""
    now = _encoder_at(trial)
    if encoder is None or now is None or encoder[1] != now[1]:
        return None
    return replace(trial, settings=replace(trial.settings, encoder=encoder[0])).digest()


def _check_corpus(out: Path, runner: TrialRunner) -> None:
    """The texts and labels have not changed since the study started."""
    file, digest = out / "study.json", runner.digest
    content = _read(file)
    if content.setdefault("digest", digest) != digest:
        raise SettingsError(
            f"{runner.data['source']} has changed since {out} was started, and runs on different texts cannot be "
            "compared; restore the data, or name another folder"
        )
    write_whole(file, json.dumps(content, indent=1) + "\n")


def _has_result(runner: TrialRunner, trial: Trial) -> bool:
    return (runner.runs / trial.folder / "result.json").exists()


def _error_of_removal(runner: TrialRunner, trial: Trial) -> str | None:
    try:
        remove_models(RunDirectory(runner.runs / trial.folder))
    except (SettingsError, OSError) as error:
        return str(error)
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
        if isinstance(content["data"], dict) and isinstance(content["trials"], dict):
            return content
        reason = "it is not the file of a study"
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise SettingsError(f"{file} cannot be read ({reason}); name another folder for the study")
