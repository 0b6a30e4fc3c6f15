"""The share of CPU time that a training spends outside forward and backward.

Outside are rows, copies, the augmented view, clipping, optimizer and metrics. The training is UDA with an in-step
augmentation, on a random BERT of 6 layers, 384 wide, in float32 on one thread.

    python scripts/benchmark_loop.py --json
"""

import argparse
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from text_uda.augment.uniform import Uniform
from text_uda.data import Rows, Split, load
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import cpu_name
from text_uda.model.pretrained import load_tokenizer
from text_uda.objectives import UDA, Supervised
from text_uda.training.in_step_augmentation import augmented_view
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.train_classifier import train

WORDS_MEDIAN, WORDS_SIGMA = 75, 0.72  # of the lognormal lengths of reviews


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--labeled", type=int, default=4, help="labeled rows of a step; three unlabeled ones for each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    os.environ["ACCELERATE_USE_CPU"] = "true"
    shares = _shares(options.steps, options.labeled)
    record = {"figures": shares, "machine": {"cpu": cpu_name(), "load": os.getloadavg()[0]}}
    print(json.dumps(record, indent=None if options.json else 1))


def _shares(steps: int, labeled: int) -> dict[str, float]:
    """From the forward pass of the second step to that of the last one."""
    starts: list[float] = []
    spent = {"forward": 0.0, "backward": 0.0, "augmentation": 0.0}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            started = time.process_time()
            starts.extend([started] if name == "forward" else [])
            result = call(*arguments, **keywords)
            inside = 1 < len(starts) <= steps + 1  # the first is the warm-up, and the last only ends the measurement
            spent[name] += inside * (time.process_time() - started)
            return result

        return run

    texts = _reviews((steps + 3) * 4 * labeled)
    few = Rows(tuple(texts[: 2 * labeled]), (0, 1) * labeled)
    with tempfile.TemporaryDirectory() as folder:
        encoder = str(Path(folder) / "encoder")
        with seeded_torch(0):
            sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
            BertForSequenceClassification(BertConfig(**sizes, num_labels=2)).save_pretrained(encoder)
        load_tokenizer("minilm-l6").save_pretrained(encoder)
        settings = TrainSettings(encoder=encoder, steps=steps + 2, labeled_batch=labeled, unlabeled_ratio=3,
                                 precision="fp32", max_tokens=256, evaluate_every=steps + 3)  # fmt: skip
        split = Split("benchmark", ("negative", "positive"), few, tuple(texts[2 * labeled :]), few, few, "0" * 32)
        with (
            patch.object(Step, "forward", timed("forward", Step.forward)),
            patch("text_uda.training.step.augmented_view", timed("augmentation", augmented_view)),
            patch.object(torch.Tensor, "backward", timed("backward", torch.Tensor.backward)),
        ):
            losses, augmentation = (Supervised(), UDA()), Uniform(tokenizer=encoder)
            train(split, objectives=losses, augmentation=augmentation, settings=settings, out=Path(folder) / "run")
    loop = starts[-1] - starts[1]
    outside = 1 - (spent["forward"] - spent["augmentation"] + spent["backward"]) / loop
    return {"outside": round(outside, 4), "augmentation": round(spent["augmentation"] / loop, 5), "steps": steps}


def _reviews(count: int) -> list[str]:
    words = " ".join(load("movie-snippets").train.texts).split()
    lengths = np.random.default_rng(0).lognormal(np.log(WORDS_MEDIAN), WORDS_SIGMA, count).astype(int) + 1
    ends = np.cumsum(lengths)
    return [
        " ".join(words[place % len(words)] for place in range(end - length, end))
        for end, length in zip(ends, lengths, strict=True)
    ]


if __name__ == "__main__":
    main()
