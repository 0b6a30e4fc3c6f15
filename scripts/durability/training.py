"""Cuts of `train` and `pretrain`, while they run and after they have returned."""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from .folders import UNFINISHED, tree
from .laboratory import Laboratory, Snapshot, Trigger, after

METHODS = ("uda", "mean-teacher", "flexmatch", "pretrain")
STEPS, CHECKPOINT_EVERY = 30, 2


def training_words(folder: Path, method: str, out: Path) -> list[object]:
    verb: list[object] = ["pretrain", folder / "reviews.csv", "--tokens-per-step", 256, "--evaluate-every", 5]
    if method != "pretrain":
        verb = ["train", folder / "reviews.csv", "--labels", 20, "--objective", method, "--evaluate-every", 1]
    if method == "uda":
        verb += ["--augment", "switchout"]
    elif method == "flexmatch":
        verb += ["--augment", "swap", "--cache", folder / "cache"]
    rest = ["--steps", STEPS, "--checkpoint-every", CHECKPOINT_EVERY, "--max-tokens", 32, "--learning-rate", 1e-3]
    return [*verb, "--encoder", folder / "encoder", *rest, "--out", out]


def metrics(out: Path, until: int = STEPS) -> list[dict[str, Any]]:
    """The records up to a step, without those of speed and memory; a line that is torn ends them."""
    records = []
    path = out / "metrics.jsonl"
    for line in path.read_text("utf-8", "replace").split("\n")[:-1] if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            break
        records.append(without_times(record))
    return [record for record in records if record["step"] <= until]


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    from text_uda.training.metrics import MACHINE_METRICS

    left_out = {*MACHINE_METRICS, "seconds", "cpu_seconds", "run", "model", "model_files"}  # some are paths
    return {name: value for name, value in record.items() if name not in left_out}


def outcome(out: Path) -> dict[str, Any]:
    """What a finished run consists of, without times; {} where it is not finished."""
    if not (out / "result.json").exists():
        return {}
    try:
        result = without_times(json.loads((out / "result.json").read_bytes()))
    except ValueError:
        result = {"torn": True}
    model = {name: digest for name, digest in tree(out / "model").items() if name != "README.md"}  # has the time
    return {"result.json": result, "metrics.jsonl": metrics(out), "model": model}


def newest_checkpoint(out: Path) -> int:
    folder = out / "checkpoints"
    return max((int(path.name[5:]) for path in folder.glob("step-*")), default=0) if folder.is_dir() else 0


def durable_step(out: Path) -> int:
    """A step whose checkpoint is durable: an older one is removed only then."""
    try:
        kept = sorted(int(path.name[5:]) for path in (out / "checkpoints").glob("step-*"))
    except FileNotFoundError:
        return 0
    return kept[0] if len(kept) > 1 or (kept and kept[0] > CHECKPOINT_EVERY) else 0


def moment(out: Path, chance: random.Random, seconds: float) -> Trigger:
    """A random moment of a run: at any time, at a step, in a checkpoint's write, in the first or the last writes."""
    begin = time.monotonic() + chance.random() * seconds / 2
    step, path = chance.randrange(1, STEPS), out / "metrics.jsonl"

    def writes(folder: Path, of: str = "") -> bool:
        return folder.is_dir() and any(name.startswith(UNFINISHED + of) for name in os.listdir(folder))

    moments: dict[str, tuple[Trigger, float]] = {  # what happens, and up to how many seconds later the power is cut
        "time": (lambda: True, seconds),
        "step": (lambda: path.exists() and path.read_bytes().count(b"\n") >= step, 0.03),
        "checkpoint": (lambda: time.monotonic() > begin and writes(out / "checkpoints"), 0.02),
        "end": (lambda: writes(out, "model.") or (out / "model").exists(), 0.15),
        "beginning": (out.exists, 0.01),
    }
    happens, most = moments[
        chance.choice(("time", "step", "step", "checkpoint", "checkpoint", "end", "end", "beginning"))
    ]
    return after(happens, chance.random() * most)


def inspect_run(laboratory: Laboratory, out: Path, durable: Any, expected: dict[str, Any], label: str) -> None:
    """What a cut left, before anything runs again."""
    finished, step = durable
    actual, newest = outcome(out), newest_checkpoint(out)
    for name in ("result.json", "model", "metrics.jsonl"):
        if actual and actual[name] != expected[name]:
            laboratory.violation(f"{label}: result.json is there, and {name} is not that of an undisturbed run")
    if actual:
        return
    if finished:
        laboratory.violation(f"{label}: the command had returned, and result.json is lost")
    if newest < step:
        laboratory.violation(f"{label}: checkpoint {step} was durable, and the newest is {newest}")
    if newest and metrics(out, newest) != [record for record in expected["metrics.jsonl"] if record["step"] <= newest]:
        laboratory.violation(f"{label}: metrics.jsonl ends before checkpoint {newest}")


def cut_training(laboratory: Laboratory, goals: dict[str, int]) -> None:
    chance, folder, out = laboratory.chance, laboratory.folder, laboratory.root / "run"
    methods = {
        method: training_words(folder, method, out) for method in ("uda", "mean-teacher", "flexmatch", "pretrain")
    }
    swaps = laboratory.command(["paraphrase", folder / "reviews.csv", "--method", "swap", "--cache", folder / "cache"])
    laboratory.finish(swaps, "paraphrases of flexmatch")
    undisturbed, seconds = {}, {}
    for method, words in methods.items():
        started = time.monotonic()
        laboratory.finish(laboratory.command([*words[:-1], folder / f"undisturbed-{method}"]), f"undisturbed {method}")
        seconds[method] = time.monotonic() - started
        undisturbed[method] = outcome(folder / f"undisturbed-{method}")
    waiting: list[tuple[str, Snapshot]] = []
    starts = 0
    while waiting or any(laboratory.cuts[part] < goals[part] for part in ("training", "finished")):
        if waiting:
            method, snapshot = waiting.pop()
            cuts = int(chance.random() < 0.3)  # some reruns are cut again
        else:
            method, snapshot, cuts, starts = list(methods)[starts % len(methods)], None, 5, starts + 1
        with laboratory.disk(snapshot, neighbour=chance.random() < 0.7) as disk:
            label = f"{method}, {disk.image.name}, {disk.options}"
            if snapshot is not None:
                inspect_run(laboratory, out, snapshot.durable, undisturbed[method], label)
            process = laboratory.command(methods[method])
            cuts = min(cuts, goals["training"] - laboratory.cuts["training"])
            moments = [moment(out, chance, seconds[method]) for _ in range(cuts)]
            new = laboratory.cut_while_running("training", disk, process, moments, lambda: (False, durable_step(out)))
            if laboratory.finish(process, label):
                names = {path.name for path in out.iterdir()}
                laboratory.left_over.update(names - set(os.listdir(folder / f"undisturbed-{method}")))
                actual = outcome(out)
                if differences := [name for name, value in undisturbed[method].items() if actual.get(name) != value]:
                    laboratory.violation(f"{label}: after the rerun, {', '.join(differences)} differ")
                count = min(3, goals["finished"] - laboratory.cuts["finished"]) if snapshot is None else 0
                if count:
                    new += laboratory.cut_afterwards("finished", disk, count, (True, 0))
        waiting += [(method, copy) for copy in new]
        print(f"{label}: {len(new)} new cuts", file=sys.stderr)
