"""`predict_file` beside transformers' `pipeline` at its best batch size: rows per second of wall time and of CPU time.

Each round gives one part of the texts to every contender in turn, so that other load on the machine affects all of them
equally; a ratio is the median over the rounds. Ours reads a csv file and writes one; the pipeline gets a list and
returns one. The batch size of the pipeline is the fastest of BATCH_SIZES on TRIAL_TEXTS texts. `pipeline, sorted` gets
its texts by ascending number of characters, which its users have to do themselves. Where there is a GPU, both sides use
it, and the pipeline runs in bf16 too.

There are no whole reviews without a hub: the texts are consecutive sentences of movie reviews, joined to the lengths of
reviews (lognormal), and cut at 256 tokens. The model is the packaged encoder (6 layers, 384 wide) with a trained head.

    python scripts/benchmark_predict.py --json
    python scripts/benchmark_predict.py --texts 5000        a share of it, in minutes
    python scripts/benchmark_predict.py --without "ours, fp32" "pipeline, sorted"
"""

import argparse
import csv
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline

from text_uda import TrainSettings, load, predict_file, split, train
from text_uda.model import cuda
from text_uda.model.precision import Precision, cpu_name, resolve_precision
from text_uda.objectives import Supervised

BATCH_SIZES = (1, 4, 16, 64, 256)
TRIAL_TEXTS = 256
WORDS_MEDIAN, WORDS_SIGMA = 75, 0.72  # of the lognormal lengths
MAX_TOKENS = 256

Labels = list[str]
Contender = Callable[[Sequence[str]], tuple[Labels, np.ndarray]]  # texts -> labels, and their probabilities (N,)


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    texts = review_lengths(options.texts, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        run = _trained(Path(folder) / "run")
        classify = _pipeline(run)
        batch_size = _best_batch_size(classify, texts[:TRIAL_TEXTS])
        contenders: dict[str, Contender] = {
            "ours, fp32": _ours(run, Path(folder), "fp32"),
            "pipeline": _peer(classify, batch_size, by_length=False),
            "pipeline, sorted": _peer(classify, batch_size, by_length=True),
        }
        if resolve_precision("auto") == "bf16":
            contenders["ours, bf16"] = _ours(run, Path(folder), "bf16")
        if cuda.is_used():
            half = _pipeline(run, dtype=torch.bfloat16)
            contenders["pipeline, sorted, bf16"] = _peer(half, batch_size, by_length=True)
        for name in options.without:
            del contenders[name]
        figures = _compare(contenders, texts, options.rounds)
    record = {
        "ratios": figures.pop("ratios"),
        "figures": {"texts": len(texts), "pipeline_batch_size": batch_size, "threads": options.threads, **figures},
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        | ({"gpu": torch.cuda.get_device_name()} if cuda.is_used() else {}),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")}
        | {"python": platform.python_version()},
    }
    print(json.dumps(record) if options.json else json.dumps(record, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--without", nargs="*", default=[], choices=("ours, fp32", "ours, bf16", "pipeline, sorted"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def review_lengths(count: int, *, seed: int) -> list[str]:
    """Texts of consecutive sentences, with the lengths of reviews; sentences recur after some hundred texts."""
    sentences = list(load("movie-snippets").train.texts)
    lengths = np.random.default_rng(seed).lognormal(np.log(WORDS_MEDIAN), WORDS_SIGMA, count)
    texts, place = [], 0
    for length in lengths:
        words: list[str] = []
        while len(words) < length:
            words += sentences[place % len(sentences)].split()
            place += 1
        texts.append(" ".join(words[: max(3, int(length))]))
    return texts


def _trained(run: Path) -> Path:
    data = split(load("movie-snippets", limit=200), labels=100, dev=50, seed=0)
    settings = TrainSettings(encoder="minilm-l6", tune="head", steps=50, max_tokens=MAX_TOKENS)
    train(data, objectives=(Supervised(),), settings=settings, out=run)
    return run


def _pipeline(run: Path, **options: Any) -> Any:
    model = str(run / "model")
    return pipeline("text-classification", model=model, max_length=MAX_TOKENS, truncation=True, **options)


def _ours(run: Path, folder: Path, precision: Precision) -> Contender:
    def classify(texts: Sequence[str]) -> tuple[Labels, np.ndarray]:
        with (folder / "in.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in texts)])
        predict_file(run, folder / "in.csv", folder / "out.csv", precision=precision)
        with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [row["label"] for row in rows], np.array([float(row["probability"]) for row in rows])

    return classify


def _peer(classify: Any, batch_size: int, *, by_length: bool) -> Contender:
    def predictions(texts: Sequence[str]) -> tuple[Labels, np.ndarray]:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index])) if by_length else range(len(texts))
        answers: list[dict[str, Any]] = [{}] * len(texts)
        for index, answer in zip(
            order, classify([texts[index] for index in order], batch_size=batch_size), strict=True
        ):
            answers[index] = answer
        return [answer["label"] for answer in answers], np.array([answer["score"] for answer in answers])

    return predictions


def _best_batch_size(classify: Any, texts: Sequence[str]) -> int:
    def seconds(batch_size: int) -> float:
        started = time.process_time()
        classify(list(texts), batch_size=batch_size)
        return time.process_time() - started

    classify(list(texts[:8]))  # the first call sets up
    return min(BATCH_SIZES, key=lambda size: min(seconds(size), seconds(size)))


def _compare(contenders: dict[str, Contender], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    equal, difference = dict.fromkeys(contenders, 0), dict.fromkeys(contenders, 0.0)
    for number in range(rounds):
        part = texts[number::rounds]
        answers = {}
        for name, classify in contenders.items():
            started = time.perf_counter(), time.process_time()
            answers[name] = classify(part)
            wall[name].append((time.perf_counter() - started[0]) / len(part))
            cpu[name].append((time.process_time() - started[1]) / len(part))
        labels, probabilities = answers["pipeline"]
        seconds = ", ".join(f"{name} {wall[name][-1] * len(part):.1f} s" for name in contenders)
        print(f"round {number + 1} of {rounds}, {len(part)} texts: {seconds}", file=sys.stderr)
        for name, (other, other_probabilities) in answers.items():
            equal[name] += sum(map(str.__eq__, labels, other))
            difference[name] = max(difference[name], float(np.abs(probabilities - other_probabilities).max()))

    def ratio(seconds: dict[str, list[float]], name: str) -> float:
        return statistics.median(p / o for p, o in zip(seconds["pipeline"], seconds[name], strict=True))

    others = [name for name in contenders if name != "pipeline"]
    return {
        "ratios": {f"{name}, wall": ratio(wall, name) for name in others}
        | {f"{name}, CPU": ratio(cpu, name) for name in others},
        "rows_per_second": {name: 1 / statistics.median(seconds) for name, seconds in wall.items()},
        "cpu_ms_per_row": {name: 1000 * statistics.median(seconds) for name, seconds in cpu.items()},
        "equal_labels": equal,
        "largest_probability_difference": difference,
    }


if __name__ == "__main__":
    main()
