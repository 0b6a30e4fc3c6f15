"""A study: many runs of one data set, of which the finished are skipped and the broken go on.

`text_uda.experiment.catalogue` has those of the field; a study of one's own is a list of `Trial`s given to `run_study`.

OUT/
  study.json              what was asked for; a study that is another is refused
  cache/                  paraphrases, unless they lie elsewhere
  features/               what a frozen encoder makes of the texts, where TEXT_UDA_FEATURES is off
  runs/NAME-seed-N/       run directories
  logs/                   what the processes said, and the traceback of what failed
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from text_uda.errors import SettingsError
from text_uda.experiment.preparation import prepare
from text_uda.experiment.trial import Bench, Trial
from text_uda.experiment.workers import run_trials
from text_uda.keyed_random import keyed_seed
from text_uda.model.feature_store import features_folder
from text_uda.progress import progress
from text_uda.training.stopping import Interrupted
from translation_cache.atomic import write_whole


@dataclass(frozen=True)
class Outcome:
    """What has become of the trials that were asked for."""

    finished: tuple[Path, ...]
    """Run directories."""

    failed: Mapping[str, str]
    """Why, by the name of the folder."""

    elsewhere: int = 0
    """Trials of other shares that are not finished."""


def run_study(
    trials: Sequence[Trial],
    data: Mapping[str, Any],
    *,
    out: str | Path,
    cache: str | Path | None = None,
    fill: bool = False,
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
) -> Outcome:
    """Run the trials that are not finished. One that fails ends nothing but itself; the next call tries it again.

    Args:
        trials: with names and seeds that differ.
        data: the arguments of `load`, `{"source": "movie-snippets", "limit": 1000}`.
        out: the folder of the study; another call with the same goes on from there.
        cache: where the paraphrases lie; None for a folder in `out`.
        fill: make the paraphrases that are missing, and not refuse.
        workers: processes of this machine that run trials side by side; None takes a process for each GPU, or, where a
            head is trained on a frozen encoder, for each core, at most 8.
        shard: (i, n), i from 1: only the i-th of n equal shares of the trials: several machines with one folder each
            take theirs.
    Raises:
        SettingsError: the folder holds another study, its data have changed, or paraphrases are missing.
        Interrupted: SIGINT or SIGTERM; what is in training has left a checkpoint.
    """
    if getattr(current_process(), "_inheriting", False):  # as multiprocessing asks of itself
        raise SettingsError('its processes import your script: call run_study under if __name__ == "__main__"')
    if workers is not None and workers < 1:
        raise SettingsError(f"workers={workers}: give 1 or more, or None")
    out = Path(out)
    trials = _checked(trials)
    bench = Bench(
        data=data,
        cache=str(out / "cache" if cache is None else cache),
        runs=out / "runs",
        features=features_folder() or out / "features",
    )
    if fill and shard is not None:
        raise SettingsError(
            "with a shard every share would make the paraphrases of all texts: leave out --fill; what is missing is "
            "then named with the command that makes it, which takes a --shard of its own"
        )
    _open(out, data, trials)
    mine = share(trials, shard)
    todo: list[Trial] = []
    failed: dict[str, str] = {}
    for trial in mine:
        try:
            if not bench.has_finished(trial):
                todo.append(trial)
        except SettingsError as error:
            failed[trial.folder] = str(error)
    if todo:
        _check_corpus(out, bench)
        prepare(todo, bench, fill=fill)
    workers = max(1, min(len(todo), default_workers(todo) if workers is None else workers))
    with progress(len(mine), "study", "runs", done=len(mine) - len(todo)) as bar:
        try:
            for trial, why in run_trials(todo, bench, workers=workers, logs=out / "logs"):
                if why is not None:
                    failed[trial.folder] = why
                bar.note(f"{trial.folder}{' failed' if why else ''}")
                bar.advance()
        except Interrupted as error:
            done = sum(_there(bench, trial) for trial in mine)
            raise Interrupted(
                f"{done:,} of {len(mine):,} runs are finished and kept in {out}; the same command goes on from there"
            ) from error
    others = [trial for trial in trials if trial.folder not in failed]
    finished = [trial for trial in others if _there(bench, trial)]
    return Outcome(
        finished=tuple(bench.runs / trial.folder for trial in finished),
        failed=failed,
        elsewhere=len(others) - len(finished),
    )


def share(trials: Sequence[Trial], shard: tuple[int, int] | None) -> Sequence[Trial]:
    """Those of the i-th of n shares, (i, n), which are as large as each other and drawn by a hash; all for None."""
    if shard is None:
        return trials
    number, count = shard
    if not 1 <= number <= count:
        raise SettingsError(f"shard={shard}: give (i, n) with i from 1 to n")
    drawn = sorted(trial.folder for trial in trials)
    drawn.sort(key=lambda folder: keyed_seed("shard", folder))
    mine = set(drawn[number - 1 :: count])
    return [trial for trial in trials if trial.folder in mine]


def default_workers(trials: Sequence[Trial]) -> int:
    """How many trials this machine runs side by side."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    if any(trial.settings.tune != "head" for trial in trials):
        return 1  # one training uses all cores
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _checked(trials: Sequence[Trial]) -> Sequence[Trial]:
    folders = [trial.folder for trial in trials]
    if not folders:
        raise SettingsError("a study needs at least one trial")
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise SettingsError(f"two trials are called {twice}: give each a name of its own, or another seed")
    return trials


def _open(out: Path, data: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Begin the folder, or find that it holds this study, perhaps with other trials beside."""
    given = {name: value for name, value in data.items() if value is not None}
    asked = {"data": json.loads(json.dumps(given, default=str)), "trials": {t.folder: t.digest() for t in trials}}
    file = out / "study.json"
    if not file.exists():
        if out.exists() and not out.is_dir():
            raise SettingsError(f"{out} is a file; name a folder for the study")
        # What begins with a dot is being written, by another share perhaps, or was when it was killed.
        if out.exists() and any(path.name != "cache" and not path.name.startswith(".") for path in out.iterdir()):
            raise SettingsError(f"{out} holds files that no study made; name an empty folder")
        out.mkdir(parents=True, exist_ok=True)
        there: dict[str, Any] = {"data": asked["data"], "trials": {}}
    else:
        there = _read(file)
    if there["data"] != asked["data"]:
        raise SettingsError(f"{out} holds a study of {there['data']}, not of {asked['data']}; name another folder")
    for name, digest in asked["trials"].items():
        if there["trials"].get(name, digest) != digest:
            raise SettingsError(f"{out} holds {name} with other settings (of another --size?); name another folder")
    if new := asked["trials"].keys() - there["trials"].keys():
        there["trials"] |= {name: asked["trials"][name] for name in sorted(new)}
        write_whole(file, json.dumps(there, indent=1) + "\n")


def _check_corpus(out: Path, bench: Bench) -> None:
    """The texts and labels are those with which the study began."""
    file, digest = out / "study.json", bench.corpus.digest
    content = _read(file)
    if content.setdefault("digest", digest) != digest:
        raise SettingsError(
            f"{bench.data['source']} has changed since {out} was begun, and runs on other texts cannot be compared; "
            "bring the data back, or name another folder"
        )
    write_whole(file, json.dumps(content, indent=1) + "\n")


def _there(bench: Bench, trial: Trial) -> bool:
    return (bench.runs / trial.folder / "result.json").exists()


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
        if isinstance(content["data"], dict) and isinstance(content["trials"], dict):
            return content
        reason = "it is not what a study writes"
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise SettingsError(f"{file} cannot be read ({reason}); name another folder for the study")
