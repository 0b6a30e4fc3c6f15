"""Training is killed with SIGKILL at random moments, again and again; does it come to the same bytes all the same?

    python scripts/kill_train.py --rounds 20 --json          about 2 minutes on 2 cores

In each round one run of `train` is started, killed, started again with the same call, and so on, until a start comes to
its end. Moments are drawn over the whole run, and near what is written: the first files, the checkpoints (one every
second step) and the model. Methods take turns: UDA with SwitchOut in the step, mean teacher with its average of the
weights, FlexMatch on cached paraphrases with its memory of each row. The model, the metrics but for times and rates,
and the result have to be those of an undisturbed run. Exit code 1 when they are not.
"""

import argparse
import json
import os
import random
import string
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from translation_cache import Job, Paraphrase

STEPS, CHECKPOINT_EVERY = 30, 2
GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "hate")
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product")
METHODS = ("uda", "mean-teacher", "flexmatch")
PHASES = (
    "starting",
    "before the first checkpoint",
    "between checkpoints",
    "in a checkpoint write",
    "after the last step",
    "in the final writes",
)
MOMENTS = ("time", "step", "step", "checkpoint", "checkpoint", "end", "beginning")


@dataclass(frozen=True)
class Turned(Job):
    """A paraphrase that is made in no time: the words in reverse."""

    def settings(self) -> dict[str, Any]:
        return {"method": "turned", "version": 1, "seed": 0, "unit": "text"}

    def __call__(self, sources, samples):
        return [Paraphrase(" ".join(source.split()[::-1]), scores={"change_rate": 0.5}) for source in sources]


# --- what is trained --------------------------------------------------------------------------------------------------


def write_encoder(folder: Path) -> None:
    """A random BERT of 2 layers, 32 wide, whose tokenizer knows the words of the texts."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    specials, letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], string.ascii_lowercase
    pieces = [*specials, *letters, *(f"##{x}" for x in letters), *"the this that is was very".split()]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, *GOOD, *BAD, *THINGS]))}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)


def rows(frame: str):
    from text_uda.data import Rows

    bad, good = ([frame.format(thing, word) for thing in THINGS for word in words] for words in (BAD, GOOD))
    return Rows(tuple(bad + good), (0,) * len(bad) + (1,) * len(good))


def start(method: str, work: Path, out: Path, log: Path) -> None:
    """One call of `train`, in a process of its own."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    import torch
    from tqdm import tqdm

    from text_uda.augment.switchout import SwitchOut
    from text_uda.data import Split
    from text_uda.objectives import PRESETS
    from text_uda.training.settings import TrainSettings
    from text_uda.training.train_classifier import train

    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is for several processes, and a killed one leaves it behind
    encoder = str(work / "encoder")
    split = Split(
        "killed", ("bad", "good"), rows("the {} was {}"), rows("this {} is very {}").texts, rows("that {} was {}"),
        rows("the {} is {}"), "0" * 32,
    )  # fmt: skip
    settings = TrainSettings(
        encoder=encoder, steps=STEPS, labeled_batch=4, max_tokens=32, learning_rate=1e-3,
        # With one look, at the end, the model is that of the last step; with several, checkpoints hold the best one.
        evaluate_every=5 if method == "uda" else STEPS,
        checkpoint_every=CHECKPOINT_EVERY, log_every=1,
    )  # fmt: skip
    views: dict[str, dict[str, Any]] = {
        "uda": {"augmentation": SwitchOut(tokenizer=encoder)},
        "mean-teacher": {},
        "flexmatch": {"augmentation": Turned(), "cache": work / "cache"},
    }
    preset = PRESETS[method]
    train(split, objectives=preset.objectives, averaging=preset.averaging, settings=settings, out=out, **views[method])


def outcome(out: Path) -> dict[str, Any]:
    """What a run decides; times and rates are not that."""

    from text_uda.training.metrics import OF_THE_MACHINE

    def decided(record: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in record.items()
            if name not in (*OF_THE_MACHINE, "seconds", "cpu_seconds", "run")
        }

    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    return {
        "model.safetensors": (out / "model" / "model.safetensors").read_bytes(),
        "metrics.jsonl": [decided(json.loads(line)) for line in lines],
        "result.json": decided(json.loads((out / "result.json").read_text("utf-8"))),
    }


# --- killing ----------------------------------------------------------------------------------------------------------


class Mark(NamedTuple):
    """A file or folder in one state."""

    name: str
    inode: int
    changed: int


def marks(folder: Path) -> set[Mark]:
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            state = path.stat()
        except FileNotFoundError:  # it was renamed while we looked
            continue
        found.add(Mark(path.name, state.st_ino, state.st_mtime_ns))
    return found


def names(found: set[Mark]) -> set[str]:
    return {mark.name for mark in found}


class Place:
    """What a run directory held when a start began, and so what is new."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._before = self._look()

    def _look(self) -> tuple[set[Mark], set[Mark]]:
        return marks(self._out), marks(self._out / "checkpoints")

    def new(self) -> tuple[set[str], set[str]]:
        """What the start has written: in the run directory, in its checkpoints."""
        there, before = self._look(), self._before
        return names(there[0] - before[0]), names(there[1] - before[1])

    def writes_checkpoint(self) -> bool:
        """One lies aside, or the older one is not yet removed."""
        checkpoints = self.new()[1]
        kept = [name for name in names(self._look()[1]) if name.startswith("step-")]
        return any(name.startswith(".step-") for name in checkpoints) or (len(kept) > 1 and max(kept) in checkpoints)

    def steps_told(self) -> int:
        """The last step that this start tells of in the metrics, 0 for none."""
        if "metrics.jsonl" not in self.new()[0]:
            return 0
        whole = (self._out / "metrics.jsonl").read_text("utf-8").split("\n")[:-1]
        return json.loads(whole[-1])["step"] if whole else 0

    def is_at_the_last_step(self) -> bool:
        return self.steps_told() == STEPS

    def phase(self) -> str:
        """Where the start was killed."""
        new, _ = self.new()
        if self.writes_checkpoint():
            return "in a checkpoint write"
        if {".model", "model", "result.json"} & new:
            return "in the final writes"
        if "metrics.jsonl" not in new:
            return "starting"
        if self.is_at_the_last_step():
            return "after the last step"
        if not any(name.startswith("step-") for name in names(self._look()[1])):
            return "before the first checkpoint"
        return "between checkpoints"


class Killer:
    """Starts a method, and kills it."""

    def __init__(self, work: Path, chance: random.Random) -> None:
        self._work, self._chance = work, chance
        # A fork of a process that has only imported, so that it starts at once; no thread of torch runs there.
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["text_uda.training.train_classifier", "text_uda.augment.switchout"])
        self.log = work / "log"

    def whole(self, method: str, out: Path) -> float:
        """One start that is left alone; returns its seconds."""
        started = time.monotonic()
        process = self._begin(method, out)
        process.join()
        self._check(process.exitcode, method)
        return time.monotonic() - started

    def kill(self, method: str, out: Path, seconds: float) -> str | None:
        """One start, killed at a moment that is drawn; returns the phase, None where it was at its end before."""
        chance, place = self._chance, Place(out)
        kind = chance.choice(MOMENTS)
        process = self._begin(method, out)
        if kind == "time":
            process.join(chance.random() * seconds)
        elif kind == "step":
            step = chance.randrange(1, STEPS)
            self._wait(process, lambda: place.steps_told() >= step)
            process.join(chance.random() * 0.03)
        elif kind == "checkpoint":
            process.join(chance.random() * seconds / 2)
            self._wait(process, place.writes_checkpoint)
            process.join(chance.random() * 0.01)  # about as long as one takes to write
        elif kind == "end":
            self._wait(process, place.is_at_the_last_step)
            process.join(chance.random() * 0.1)
        else:
            self._wait(process, lambda: bool(place.new()[0]))
            process.join(chance.random() * 0.002)
        if process.exitcode is not None:
            self._check(process.exitcode, method)
            return None
        process.kill()
        process.join()
        return place.phase()

    def _begin(self, method: str, out: Path):
        process = self._context.Process(target=start, args=(method, self._work, out, self.log))
        process.start()
        return process

    @staticmethod
    def _wait(process: Any, until: Callable[[], bool]) -> None:
        while process.exitcode is None and not until():
            time.sleep(0.0005)

    def _check(self, code: int | None, method: str) -> None:
        if code:
            said = self.log.read_text("utf-8").strip().splitlines()[-1:]
            raise RuntimeError(f"{method} ended with exit code {code}: {' '.join(said)}")


def run(folder: Path, *, rounds: int, seed: int) -> dict[str, Any]:
    from text_uda.paraphrasing.cache_access import paraphrase

    chance = random.Random(seed)
    write_encoder(folder / "encoder")
    paraphrase(rows("this {} is very {}").texts, Turned(), folder / "cache")
    killer = Killer(folder, chance)
    undisturbed: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    phases, different, failed, left_over, fewest = Counter[str](), [], [], set[str](), None
    for number in range(rounds):
        method = METHODS[number % len(METHODS)]
        if method not in undisturbed:
            killer.whole(method, folder / f"warm-{method}")  # the first one waits for the imports
            seconds[method] = killer.whole(method, folder / f"whole-{method}")
            undisturbed[method] = outcome(folder / f"whole-{method}")
        kills, attempt, out = 0, 0, folder
        try:
            while not kills:  # a start may be at its end before the moment that was drawn
                attempt, out = attempt + 1, folder / f"killed-{number}-{attempt}"
                for _ in range(chance.randrange(2, 7)):
                    phase = killer.kill(method, out, seconds[method])
                    if phase is None:
                        break
                    kills += 1
                    phases[phase] += 1
            killer.whole(method, out)
        except RuntimeError as error:
            failed.append(f"round {number}: {error}")
            continue
        fewest = kills if fewest is None else min(fewest, kills)
        there = outcome(out)
        wrong = [name for name, expected in undisturbed[method].items() if there[name] != expected]
        different += [f"round {number}: {method}: {name}" for name in wrong]
        left_over |= names(marks(out)) - names(marks(folder / f"whole-{method}"))
        print(
            f"round {number + 1} of {rounds}: {method}, {kills} kills; {seconds[method]:.1f} s undisturbed",
            file=sys.stderr,
        )
    return {
        "rounds": rounds,
        "kills": sum(phases.values()),
        "fewest_kills_in_a_round": fewest,
        "phases": {phase: phases[phase] for phase in PHASES},
        "left_over": len(left_over),
        "failed": failed,
        "different": different,
        "equal": not failed and not different and sum(phases.values()) > 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    # Tiny tensors: two threads wait for each other. The processes that train inherit it.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        found = run(Path(folder), rounds=arguments.rounds, seed=arguments.seed)
        found["seconds"] = round(time.monotonic() - started, 1)
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:<24} {value}" for name, value in found.items()))
    raise SystemExit(not found["equal"])


if __name__ == "__main__":
    main()
