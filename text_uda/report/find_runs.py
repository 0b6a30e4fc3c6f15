"""The runs that a report is asked for: run directories, and folders that hold some, as a study leaves them."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.load_runs import Run, is_unfinished, read_run, read_runs
from text_uda.runs.directory import RunDirectory

_OF_A_RUN = ("config.json", "result.json", "metrics.jsonl")


@dataclass(frozen=True)
class Gathered:
    runs: list[Run]
    left_out: Mapping[Path, str]
    """What cannot be shown, and why: run directories, and folders that cannot be read. Nothing in silence."""


def gather(paths: Sequence[Path], *, strict: bool = True) -> Gathered:
    """The runs of these folders, each once. Of a folder that holds run directories, all finished ones below it.

    Args:
        strict: a run that was named must be one, finished and whole; otherwise it is left out, as in a folder.
    Raises:
        SettingsError: no run is left; or, where it is strict, a run that was named is not finished, is damaged or is no
            run, or a folder holds none.
    """
    unique = _each_once(map(Path, paths))
    if not unique:
        raise SettingsError("a report needs at least one run directory")
    named = [path for path in unique if _looks_like_a_run(path)]
    runs, left_out = read_runs(named) if strict else [], dict[Path, str]()
    for path in [] if strict else named:
        _read_or_tell(path, runs, left_out)
    seen = {path.resolve() for path in named}
    for folder in unique:
        if folder in named:
            continue
        unread: dict[Path, str] = {}
        found = list(_below(folder, unread))
        if not found and not unread:
            unread[folder] = "is no run directory, and there is none in it"
        if strict and folder in unread:
            raise SettingsError(f"{folder} {unread[folder]}; name what `text-uda train` wrote")
        left_out |= unread
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                _read_or_tell(path, runs, left_out)
    if not runs:
        told = "; ".join(f"{path}: {reason}" for path, reason in list(left_out.items())[:5])
        raise SettingsError(f"there is no finished run in {', '.join(map(str, unique))} ({told})")
    return Gathered(runs, left_out)


def _read_or_tell(path: Path, runs: list[Run], left_out: dict[Path, str]) -> None:
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
    """It holds a file of a run; but a model's folder has a config.json, too, and is none."""
    if not any(os.path.exists(path / name) for name in _OF_A_RUN):
        return False
    try:
        return "model_type" not in json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return True


def _below(folder: Path, unread: dict[Path, str]) -> Iterator[Path]:
    """Run directories, by name; what lies in a run is part of it, and hidden folders are being written.

    Links to folders are followed, and each real folder is gone through once. What cannot be read joins `unread`.
    """

    def tell(error: OSError) -> None:
        unread[Path(error.filename)] = _unreadable(error)

    been = {folder.resolve()}
    for place, names, _ in os.walk(folder, onerror=tell, followlinks=True):
        if place != str(folder) and _looks_like_a_run(Path(place)):
            names.clear()
            yield Path(place)
        inner = [Path(place, name) for name in names if not name.startswith(".")]
        once = _each_once(sorted(inner, key=lambda path: (path.is_symlink(), path.name)))
        names[:] = [path.name for path in once if path.resolve() not in been]
        been |= {path.resolve() for path in once}


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """By where they really are; of several names the first."""
    found: dict[Path, Path] = {}
    for path in paths:
        found.setdefault(path.resolve(), path)
    return list(found.values())


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror})"
