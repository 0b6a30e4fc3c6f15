"""Whole round trips beside transformers' `generate`: real sentences in, usable paraphrases in a cache out.

    python scripts/benchmark_backtranslation.py --models models/eng-spa,models/spa-eng --json

Ours is `paraphrase`: protected words, tokenization, two translations, filters, and the cache on disk. The peers are
what a short script does: MarianTokenizer, `generate` and `batch_decode`, there and back, with neither filters nor a
cache. All sample at temperature 0.9, and end a translation after three times the tokens of its source and ten more;
the peers take the longest source of a batch. Each round gives other sentences to every contender in turn (to batch 1
an eighth of them), so that other load on the machine affects all alike; a ratio is the median of the ratios within a
round. Apertium, where it is installed, translates the same sentences by rules. Rates are sentences per second of CPU
time, with child processes.

`scripts/distill_translator.py` makes two models where no hub is in reach.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import MarianMTModel, MarianTokenizer
from transformers.utils.logging import disable_progress_bar

from text_uda import BackTranslation, load, paraphrase
from text_uda.errors import UserError
from text_uda.model.precision import cpu_name

TEMPERATURE = 0.9
PEERS = {"transformers, batch 1": 1, "transformers, batch 32, data-set order": 32}
SHARE_OF_SINGLE = 8  # batch 1 translates one sentence of so many
PRECISIONS = {"marian": ("float32", "bfloat16", "int8"), "ctranslate2": ("int8",)}

Contender = Callable[[Sequence[str]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models",
        default="models/eng-spa,models/spa-eng",
        help="folders or hub ids of two MarianMT models, there and back (default: %(default)s)",
    )
    parser.add_argument("--sentences", type=int, default=512, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.models.count(",") != 1:
        parser.error(f"--models {options.models}: give two models with a comma between them")
    disable_progress_bar()
    torch.set_num_threads(1)
    try:
        contenders = _contenders(options.models)
    except OSError as error:
        parser.error(f"--models {options.models}: {' '.join(str(error).split())}")
    texts = list(dict.fromkeys(load("movie-snippets").train.texts))[: options.sentences * (options.rounds + 1)]
    rounds = [texts[start :: options.rounds + 1] for start in range(options.rounds + 1)]
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number, sentences in enumerate(rounds):  # the first one is the warm-up and is not recorded
        for name, contender in contenders.items():
            of_round = sentences[:32] if number == 0 else sentences
            of_round = of_round[::SHARE_OF_SINGLE] if PEERS.get(name) == 1 else of_round
            started = _cpu_seconds()
            contender(of_round)
            rate = len(of_round) / (_cpu_seconds() - started)
            if number:
                rates[name].append(rate)
                print(f"round {number} of {options.rounds}: {name}: {rate:.1f} sentences/CPU-s", file=sys.stderr)
    record = {
        "ratios": {
            f"{name} over {peer}": round(statistics.median(a / b for a, b in zip(mine, rates[peer], strict=True)), 2)
            for name, mine in rates.items() for peer in PEERS if name not in PEERS
        },
        "figures": {
            "sentences_per_cpu_s": {name: round(statistics.median(of_all), 2) for name, of_all in rates.items()},
            "options": vars(options),
        },
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("torch", "transformers")} | {"python": platform.python_version()},
    }  # fmt: skip
    print(json.dumps(record, indent=None if options.json else 1))


def _contenders(models: str) -> dict[str, Contender]:
    forward, back = models.split(",")
    contenders = {name: _theirs([forward, back], size) for name, size in PEERS.items()}
    jobs = {
        f"{engine}:, {precision}": BackTranslation(
            translator=f"{engine}:{models}", precision=precision, temperature=TEMPERATURE
        )
        for engine, precisions in PRECISIONS.items()
        for precision in precisions
    }
    for name, job in {**jobs, "apertium:eng-spa": BackTranslation()}.items():
        try:
            job(["A sentence."], [0])  # opens the models
        except UserError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
        else:
            contenders[name] = _ours(job)
    return contenders


def _ours(job: BackTranslation) -> Contender:
    def run(sentences: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            paraphrase(list(sentences), job, Path(folder) / "cache")

    return run


def _theirs(models: Sequence[str], batch_size: int) -> Contender:
    directions: list[tuple[Any, Any]] = [
        (MarianMTModel.from_pretrained(name).eval(), MarianTokenizer.from_pretrained(name)) for name in models
    ]
    decoding: dict[str, Any] = {
        "do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "num_beams": 1, "max_length": None,
    }  # fmt: skip

    def run(sentences: Sequence[str]) -> None:
        for start in range(0, len(sentences), batch_size):
            texts = list(sentences[start : start + batch_size])
            for model, tokenizer in directions:
                inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
                longest = 3 * inputs["input_ids"].shape[1] + 10
                with torch.inference_mode():
                    outputs = model.generate(**inputs, **decoding, max_new_tokens=longest)
                texts = tokenizer.batch_decode(outputs, skip_special_tokens=True)

    return run


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
