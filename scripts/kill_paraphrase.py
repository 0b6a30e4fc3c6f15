"""Kills `train` and `paraphrase --workers 2` at moments spread over their time, and looks for what is left behind.

    python scripts/kill_paraphrase.py --json          about 15 minutes on 2 cores; Linux, with the package's encoder
    python scripts/kill_paraphrase.py --only back-translation --translator marian:models/eng-spa,models/spa-eng

In each round two trainings and three fillings start side by side in new folders. At the round's moment each gets
SIGKILL or SIGTERM, in turn. Five seconds later no process of them may be alive: workers, resource trackers, the
programs of Apertium. No shard may be damaged, and the same command, run to its end, must leave the model, the metrics
and the rows of an undisturbed one. Exit code 1 if not.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translation_cache import Cache, rows, verify

GRACE_S = 5
_MARK = "TEXT_UDA_KILL_SCRIPT"  # in the environment of every process that descends from a command
_SUBJECTS = ("The old house", "A red car", "My long letter", "This small town", "The quiet garden", "Her last book")
_VERBS = ("was bought by", "looks good to", "did not please", "was shown to", "is near", "was important for")
_OBJECTS = ("a young doctor", "the whole family", "some students", "the new teacher", "many people", "the police")


@dataclass(frozen=True)
class Command:
    """A verb without its folder."""

    name: str
    words: tuple[str, ...]
    folder_option: str

    def start(self, folder: Path, log: Path, mark: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "text_uda.cli", *self.words, self.folder_option, str(folder)]
        with log.open("wb") as file:
            return subprocess.Popen(words, stdout=file, stderr=file, env={**os.environ, _MARK: mark})

    def outcome(self, folder: Path) -> Any:
        """What the settings decide: the rows of a cache; the model, the metrics and the result of a run."""
        if self.folder_option == "--cache":
            cache = Cache(folder)
            return sorted(repr(row) for fingerprint in cache.fingerprints() for row in rows(cache, fingerprint))
        from text_uda.training.metrics import MACHINE_METRICS

        records = [*(folder / "metrics.jsonl").read_text("utf-8").splitlines(), (folder / "result.json").read_text()]
        of_machine = (*MACHINE_METRICS, "seconds", "cpu_seconds", "run")
        decided = [
            {name: value for name, value in json.loads(record).items() if name not in of_machine} for record in records
        ]
        return (folder / "model" / "model.safetensors").read_bytes(), decided


def commands(data: Path, cache: Path, *, steps: int, samples: int, translator: str, only: str) -> list[Command]:
    """Those whose names contain `only`. A neural translator is sampled."""
    fill = ("paraphrase", str(data), "--workers", "2", "--method")
    train = ("train", str(data), "--labels", "8", "--encoder", "minilm-l6", "--steps", str(steps), "--max-tokens", "32")
    train += ("--checkpoint-every", str(max(1, steps // 5)))
    pairs = ("--augment", "synonym", "--cache", str(cache))
    sampling = () if "apertium:" in translator else ("--sampling-temperature", "0.9")
    engine = ("--translator", translator, *sampling)
    every = [
        Command("train supervised", (*train, "--objective", "supervised"), "--out"),
        Command("train uda", (*train, "--objective", "uda", *pairs), "--out"),
        Command("paraphrase synonym", (*fill, "synonym", "--samples", str(samples)), "--cache"),
        Command("paraphrase eda", (*fill, "eda", "--samples", str(samples)), "--cache"),
        Command("paraphrase back-translation", (*fill, "back-translation", *engine), "--cache"),
    ]
    if not (chosen := [command for command in every if only in command.name]):
        sys.exit(f"--only {only}: the commands are {', '.join(command.name for command in every)}")
    return chosen


def write_data(path: Path, texts: int) -> None:
    """Sentences of two classes, each with its number."""
    with path.open("w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        for n in range(texts):
            words = _SUBJECTS[n % 6], _VERBS[n // 6 % 6], _OBJECTS[n // 36 % 6]
            file.write(f"{' '.join(words)} in room {n}.\t{'good' if n // 6 % 2 else 'bad'}\n")


def alive(mark: str) -> list[str]:
    """The command lines of the processes with this mark in their environment, without zombies."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is not ours
            environment = (entry / "environ").read_bytes().split(b"\0")
            if f"{_MARK}={mark}".encode() in environment:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:100])
    return found


def run(folder: Path, *, rounds: int, texts: int, **settings: Any) -> dict[str, Any]:
    """Args: settings: of `commands`."""
    data, cache = folder / "data.tsv", folder / "pairs"
    write_data(data, texts)
    pairs = Command("pairs", ("paraphrase", str(data), "--method", "synonym"), "--cache")
    _finish([pairs], [cache], folder)
    kinds = commands(data, cache, **settings)
    whole = [folder / f"undisturbed-{number}" for number in range(len(kinds))]
    started = time.monotonic()
    ends = _finish(kinds, whole, folder)
    seconds = [end - started for end in ends]
    expected = [kind.outcome(path) for kind, path in zip(kinds, whole, strict=True)]
    counts: dict[str, Any] = {"rounds": rounds, "killed": 0, "terminated": 0, "terminated_with_a_line": 0}
    counts |= {"already_finished": 0, "orphans": 0, "damaged": 0, "different": 0, "problems": []}
    for number in range(rounds):
        share = (number + 0.5) / rounds
        how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        folders = [folder / f"killed-{number}-{place}" for place in range(len(kinds))]
        logs = [folder / f"log-{number}-{place}" for place in range(len(kinds))]
        began = time.monotonic()
        processes = [
            kind.start(path, log, f"{number}-{place}")
            for place, (kind, path, log) in enumerate(zip(kinds, folders, logs, strict=True))
        ]
        for place in sorted(range(len(kinds)), key=lambda place: seconds[place]):
            time.sleep(max(0.0, began + share * seconds[place] - time.monotonic()))
            processes[place].send_signal(how)
        killed_at = time.monotonic()
        for process in processes:
            process.wait()
        time.sleep(max(0.0, killed_at + GRACE_S - time.monotonic()))
        for place, (kind, path, log) in enumerate(zip(kinds, folders, logs, strict=True)):
            code, line = processes[place].returncode, (log.read_text("utf-8", "replace").splitlines() or [""])[-1]
            orphans = alive(f"{number}-{place}")
            counts["orphans"] += len(orphans)
            counts["problems"] += [f"round {number}, {kind.name}: left behind {orphan}" for orphan in orphans]
            if code == 0:
                counts["already_finished"] += 1
            elif how is signal.SIGKILL:
                counts["killed"] += 1
            else:
                counts["terminated"] += 1
                counts["terminated_with_a_line"] += code == 130 and line.startswith("interrupted: ")
                if code not in (130, -signal.SIGTERM):  # -SIGTERM: before Python had started
                    counts["problems"].append(f"round {number}, {kind.name}: exit code {code}: {line}")
            if kind.folder_option == "--cache" and path.exists():
                counts["damaged"] += len(verify(Cache(path))["damaged"])
        _finish(kinds, folders, folder)
        for kind, path, outcome in zip(kinds, folders, expected, strict=True):
            if kind.outcome(path) != outcome:
                counts["different"] += 1
                counts["problems"].append(f"round {number}, {kind.name}: not the undisturbed bytes")
        so_far = ", ".join(f"{counts[name]} {name}" for name in ("orphans", "damaged", "different"))
        print(f"round {number + 1} of {rounds}: {how.name} at {share:.0%}; {so_far}", file=sys.stderr, flush=True)
    return counts


def _finish(kinds: list[Command], folders: list[Path], work: Path) -> list[float]:
    """Run commands side by side to their ends; when each has ended."""
    log = work / "finishing"
    processes = [kind.start(path, log, "finishing") for kind, path in zip(kinds, folders, strict=True)]
    ends: dict[int, float] = {}
    while len(ends) < len(processes):
        time.sleep(0.05)
        for place, process in enumerate(processes):
            if place not in ends and process.poll() is not None:
                if process.returncode:
                    raise RuntimeError(f"{kinds[place].name} ends with code {process.returncode}: {log.read_text()}")
                ends[place] = time.monotonic()
    return [ends[place] for place in range(len(processes))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--texts", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=40, help="of training")
    parser.add_argument("--samples", type=int, default=8, help="paraphrases per text, without back-translation")
    parser.add_argument("--translator", default="apertium:eng-spa", help="of back-translation")
    parser.add_argument("--only", default="", metavar="NAME", help="the commands with this word in their names")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TEXT_UDA_FEATURES": "off"}
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        settings = {name: value for name, value in vars(arguments).items() if name != "json"}
        counts = run(Path(folder), **settings)
        counts["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(counts) if arguments.json else "\n".join(f"{name:<24} {value}" for name, value in counts.items()))
    raise SystemExit(bool(counts["problems"] or counts["orphans"] or counts["damaged"] or counts["different"]))


if __name__ == "__main__":
    main()
