"""A study is killed with SIGKILL at random moments, again and again; does it come to the same table all the same?

    python scripts/kill_study.py --json          about 4 minutes on 2 cores

`text-uda ablate` with two processes runs on made-up reviews and a tiny random encoder. It is begun, killed after a
random time, the parent alone or with its processes, and begun again with the same command, until it comes to its end,
`--rounds` times over. The table (but for the seconds), and the numbers of every run, have to be those of an undisturbed
study. Exit code 1 when they are not.
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

from text_uda.model.keyed_tensors import keyed_random

GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "hate")
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product", "review", "show")
OTHERWISE = ("seconds", "seconds_half_width", "cpu_seconds", "run")  # in another start


def write_encoder(folder: Path) -> None:
    """A random BERT of 2 layers, 32 wide."""
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *GOOD, *BAD, *THINGS, "the", "is"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    with keyed_random(0):
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


def left(out: Path) -> dict[str, Any]:
    """What a study comes to: its table, and each run's result."""
    with (out / "table.csv").open(newline="", encoding="utf-8") as file:
        table = [{name: cell for name, cell in row.items() if name not in OTHERWISE} for row in csv.DictReader(file)]
    results = {path.parent.name: json.loads(path.read_text("utf-8")) for path in out.glob("runs/*/result.json")}
    return {
        "table": table,
        "runs": {name: {k: v for k, v in made.items() if k not in OTHERWISE} for name, made in results.items()},
    }


def disturbed(folder: Path, out: Path, longest_s: float, chance: random.Random) -> int:
    """Run a study to its end through kills; how many."""
    kills = 0
    while True:
        process = start(folder, out)
        try:
            _, said = process.communicate(timeout=chance.uniform(2, 0.8 * longest_s))
        except subprocess.TimeoutExpired:
            kills += 1
            if chance.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()  # its processes have to see by themselves that it is gone
            process.communicate()
            continue
        if process.returncode:
            raise SystemExit(f"after {kills} kills the study failed: {said.decode(errors='replace')[-2000:]}")
        return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    began, chance = time.monotonic(), random.Random(arguments.seed)
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
        expected = left(folder / "undisturbed")
        kills, different = [], []
        for number in range(arguments.rounds):
            out = folder / f"round-{number}"
            kills.append(disturbed(folder, out, whole_s, chance))
            found = left(out)
            names = expected["runs"].keys() | found["runs"].keys()
            runs = sorted(name for name in names if found["runs"].get(name) != expected["runs"].get(name))
            if runs or found["table"] != expected["table"]:
                different.append({"round": number, "runs": runs, "table": found["table"] != expected["table"]})
    record = {
        "rounds": arguments.rounds,
        "kills": kills,
        "runs": len(expected["runs"]),
        "different": different,
        "equal": not different,
        "seconds": round(time.monotonic() - began, 1),
    }
    if arguments.json:
        print(json.dumps(record))
    else:
        print(f"{sum(kills)} kills in {arguments.rounds} rounds of {record['runs']} runs: {record['equal'] = }")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
