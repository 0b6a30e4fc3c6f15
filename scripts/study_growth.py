"""Time and memory of each stage from 10,000 to a million texts: a table, a plot, and how the time grows.

    python scripts/study_growth.py --out growth                     about an hour; finished measurements are kept
    python scripts/study_growth.py --out growth --stages paraphrase-synonym pairs --rows 10000 100000
    python scripts/study_growth.py --out growth --report            only the table and growth.svg, from what is there

Reviews are one to some dozens of real sentences of movie reviews, in each of which two words are replaced by words of
other sentences, so that hardly any sentence occurs twice; a thousandth has more than 480 words. The encoder is a random
BERT of 2 layers, 32 wide: everything but the arithmetic of an encoder, which grows with the tokens, is measured.

Each stage and size runs in a process of its own. Time is the CPU time of that process and of its children, since other
processes disturb wall time. Memory is the peak of the pages that the system cannot reclaim (RssAnon), of that process.
Back-translation with Apertium stops at 100,000 texts: a million takes nearly four hours.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from text_uda import (
    BackTranslation,
    Cache,
    SwitchOut,
    Synonym,
    load,
    paraphrase,
    predict_file,
    split,
    train,
    write_pairs,
)
from text_uda.keyed_random import keyed_generator
from text_uda.model.encoder_files import encoder_path
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import cpu_name
from text_uda.model.pretrained import load_classifier, load_tokenizer
from text_uda.objectives import PRESETS
from text_uda.training.settings import TrainSettings

MAX_TOKENS = 64
LABELED = 2000
BLOCK = 10_000  # reviews that are made at a time


@dataclass(frozen=True)
class Place:
    """The files of one size."""

    out: Path
    rows: int

    @property
    def encoder(self) -> Path:
        return self.out / "encoder"

    @property
    def reviews(self) -> Path:
        return self.out / f"reviews-{self.rows}.jsonl"

    @property
    def labeled(self) -> Path:
        return self.out / "labeled.csv"

    def new(self, name: str) -> Path:
        """A path for what a stage makes; nothing of an earlier try is there."""
        path = self.out / f"{name}-{self.rows}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def texts(self) -> Any:
        return load(self.labeled, unlabeled=self.reviews).unlabeled

    def settings(self, steps: int) -> TrainSettings:
        return TrainSettings(encoder=str(self.encoder), steps=steps, max_tokens=MAX_TOKENS, evaluate_every=steps,
                             checkpoint_every=steps, log_every=100, precision="fp32")  # fmt: skip


Work = Callable[[], object]  # what is measured


def _read(place: Place) -> Work:
    return lambda: load(place.labeled, unlabeled=place.reviews)


def _split(place: Place) -> Work:
    corpus = load(place.labeled, unlabeled=place.reviews)
    return lambda: split(corpus, labels=100, seed=0)


def _paraphrase(place: Place, method: Any, name: str) -> Work:
    texts, cache = place.texts(), Cache(place.new(f"cache-{name}"))
    return lambda: paraphrase(texts, method, cache)


def _switchout(place: Place) -> SwitchOut:
    return SwitchOut(tokenizer=str(place.encoder), rate=0.1)


def _pairs(place: Place) -> Work:
    """The cache of SwitchOut joined to the texts, and written."""
    texts, cache, method = place.texts(), Cache(place.new("cache-pairs")), _switchout(place)
    paraphrase(texts, method, cache)
    return lambda: write_pairs(texts, method, cache, place.out / f"pairs-{place.rows}.arrow")


def _encode(place: Place) -> Work:
    texts = place.texts()
    classifier = load_classifier(str(place.encoder), ("bad", "good"), seed=0)
    encoder = FrozenEncoder(classifier.model, classifier.tokenizer, max_tokens=MAX_TOKENS)
    return lambda: encoder.rows(texts)


def _train(place: Place) -> Work:
    """Tokenizing, and 300 steps."""
    parts = split(load(place.labeled, unlabeled=place.reviews), labels=100, seed=0)
    run = place.new("run")
    return lambda: train(parts, objectives=PRESETS["pi-model"].objectives, settings=place.settings(300), out=run)


def _predict(place: Place) -> Work:
    run = place.new("run-predict")
    parts = split(load(place.labeled), labels=100, seed=0)
    train(parts, objectives=PRESETS["supervised"].objectives, settings=place.settings(10), out=run)
    return lambda: predict_file(run, place.reviews, place.out / f"predictions-{place.rows}.jsonl")


STAGES: dict[str, Callable[[Place], Work]] = {
    "read": _read,
    "split": _split,
    "paraphrase-synonym": lambda place: _paraphrase(place, Synonym(), "synonym"),
    "paraphrase-switchout": lambda place: _paraphrase(place, _switchout(place), "switchout"),
    "paraphrase-apertium": lambda place: _paraphrase(place, BackTranslation(), "apertium"),
    "pairs": _pairs,
    "encode": _encode,
    "train": _train,
    "predict": _predict,
}
MOST_ROWS = {"paraphrase-apertium": 100_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE")
    parser.add_argument("--out", type=Path, required=True, help="folder of all files; some 2 GB for a million texts")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # measure this stage and size in this process
    options = parser.parse_args()
    if options.one is not None:
        stage, rows = options.one
        print(json.dumps(_measured(STAGES[stage], Place(options.out, int(rows)))))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for rows in [] if options.report else sorted(options.rows):
        place = Place(options.out, rows)
        _prepare(place)
        for stage in options.stages:
            record = options.out / f"{stage}-{rows}.json"
            if record.exists() or rows > MOST_ROWS.get(stage, rows):
                continue
            command = [sys.executable, __file__, "--out", str(options.out), "--one", stage, str(rows)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            record.write_text(done.stdout.splitlines()[-1] + "\n")
            print(f"{stage}, {rows:,} texts: {record.read_text().strip()}", file=sys.stderr, flush=True)
    figures = {
        stage: {int(path.stem.rpartition("-")[2]): json.loads(path.read_text()) for path in paths}
        for stage in STAGES
        if (paths := [path for path in options.out.glob(f"{stage}-*.json") if path.stem.rpartition("-")[0] == stage])
    }
    _print(figures)
    _plot(figures, options.out / "growth.svg")


def _measured(stage: Callable[[Place], Work], place: Place) -> dict[str, float]:
    torch.set_num_threads(1)
    os.environ["TEXT_UDA_FEATURES"] = "off"
    work = stage(place)
    with _peak_of_memory() as peak:
        started, begun = time.perf_counter(), _cpu_s()
        work()
        figures = {"cpu_s": round(_cpu_s() - begun, 2), "wall_s": round(time.perf_counter() - started, 2)}
    return figures | {"peak_mb": peak[0], "before_mb": peak[1]}


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def _peak_of_memory() -> Iterator[list[int]]:
    """[the peak in the block, what there was before it], in MB."""
    ended, peak = threading.Event(), [_anonymous_mb()] * 2

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], _anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _anonymous_mb() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) // 1024


# --- the reviews and the encoder --------------------------------------------------------------------------------------


def _prepare(place: Place) -> None:
    if not place.encoder.exists():
        load_tokenizer("minilm-l6").save_pretrained(place.encoder)
        known = json.loads((Path(encoder_path("minilm-l6")) / "config.json").read_text())["vocab_size"]
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        with seeded_torch(0):
            config = BertConfig(vocab_size=known, **sizes, max_position_embeddings=512)
            BertForSequenceClassification(config).save_pretrained(place.encoder)
    if not place.labeled.exists():
        lines = [f'"{text.replace(chr(34), "")}",{number % 2}\n' for number, text in enumerate(_reviews(LABELED, 1))]
        place.labeled.write_text("text,label\n" + "".join(lines), "utf-8")
    if not place.reviews.exists():
        unfinished = place.reviews.with_suffix(".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in _reviews(place.rows, 0))
        unfinished.rename(place.reviews)


def _reviews(rows: int, seed: int) -> Iterator[str]:
    sentences = [text.split() for text in load("movie-snippets").train.texts]
    words = [word for sentence in sentences for word in sentence if word.isalpha()]
    for block in range(0, rows, BLOCK):
        draw = keyed_generator("study growth", seed, block)
        lengths = np.clip(draw.lognormal(np.log(30), 0.9, size=BLOCK), 3, 4000).astype(int)[: rows - block]
        for length in lengths:
            review: list[str] = []
            while len(review) < length:
                sentence = [*sentences[draw.integers(len(sentences))]]
                for place in draw.integers(len(sentence), size=2):
                    sentence[place] = words[draw.integers(len(words))]
                review += sentence
            yield " ".join(review)


# --- the report -------------------------------------------------------------------------------------------------------


def _print(figures: dict[str, dict[int, dict[str, float]]]) -> None:
    sizes = sorted({rows for of_stage in figures.values() for rows in of_stage})
    print(f"texts a CPU-second and peak MB; {cpu_name()}, torch {version('torch')}")
    print("| stage | " + " | ".join(f"{rows:,} texts" for rows in sizes) + " | time grows with N to the power of |")
    print("| --- |" + " --- |" * (len(sizes) + 1))
    for stage, of_stage in figures.items():
        cells = [
            f"{rows / of_stage[rows]['cpu_s']:,.0f}, {of_stage[rows]['peak_mb']:,} MB" if rows in of_stage else ""
            for rows in sizes
        ]
        print(f"| {stage} | " + " | ".join(cells) + f" | {_power(of_stage)} |")


def _power(of_stage: dict[int, dict[str, float]]) -> str:
    """Between the two largest sizes."""
    if len(of_stage) < 2:
        return ""
    (few, small), (many, large) = sorted(of_stage.items())[-2:]
    return f"{math.log(large['cpu_s'] / small['cpu_s']) / math.log(many / few):.2f}"


def _plot(figures: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name, label in zip(
        figure.subplots(1, 2), ("cpu_s", "peak_mb"), ("CPU-seconds", "peak memory, MB"), strict=True
    ):
        for stage, of_stage in figures.items():
            sizes = sorted(of_stage)
            axes.plot(sizes, [of_stage[rows][name] for rows in sizes], marker="o", markersize=3, label=stage)
        axes.set(xlabel="texts", ylabel=label)
    figure.axes[0].set(xscale="log", yscale="log")
    figure.axes[1].set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
