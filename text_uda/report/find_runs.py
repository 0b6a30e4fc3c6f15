"""Finds the runs of a report: run directories, and all finished runs in folders such as a study's."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.load_runs import Run, is_unfinished, read_run, read_runs
from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_files import is_config_of_run

_RUN_FILES = ("config.json", "result.json", "metrics.jsonl")


@dataclass(frozen=True)
class FoundRuns:
    runs: list[Run]
    left_out: Mapping[Path, str]
    """Run directories and folders that cannot be shown, and why."""


def find_runs_in(paths: Sequence[Path], *, strict: bool = True) -> FoundRuns:
    """Load the runs at these paths, each once; from a folder of run directories, all finished runs below it.

    Args:
        strict: a run directory among `paths` must be finished and whole; otherwise it is left out, as in a folder.
    Raises:
        SettingsError: no run is left; or, where strict, a run directory is not finished or damaged, or a folder holds
            no run.
    """
    unique = _unique(one for path in paths for one in _with_tasks_of(Path(path)))
    if not unique:
        raise SettingsError("a report needs at least one run directory")
    named = [path for path in unique if _looks_like_a_run(path)]
    runs, left_out = read_runs(named) if strict else [], dict[Path, str]()
    for path in [] if strict else named:
        _load(path, runs, left_out)
    loaded = {path.resolve() for path in named}
    for folder in unique:
        if folder in named:
            continue
        unread: dict[Path, str] = {}
        directories = list(_runs_below(folder, unread))
        if not directories and not unread:
            unread[folder] = "is not a run directory and holds none"
        if strict and folder in unread:
            raise SettingsError(f"{folder} {unread[folder]}; name a directory that `text-uda train` wrote")
        left_out |= unread
        for path in directories:
            if path.resolve() not in loaded:
                loaded.add(path.resolve())
                _load(path, runs, left_out)
    if not runs:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in list(left_out.items())[:5])
        raise SettingsError(f"there is no finished run in {', '.join(map(str, unique))} ({reasons})")
    return FoundRuns(runs, left_out)


def _load(path: Path, runs: list[Run], left_out: dict[Path, str]) -> None:
    try:
        if RunDirectory(path).holds_pretraining():
            left_out[path] = "a pretraining run, which leaves an encoder and no classifier"
        elif is_unfinished(path):
            left_out[path] = "not finished"
        else:
            runs.append(read_run(path))
    except SettingsError as error:
        left_out[path] = str(error)
    except OSError as error:
        left_out[path] = _unreadable(error)


def _looks_like_a_run(path: Path) -> bool:
    """Whether it holds a file of a run. A model and other projects have a config.json too, and are no run."""
    names = [name for name in _RUN_FILES if os.path.exists(path / name)]
    if not names:
        return False
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        return "model_type" not in config and (len(names) > 1 or is_config_of_run(config))
    except (OSError, ValueError, TypeError):
        return True


def _runs_below(folder: Path, unread: dict[Path, str]) -> Iterator[Path]:
    """Run directories by name. Folders inside a run belong to it; hidden folders are still being written.

    Links to folders are followed, and each real folder is visited once. `unread` takes the folders that cannot be read.
    """

    def note(error: OSError) -> None:
        unread[Path(error.filename)] = _unreadable(error)

    visited = {folder.resolve()}
    for place, names, _ in os.walk(folder, onerror=note, followlinks=True):
        if place != str(folder) and _looks_like_a_run(Path(place)):
            names.clear()
            yield from _with_tasks_of(Path(place))
        inner = [Path(place, name) for name in names if not name.startswith(".")]
        unique = _unique(sorted(inner, key=lambda path: (path.is_symlink(), path.name)))
        names[:] = [path.name for path in unique if path.resolve() not in visited]
        visited |= {path.resolve() for path in unique}


def _with_tasks_of(path: Path) -> list[Path]:
    """A path, or the run directories of its tasks in place of a run of several tasks."""
    if not _looks_like_a_run(path):
        return [path]
    try:
        return [directory.path for directory in RunDirectory(path).task_directories()] or [path]
    except SettingsError:  # reading the run says why
        return [path]


def _unique(paths: Iterable[Path]) -> list[Path]:
    """Without paths that lead to the same place as one before them."""
    by_place: dict[Path, Path] = {}
    for path in paths:
        by_place.setdefault(path.resolve(), path)
    return list(by_place.values())


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror})"
