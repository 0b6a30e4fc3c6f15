"""The runs that a report is asked for: run directories, and folders that hold some, as a study leaves them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.reading import Run, is_unfinished, read_run, read_runs
from text_uda.run import RunDirectory

_OF_A_RUN = ("config.json", "result.json", "metrics.jsonl")


@dataclass(frozen=True)
class Gathered:
    runs: list[Run]
    left_out: Mapping[Path, str]
    """Run directories in the folders that cannot be shown, and why. Nothing is left out in silence."""


def gather(paths: Sequence[Path]) -> Gathered:
    """The runs of these folders, each once. Of a folder that holds run directories, all finished ones below it.

    Raises:
        SettingsError: a run that was named is not finished, is damaged or is no run; a folder without finished runs.
    """
    unique = _each_once(map(Path, paths))
    if not unique:
        raise SettingsError("a report needs at least one run directory")
    named = [path for path in unique if _looks_like_a_run(path)]
    runs, left_out = read_runs(named), dict[Path, str]()
    seen = {path.resolve() for path in named}
    for folder in unique:
        if folder in named:
            continue
        found = list(_below(folder))
        if not found:
            raise SettingsError(
                f"{folder} is no run directory, and there is none in it; name what `text-uda train` wrote"
            )
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                _read_or_tell(path, runs, left_out)
    if not runs:
        told = "; ".join(f"{path}: {reason}" for path, reason in list(left_out.items())[:5])
        raise SettingsError(f"there is no finished run in {', '.join(map(str, unique))} ({told})")
    return Gathered(runs, left_out)


def _read_or_tell(path: Path, runs: list[Run], left_out: dict[Path, str]) -> None:
    if RunDirectory(path).holds_pretraining():
        left_out[path] = "a pretraining run, which leaves an encoder and no classifier"
    elif is_unfinished(path):
        left_out[path] = "not finished"
    else:
        try:
            runs.append(read_run(path))
        except SettingsError as error:
            left_out[path] = str(error)


def _looks_like_a_run(path: Path) -> bool:
    """It holds a file of a run; but a model's folder has a config.json, too, and is none."""
    if not any((path / name).exists() for name in _OF_A_RUN):
        return False
    try:
        return "model_type" not in json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return True


def _below(folder: Path) -> Iterator[Path]:
    """Run directories, by name; what lies in a run is part of it, and hidden folders are being written."""
    for place, names, _ in os.walk(folder):
        names.sort()
        names[:] = [name for name in names if not name.startswith(".")]
        if place != str(folder) and _looks_like_a_run(Path(place)):
            names.clear()
            yield Path(place)


def _each_once(paths: Iterator[Path]) -> list[Path]:
    return list({path.resolve(): path for path in paths}.values())
