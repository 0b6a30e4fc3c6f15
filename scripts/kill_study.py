"""Kill a study with SIGKILL at random moments, and check that it still gives the same table.

    python scripts/kill_study.py --json          about 4 minutes on 2 cores

`text-uda ablate` with two processes runs on synthetic reviews and a tiny random encoder. In each round it is started,
killed after a random time, the parent alone or with its processes, and started again with the same command, until it
finishes. The table (without the seconds) and the results of every run must equal those of an undisturbed study; else
the exit code is 1.
"""

import argparse
import csv
import json
import os
import random
import signal
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers import BertConfig, BertModel, BertTokenizer

from text_uda.model.keyed_tensors import seeded_torch

GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "hate")
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product", "review", "show")
NOT_COMPARED = ("seconds", "seconds_half_width", "cpu_seconds", "run")  # they differ between two starts


def write_encoder(folder: Path) -> None:
    """A random BERT of 2 layers, 32 wide."""
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *GOOD, *BAD, *THINGS, "the", "is"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    with seeded_torch(0):
        BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)


def write_reviews(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for label, words in {"good": GOOD, "bad": BAD}.items():
            rows.writerows([f"the {thing} is {word} {word}", label] for thing in THINGS for word in words)


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    words = ["ablate", "table2", "--data", folder / "reviews.csv", "--encoder", folder / "encoder", "--out", out]
    words += ["--size", "smoke", "--labels", 10, "--fill", "--workers", 2]
    command = [sys.executable, "-m", "text_uda.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def results_of(out: Path) -> dict[str, Any]:
    """The table of a study, and the result of each run."""
    with (out / "table.csv").open(newline="", encoding="utf-8") as file:
        table = [{name: cell for name, cell in row.items() if name not in NOT_COMPARED} for row in csv.DictReader(file)]
    results = {path.parent.name: json.loads(path.read_text("utf-8")) for path in out.glob("runs/*/result.json")}
    return {
        "table": table,
        "runs": {name: {k: v for k, v in result.items() if k not in NOT_COMPARED} for name, result in results.items()},
    }


def run_with_kills(folder: Path, out: Path, longest_s: float, chance: random.Random) -> int:
    """Run a study to its end; returns the number of kills."""
    kills = 0
    while True:
        process = start(folder, out)
        try:
            _, errors = process.communicate(timeout=chance.uniform(2, 0.8 * longest_s))
        except subprocess.TimeoutExpired:
            kills += 1
            if chance.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()  # its processes have to notice it
            process.communicate()
            continue
        if process.returncode:
            raise SystemExit(f"after {kills} kills the study failed: {errors.decode(errors='replace')[-2000:]}")
        return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    beginning, chance = time.monotonic(), random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_encoder(folder / "encoder")
        write_reviews(folder / "reviews.csv")
        started = time.monotonic()
        undisturbed = start(folder, folder / "undisturbed")
        undisturbed.communicate()
        if undisturbed.returncode:
            raise SystemExit("the undisturbed study failed")
        whole_s = time.monotonic() - started
        expected = results_of(folder / "undisturbed")
        kills, different = [], []
        for number in range(arguments.rounds):
            out = folder / f"round-{number}"
            kills.append(run_with_kills(folder, out, whole_s, chance))
            actual = results_of(out)
            names = expected["runs"].keys() | actual["runs"].keys()
            runs = sorted(name for name in names if actual["runs"].get(name) != expected["runs"].get(name))
            if runs or actual["table"] != expected["table"]:
                different.append({"round": number, "runs": runs, "table": actual["table"] != expected["table"]})
    record = {
        "rounds": arguments.rounds,
        "kills": kills,
        "runs": len(expected["runs"]),
        "different": different,
        "equal": not different,
        "seconds": round(time.monotonic() - beginning, 1),
    }
    if arguments.json:
        print(json.dumps(record))
    else:
        print(f"{sum(kills)} kills in {arguments.rounds} rounds of {record['runs']} runs: {record['equal'] = }")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
