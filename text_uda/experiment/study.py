"""A study: many runs of one data set, of which the finished are skipped and the broken go on.

`text_uda.experiment.studies` has those of the field; a study of one's own is a list of `Trial`s given to `run_study`.

OUT/
  study.json              what was asked for; a study that is another is refused
  cache/                  paraphrases, unless they lie elsewhere
  features.safetensors    what a frozen encoder makes of the texts
  runs/NAME-seed-N/       run directories
  logs/                   what the processes said, and the traceback of what failed
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from text_uda.errors import SettingsError
from text_uda.experiment import side_by_side
from text_uda.experiment.trial import Bench, Trial
from text_uda.interruption import Interrupted
from text_uda.keyed import keyed_seed
from text_uda.paraphrase import missing_paraphrases, paraphrase, read_paraphrases
from text_uda.progress import followed, progress
from text_uda.run import write_whole
from translation_cache import Cache, Job, fingerprint


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
        shard: (i, n), i from 1: only the i-th of n shares of the trials, told by a hash of their names: several
            machines with one folder each take theirs.
    Raises:
        SettingsError: the folder holds another study, or paraphrases are missing.
        Interrupted: SIGINT or SIGTERM; what is in training has left a checkpoint.
    """
    out = Path(out)
    trials = _checked(trials)
    bench = Bench(
        data=data,
        cache=str(cache or out / "cache"),
        runs=out / "runs",
        features=out / "features.safetensors",
    )
    _open(out, data, trials)
    mine = [trial for trial in trials if shard is None or keyed_seed("shard", trial.folder) % shard[1] == shard[0] - 1]
    todo = [trial for trial in mine if not _is_finished(bench, trial)]
    if todo:
        _prepare_paraphrases(todo, bench, fill=fill)
        _encode(todo, bench)
    workers = min(len(todo), workers or default_workers(todo)) or 1
    failed: dict[str, str] = {}
    with progress(len(mine), "study", "runs", done=len(mine) - len(todo)) as bar:
        try:
            for trial, why in side_by_side.run(todo, bench, workers=workers, logs=out / "logs"):
                if why is not None:
                    failed[trial.folder] = why
                bar.note(f"{trial.folder}{' failed' if why else ''}")
                bar.advance()
        except Interrupted as error:
            done = sum(_is_finished(bench, trial) for trial in mine)
            raise Interrupted(
                f"{done:,} of {len(mine):,} runs are finished and kept in {out}; the same command goes on from there"
            ) from error
    finished = [trial for trial in trials if _is_finished(bench, trial)]
    return Outcome(
        finished=tuple(bench.runs / trial.folder for trial in finished),
        failed=failed,
        elsewhere=len(trials) - len(finished) - len(failed),
    )


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
        if out.exists() and any(path.name != "cache" for path in out.iterdir()):
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


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
        if isinstance(content["data"], dict) and isinstance(content["trials"], dict):
            return content
        reason = "it is not what a study writes"
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise SettingsError(f"{file} cannot be read ({reason}); name another folder for the study")


def _is_finished(bench: Bench, trial: Trial) -> bool:
    return (bench.runs / trial.folder / "result.json").exists()


def _jobs(trials: Sequence[Trial]) -> dict[str, tuple[Job, int]]:
    """The augmentations and the most samples that a trial asks of each, by the fingerprint of their settings."""
    found: dict[str, tuple[Job, int]] = {}
    for trial in trials:
        if trial.augmentation is not None:
            mark = fingerprint(trial.augmentation.settings())
            _, most = found.get(mark, (None, 0))
            found[mark] = (trial.augmentation, max(most, trial.settings.samples))
    return found


def _prepare_paraphrases(trials: Sequence[Trial], bench: Bench, *, fill: bool) -> None:
    jobs = _jobs(trials).values()
    texts = bench.corpus.training_texts() if jobs else ()
    cache = Cache(bench.cache)
    for job, samples in jobs:
        method = job.settings()["method"]
        if fill:
            with followed(f"paraphrase ({method})", "rows") as on_progress:
                paraphrase(texts, job, cache, samples=samples, progress=on_progress)
        elif count := missing_paraphrases(texts, job, cache, samples=samples):
            raise SettingsError(
                f"{count:,} {method} paraphrases are missing in {bench.cache}: give --fill to make them here, or make "
                f"them first with `{_command(bench, job, samples)}`"
            )


def _command(bench: Bench, job: Job, samples: int) -> str:
    """What fills the cache; of the augmentation what differs from its defaults."""
    named = {"source": None, **bench.data}
    words = ["text-uda paraphrase", str(named.pop("source"))]
    words += [f"--{name.replace('_', '-')} {value}" for name, value in named.items() if value is not None]
    words += [f"--method {job.settings()['method']} --cache {bench.cache}"]
    translator = getattr(job, "translator", None)
    temperature = getattr(job, "temperature", None)
    words += [f"--encoder {job.tokenizer}"] if hasattr(job, "tokenizer") else []  # pyright: ignore[reportAttributeAccessIssue]
    words += [f"--translator '{translator}'"] if translator else []
    words += [f"--sampling-temperature {temperature}"] if temperature is not None else []
    words += [f"--samples {samples}"] if samples > 1 else []
    return " ".join(words)


def _encode(trials: Sequence[Trial], bench: Bench) -> None:
    """Encode, once for all processes and all calls, what the trials that train a head alone will read."""
    heads = [trial for trial in trials if trial.settings.tune == "head"]
    if not heads:
        return
    frozen = bench.frozen(heads[0].settings)
    before = len(frozen)
    corpus = bench.corpus
    for label, texts in (("encode", corpus.training_texts()), ("encode (test)", corpus.test.texts)):
        with followed(label, "texts") as on_progress:
            frozen.rows(texts, progress=on_progress)
    for job, samples in _jobs(heads).values():
        made = read_paraphrases(corpus.training_texts(), job, bench.cache, samples=samples)
        usable = [each.text for each in chain.from_iterable(made) if each.status == "ok" and each.text is not None]
        with followed(f"encode ({job.settings()['method']})", "texts") as on_progress:
            frozen.rows(usable, progress=on_progress)
    if len(frozen) != before:
        frozen.save(bench.features)
