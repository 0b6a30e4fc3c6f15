"""Training under kill -9: rounds of runs that are killed at random moments, held to undisturbed ones, byte for byte.

    python scripts/kill_train.py --rounds 20 --json          about 15 minutes on 2 cores

Each round takes the next of four methods that remember something from step to step, starts its run, kills it at random
moments, and gives the same command again until it ends. Weights, errors and metrics are then those of the run that
nobody killed. Prints one object with --json: rounds, kills, equal, seconds.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

METHODS = ("uda", "mean-teacher", "flexmatch", "lga-vat")
STEPS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started, moments = time.monotonic(), random.Random(arguments.seed)
    kills = equal = 0
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = {method: outcome(method, Path(folder) / method) for method in METHODS}
        for number in range(arguments.rounds):
            method = METHODS[number % len(METHODS)]
            (seconds, expected), run = undisturbed[method], Path(folder) / f"round-{number}"
            kills += kill_until_done(method, run, moments, seconds)
            same = read(run) == expected
            equal += same
            print(f"round {number + 1}, {method}: {kills} kills so far, {'equal' if same else 'DIFFERENT'}", flush=True)
    record = {"rounds": arguments.rounds, "kills": kills, "equal": equal, "seconds": time.monotonic() - started}
    print(json.dumps(record) if arguments.json else record)
    sys.exit(equal != arguments.rounds)


def command(method: str, run: Path) -> list[str]:
    view = ["--augment", "switchout"] if method in ("uda", "flexmatch") else []
    return [
        *(sys.executable, "-m", "text_uda.cli", "train", "movie-snippets", "--labels", "40", "--limit", "600"),
        *("--objective", method, *view, "--encoder", "minilm-l6", "--tune", "last:1", "--steps", str(STEPS)),
        *("--labeled-batch", "4", "--checkpoint-every", "7", "--evaluate-every", "40", "--precision", "fp32"),
        *("--max-tokens", "32", "--out", str(run)),
    ]


def outcome(method: str, run: Path) -> tuple[float, dict[str, Any]]:
    """Seconds and result of an undisturbed run."""
    started = time.monotonic()
    subprocess.run(command(method, run), check=True, capture_output=True)
    return time.monotonic() - started, read(run)


def kill_until_done(method: str, run: Path, moments: random.Random, seconds: float) -> int:
    """Kill the run at random moments of its life, each time starting it again. How often it died."""
    kills = 0
    while True:
        process = subprocess.Popen(command(method, run), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=moments.uniform(0.3, 1.1) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            raise SystemExit(f"{method} did not go on after {kills} kills: {said}")
        return kills


def read(run: Path) -> dict[str, Any]:
    """All of a finished run but for times and for where it lies."""
    result = json.loads((run / "result.json").read_text("utf-8"))
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    timeless = [{name: value for name, value in record.items() if name != "rows_per_s"} for record in metrics]
    weights = (run / "model" / "model.safetensors").read_bytes()
    return {
        "result": {name: value for name, value in result.items() if name not in ("run", "seconds")},
        "metrics": timeless,
        "weights": weights,
    }


if __name__ == "__main__":
    main()
