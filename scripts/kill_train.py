"""Kill training with SIGKILL at random moments, and check that it still gives the same bytes.

    python scripts/kill_train.py --rounds 20 --json          about 3 minutes on 2 cores
    python scripts/kill_train.py --rounds 8 --method joint   one method

In each round one run of `train` is started, killed, and started again with the same call, until it finishes. The
moments are drawn over the whole run and near its writes: the first files, the checkpoints (one every second step) and
the model. The methods alternate: UDA with SwitchOut in the step, mean teacher with its average of weights, FlexMatch on
cached paraphrases with its state per row, two tasks on one encoder, jointly with trained weights of the losses or
alternately, and UDA on texts with another column, by late fusion with column dropout. The models, the metrics (without
times and rates) and the result must equal those of an undisturbed run; else the exit code is 1.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from translation_cache import Job, Paraphrase
from translation_cache.atomic import PREFIX

STEPS, CHECKPOINT_EVERY = 30, 2
GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "hate")
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product")
METHODS = ("uda", "mean-teacher", "flexmatch", "joint", "alternate", "fusion")
PHASES = (
    "starting",
    "before the first checkpoint",
    "between checkpoints",
    "in a checkpoint write",
    "after the last step",
    "in the final writes",
)
MOMENTS = ("time", "step", "step", "checkpoint", "checkpoint", "end", "models", "models", "beginning")


@dataclass(frozen=True)
class Reversed(Job):
    """A paraphrase that takes no time: the words in reverse order."""

    def settings(self) -> dict[str, Any]:
        return {"method": "reversed", "version": 1, "seed": 0, "unit": "text"}

    def __call__(self, sources, samples):
        return [Paraphrase(" ".join(source.split()[::-1]), scores={"change_rate": 0.5}) for source in sources]


# --- training ------------------------------------------------------------------------------------------------------


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


def with_columns(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, each with its length as a column."""
    from text_uda.data.row_columns import OtherColumns, RowText

    columns = OtherColumns(numeric=("length",))
    return tuple(RowText(text, columns, (float(len(text)),)) for text in texts)


def start(method: str, work: Path, out: Path, log: Path) -> None:
    """One call of `train`, in a separate process."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    import torch
    from tqdm import tqdm

    from text_uda.augment.switchout import SwitchOut
    from text_uda.data import Split
    from text_uda.fusion import Late
    from text_uda.objectives import PRESETS
    from text_uda.tasks.alternate import Alternate
    from text_uda.tasks.joint import Joint
    from text_uda.tasks.train_tasks import train_tasks
    from text_uda.training.settings import TrainSettings
    from text_uda.training.train_classifier import train

    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # the default lock is shared by processes, and a killed one never releases it
    encoder = str(work / "encoder")
    split = Split(
        "killed", ("bad", "good"), rows("the {} was {}"), rows("this {} is very {}").texts, rows("that {} was {}"),
        rows("the {} is {}"), "0" * 32,
    )  # fmt: skip
    settings = TrainSettings(
        encoder=encoder, steps=STEPS, labeled_batch=4, max_tokens=32, learning_rate=1e-3,
        # With one evaluation, at the end, the model is that of the last step; with several, checkpoints hold the best.
        evaluate_every=5 if method == "uda" else STEPS,
        checkpoint_every=CHECKPOINT_EVERY, log_every=1,
    )  # fmt: skip
    switchout = SwitchOut(tokenizer=encoder)
    views: dict[str, dict[str, Any]] = {
        "uda": {"augmentation": switchout},
        "fusion": {"augmentation": switchout, "fusion": Late(learning_rate=1e-2, column_dropout=0.2)},
        "mean-teacher": {},
        "flexmatch": {"augmentation": Reversed(), "cache": work / "cache"},
    }
    if method in ("joint", "alternate"):
        things = replace(split, labeled=rows("a {} so {}"), test=rows("by {} and {}"), digest="1" * 32)
        how, both = Joint(weights="uncertainty") if method == "joint" else Alternate(), PRESETS["mean-teacher"]
        train_tasks({"one": split, "other": things}, objectives=both.objectives, method=how, settings=settings, out=out)
        return
    preset = PRESETS["uda" if method == "fusion" else method]
    if method == "fusion":
        parts = {part: getattr(split, part) for part in ("labeled", "dev", "test")}
        joined = {part: replace(its_rows, texts=with_columns(its_rows.texts)) for part, its_rows in parts.items()}
        split = replace(split, unlabeled=with_columns(split.unlabeled), **joined)
    train(split, objectives=preset.objectives, averaging=preset.averaging, settings=settings, out=out, **views[method])


def outcome(out: Path) -> dict[str, Any]:
    """The files of a run without times and rates."""
    from text_uda.training.metrics import MACHINE_METRICS

    def without_times(record: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in record.items()
            if name not in (*MACHINE_METRICS, "seconds", "cpu_seconds", "run")
        }

    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    tasks = out / "tasks"
    return {
        **{path.name: path.read_bytes() for path in (out / "model").glob("*.safetensors")},
        "metrics.jsonl": [without_times(json.loads(line)) for line in lines],
        "result.json": without_times(json.loads((out / "result.json").read_text("utf-8"))),
        **{task.name: outcome(task) for task in (sorted(tasks.iterdir()) if tasks.exists() else ())},
    }


# --- killing ----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A file or folder in one state."""

    name: str
    inode: int
    changed: int


def entries(folder: Path) -> set[Entry]:
    current = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            state = path.stat()
        except FileNotFoundError:  # renamed in between
            continue
        current.add(Entry(path.name, state.st_ino, state.st_mtime_ns))
    return current


def names(current: set[Entry]) -> set[str]:
    return {entry.name for entry in current}


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


class Progress:
    """What a start has written to a run directory so far."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._before = self._entries()

    def _entries(self) -> tuple[set[Entry], set[Entry]]:
        of_tasks = [entries(task) for task in self._out.glob("tasks/*")]
        return entries(self._out).union(*of_tasks), entries(self._out / "checkpoints")

    def new(self) -> tuple[set[str], set[str]]:
        """Names that the start has written: in the run directory and those of its tasks, and in its checkpoints."""
        now, before = self._entries(), self._before
        return names(now[0] - before[0]), names(now[1] - before[1])

    def writes_checkpoint(self) -> bool:
        """A temporary checkpoint exists, or the older one is not yet removed."""
        checkpoints = self.new()[1]
        kept = [name for name in names(self._entries()[1]) if name.startswith("step-")]
        return any(name.startswith(PREFIX) for name in checkpoints) or (len(kept) > 1 and max(kept) in checkpoints)

    def logged_step(self) -> int:
        """The last step that this start has logged in the metrics, 0 for none."""
        if "metrics.jsonl" not in self.new()[0]:
            return 0
        complete = (self._out / "metrics.jsonl").read_text("utf-8").split("\n")[:-1]
        return json.loads(complete[-1])["step"] if complete else 0

    def is_at_the_last_step(self) -> bool:
        return self.logged_step() == STEPS

    def writes_models(self) -> bool:
        """The final writes have begun."""
        return any(name in ("model", "result.json") or name.startswith(f"{PREFIX}model.") for name in self.new()[0])

    def phase(self) -> str:
        """The phase in which the start was killed."""
        if self.writes_checkpoint():
            return "in a checkpoint write"
        if self.writes_models():
            return "in the final writes"
        if "metrics.jsonl" not in self.new()[0]:
            return "starting"
        if self.is_at_the_last_step():
            return "after the last step"
        if not any(name.startswith("step-") for name in names(self._entries()[1])):
            return "before the first checkpoint"
        return "between checkpoints"


class Killer:
    """Starts training by a method, and kills it."""

    def __init__(self, work: Path, chance: random.Random) -> None:
        self._work, self._chance = work, chance
        # Forks of a process that has only imported start at once, and without threads of torch.
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["text_uda.tasks.train_tasks", "text_uda.augment.switchout"])
        self.log = work / "log"

    def finish(self, method: str, out: Path) -> float:
        """One start without a kill; returns its seconds."""
        started = time.monotonic()
        process = self._begin(method, out)
        process.join()
        self._check(process.exitcode, method)
        return time.monotonic() - started

    def kill(self, method: str, out: Path, seconds: float) -> str | None:
        """One start, killed at a random moment; returns the phase, None where it had finished before."""
        chance, progress = self._chance, Progress(out)
        kind = chance.choice(MOMENTS)
        process = self._begin(method, out)
        if kind == "time":
            process.join(chance.random() * seconds)
        elif kind == "step":
            step = chance.randrange(1, STEPS)
            self._wait(process, lambda: progress.logged_step() >= step)
            process.join(chance.random() * 0.03)
        elif kind == "checkpoint":
            process.join(chance.random() * seconds / 2)
            self._wait(process, progress.writes_checkpoint)
            process.join(chance.random() * 0.01)  # about the time to write one
        elif kind == "end":
            self._wait(process, progress.is_at_the_last_step)
            process.join(chance.random() * 0.1)
        elif kind == "models":
            self._wait(process, progress.writes_models)
            process.join(chance.random() * 0.05)
        else:
            self._wait(process, lambda: bool(progress.new()[0]))
            process.join(chance.random() * 0.002)
        if process.exitcode is not None:
            self._check(process.exitcode, method)
            return None
        process.kill()
        process.join()
        return progress.phase()

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
            last_line = self.log.read_text("utf-8").strip().splitlines()[-1:]
            raise RuntimeError(f"{method} ended with exit code {code}: {' '.join(last_line)}")


def run(folder: Path, *, rounds: int, seed: int, methods: Sequence[str] = METHODS) -> dict[str, Any]:
    from text_uda.paraphrasing.cache_access import paraphrase

    chance = random.Random(seed)
    write_encoder(folder / "encoder")
    paraphrase(rows("this {} is very {}").texts, Reversed(), folder / "cache")
    killer = Killer(folder, chance)
    undisturbed: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    phases, different, failed, left_over, fewest = Counter[str](), [], [], set[str](), None
    for number in range(rounds):
        method = methods[number % len(methods)]
        if method not in undisturbed:
            killer.finish(method, folder / f"warm-{method}")  # the first start waits for the imports
            seconds[method] = killer.finish(method, folder / f"undisturbed-{method}")
            undisturbed[method] = outcome(folder / f"undisturbed-{method}")
        kills, attempt, out = 0, 0, folder
        try:
            while not kills:  # a start may finish before the moment of its kill
                attempt, out = attempt + 1, folder / f"killed-{number}-{attempt}"
                for _ in range(chance.randrange(2, 7)):
                    phase = killer.kill(method, out, seconds[method])
                    if phase is None:
                        break
                    kills += 1
                    phases[phase] += 1
            killer.finish(method, out)
        except RuntimeError as error:
            failed.append(f"round {number}: {error}")
            continue
        fewest = kills if fewest is None else min(fewest, kills)
        actual = outcome(out)
        wrong = [name for name, expected in undisturbed[method].items() if actual[name] != expected]
        different += [f"round {number}: {method}: {name}" for name in wrong]
        left_over |= files(out) - files(folder / f"undisturbed-{method}")
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
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--method", choices=METHODS, help="only this one; by default they alternate")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    # On tiny tensors, threads cost more than they save. The training processes inherit these variables.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        methods = METHODS if arguments.method is None else (arguments.method,)
        record = run(Path(folder), rounds=arguments.rounds, seed=arguments.seed, methods=methods)
        record["seconds"] = round(time.monotonic() - started, 1)
    if arguments.json:
        print(json.dumps(record))
    else:
        print("\n".join(f"{name:<24} {value}" for name, value in record.items()))
    raise SystemExit(not record["equal"])


if __name__ == "__main__":
    main()
