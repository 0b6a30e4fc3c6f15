"""Memory and speed by the number of unlabeled texts: reading a file, splitting, tokenizing, training steps.

    python scripts/study_scale.py --json                            10,000, 100,000 and 1 million reviews
    python scripts/study_scale.py --rows 1000000 6000000            more; about 1.5 GB of disk per million

The reviews are synthetic: lognormal lengths (median 30 words, one in a thousand above 480), words by Zipf's law, equal
for equal numbers of rows. `load` reads them from a .jsonl file, then follow `split` and `train` with the Pi-model on a
tiny random BERT (2 layers of 32), so that the arithmetic of the model takes little of the time. `tokenise` is the part
of `train` before the first step, including about a second to load the model; `steps` is the rest.

Each size runs in a separate process. Memory is the peak of the pages that the system cannot reclaim (RssAnon) in each
part; `resident` includes pages of mapped files, which it can reclaim. Speeds are per CPU-second, since other processes
disturb wall-clock time.
"""

import argparse
import json
import os
import platform
import resource
import string
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from text_uda.data import load, split
from text_uda.keyed_random import keyed_generator
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.objectives import PRESETS
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

LABELED = 2000
MAX_TOKENS = 64
VOCABULARY = 20_000
BLOCK = 10_000  # reviews generated at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="folder of all files (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # measure this size in this process
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.folder, arguments.one, arguments.steps)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        make_encoder(folder / "encoder")
        figures = []
        for rows in arguments.rows:
            write_reviews(folder / f"reviews-{rows}.jsonl", rows)
            command = [sys.executable, __file__, "--one", str(rows), "--steps", str(arguments.steps)]
            environment = os.environ | {"TMPDIR": name}  # for mapped files
            completed = subprocess.run(
                [*command, "--folder", name], stdout=subprocess.PIPE, text=True, check=True, env=environment
            )
            figures.append(json.loads(completed.stdout.splitlines()[-1]))
            (folder / f"reviews-{rows}.jsonl").unlink()
            if not arguments.json:
                print(json.dumps(figures[-1]), flush=True)
    if arguments.json:
        machine = {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
        versions = {name: version(name) for name in ("torch", "transformers", "pyarrow")}
        print(json.dumps({"figures": figures, "machine": machine, "versions": versions}))


def measure(folder: Path, rows: int, steps: int) -> dict[str, float]:
    """Peak MB and CPU-seconds of each part, rows and steps per CPU-second."""
    torch.set_num_threads(1)
    write_labeled(folder / "labeled.csv")
    settings = TrainSettings(
        encoder=str(folder / "encoder"),
        steps=steps,
        max_tokens=MAX_TOKENS,
        evaluate_every=steps,
        checkpoint_every=steps,
        log_every=100,
        precision="fp32",
    )
    figures: dict[str, float] = {"rows": rows, "begin_mb": anonymous_mb()}
    with measured() as read:
        corpus = load(folder / "labeled.csv", unlabeled=folder / f"reviews-{rows}.jsonl")
    with measured() as divided:
        parts = split(corpus, labels=100, seed=0)
    del corpus
    run = folder / f"run-{rows}"
    with measured(run / "metrics.jsonl") as trained:  # the run writes it after tokenization, before the first step
        train(parts, objectives=PRESETS["pi-model"].objectives, settings=settings, out=run)
    for name, spent in (("read", read[0]), ("split", divided[0]), ("tokenise", trained[0]), ("steps", trained[1])):
        figures |= {f"{name}_cpu_s": round(spent.cpu_s, 2), f"{name}_peak_mb": spent.peak_mb}
    figures |= {f"{name}_texts_per_cpu_s": round(rows / figures[f"{name}_cpu_s"]) for name in ("read", "tokenise")}
    figures["steps_per_cpu_s"] = round(steps / trained[1].cpu_s, 2)
    figures["resident_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return figures


@dataclass
class Spent:
    cpu_s: float = 0.0
    peak_mb: int = 0


@contextmanager
def measured(second_part: Path | None = None) -> Iterator[tuple[Spent, Spent]]:
    """Time and memory of the block, and of its second part, which starts when the file `second_part` exists."""
    ended, parts = threading.Event(), (Spent(), Spent())

    def watch() -> None:
        start, last = time.process_time(), False
        part = parts[0]
        while not last:
            last = ended.wait(0.02)
            if part is parts[0] and second_part is not None and second_part.exists():
                start, part = time.process_time(), parts[1]
            part.cpu_s = time.process_time() - start
            part.peak_mb = max(part.peak_mb, anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield parts
    finally:
        ended.set()
        watcher.join()


def anonymous_mb() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) // 1024


# --- synthetic data ---------------------------------------------------------------------------------------------------


def words() -> list[str]:
    """Pronounceable words; the frequent ones are short."""
    syllables = ["".join(pair) for pair in zip("bcdfghjklmnprstvwz" * 5, "aeiou" * 18, strict=True)]
    draw = keyed_generator("study scale", "words")
    unique: dict[str, None] = {}
    while len(unique) < VOCABULARY:
        count = min(4, 1 + len(unique) // 50)
        unique["".join(draw.choice(syllables, size=count))] = None
        unique["".join(draw.choice(syllables, size=count + 1))] = None
    return list(unique)[:VOCABULARY]


def reviews(rows: int, name: str) -> Iterator[str]:
    vocabulary = np.array(words())
    edges = np.cumsum(1 / np.arange(2, VOCABULARY + 2))
    for block in range(0, rows, BLOCK):
        draw = keyed_generator("study scale", name, block)
        count = min(BLOCK, rows - block)
        lengths = np.clip(draw.lognormal(np.log(30), 0.9, size=BLOCK), 3, 4000).astype(int)[:count]
        ranks = np.searchsorted(edges, draw.random(int(lengths.sum())) * edges[-1])
        for text in np.split(vocabulary[ranks], np.cumsum(lengths)[:-1]):
            yield " ".join(text)


def write_reviews(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text in reviews(rows, "unlabeled"):
            file.write(json.dumps({"text": text}) + "\n")


def write_labeled(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for number, text in enumerate(reviews(LABELED, "labeled")):
            file.write(f"{text},{number % 2}\n")


def make_encoder(folder: Path) -> None:
    """A random BERT, 2 layers of 32, whose tokenizer knows the words."""
    letters = [*string.ascii_lowercase, *string.digits]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters), *words()]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=MAX_TOKENS).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS,
    )
    with seeded_torch(0):
        BertModel(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
