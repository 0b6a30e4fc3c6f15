"""SetFit, the usual alternative, compared with our logistic regression: errors and CPU-seconds on the same rows.

Each data set and seed is one split, with the labels, test rows and packaged encoder (MiniLM, 6 layers) of
`text-uda ablate table2 --size small`. SetFit (Tunstall et al. 2022, arXiv 2209.11055) trains the whole encoder so that
the cosine of two labeled texts is 1 in a class and 0 between classes, then fits scikit-learn's logistic regression on
its embeddings. No development row is read: the error is that after the last step. Ours is `LogisticRegression` on the
frozen features. CPU-seconds are those of training on one thread, including the encoding of the labeled texts; the test
rows are timed separately.

The default of SetFit is one epoch over all pairs of labeled texts, 19,000 pairs for 140 labels. Without --whole, this
script takes fewer steps of 16 pairs: 60 for wordnet-6, 150 for wordnet-14, 100 for other data.

    pip install setfit            # 1.2; it runs with transformers 5
    python scripts/benchmark_peers.py --data wordnet-6 --seeds 1
    python scripts/benchmark_peers.py --seeds 5 --json
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from statistics import mean
from typing import Any

import numpy as np
import torch

from text_uda.data import Corpus, Split, load, split
from text_uda.experiment.sizes import SETTINGS, limit_of, setting
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import cpu_name
from text_uda.model.pretrained import encoder_path, load_classifier
from text_uda.objectives import LogisticRegression

DATA = ("wordnet-6", "wordnet-14", "movie-snippets", "movie-snippets-5")
STEPS = {"wordnet-6": 60, "wordnet-14": 150}
STEPS_OF_OTHERS = 100
PAIRS = 16  # of a step, SetFit's default

Method = Callable[[Split, int], tuple[float, float, float]]  # split, seed -> error %, CPU-seconds of training, of test


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    figures: list[dict[str, Any]] = []
    for name in options.data:
        corpus = load(name, limit=limit_of("small"))
        labels = options.labels or setting(corpus, "small").few
        steps = -1 if options.whole else options.steps or STEPS.get(name, STEPS_OF_OTHERS)
        methods: dict[str, Method] = {
            "logistic regression": _ours(corpus),
            "SetFit": lambda part, seed, steps=steps: set_fit(part, seed, steps),
        }
        for seed in range(options.seeds):
            part = split(corpus, labels=labels, seed=seed)
            for method, run in methods.items():
                error, train_cpu_s, test_cpu_s = run(part, seed)
                figure = {"data": name, "labels": labels, "seed": seed, "method": method, "error": round(error, 3)}
                figure |= {"steps": steps if method == "SetFit" else 0, "test_rows": len(part.test)}
                figures.append(figure | {"train_cpu_s": round(train_cpu_s, 2), "test_cpu_s": round(test_cpu_s, 2)})
                print(json.dumps(figures[-1]), file=sys.stderr if options.json else sys.stdout, flush=True)
    record = {"ratios": _ratios(figures), "figures": figures}
    machine = {"processor": cpu_name(), "cores": os.cpu_count(), "threads": 1}
    packages = ("setfit", "sentence-transformers", "transformers", "torch", "scikit-learn")
    versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    record |= {"machine": machine, "versions": versions}
    print(json.dumps(record)) if options.json else _print(record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=DATA, help="names or files, as `text-uda train` takes them")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0")
    parser.add_argument("--labels", type=int, help="in all (default: as in a study of size small)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help=f"of SetFit, {PAIRS} pairs each")
    length.add_argument(
        "--whole", action="store_true", help="the default length of SetFit: one epoch over all pairs, oversampled"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _ours(corpus: Corpus) -> Method:
    pretrained = load_classifier(SETTINGS.encoder, corpus.classes, seed=0, linear_head=True)

    def regression(part: Split, seed: int) -> tuple[float, float, float]:
        # A new encoder for each seed, which has no features of the seed before.
        encoder = FrozenEncoder(pretrained.model, pretrained.tokenizer, max_tokens=SETTINGS.max_tokens)
        start = time.process_time()
        features = encoder.rows(part.labeled.texts).values.numpy()
        labels = np.asarray(part.labeled.labels)
        linear = LogisticRegression().fit(features, labels, features[:0], classes=len(part.classes), seed=seed)
        trained = time.process_time()
        predicted = linear.probabilities(encoder.rows(part.test.texts).values.numpy()).argmax(axis=-1)
        return _error(predicted.tolist(), part), trained - start, time.process_time() - trained

    return regression


def set_fit(part: Split, seed: int, steps: int) -> tuple[float, float, float]:
    """Error in percent, CPU-seconds of training and of predicting the test rows.

    Args:
        steps: of 16 pairs; -1 for one epoch.
    """
    try:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError as error:
        raise SystemExit(f"SetFit cannot be imported ({error}): pip install setfit") from error
    model = SetFitModel.from_pretrained(encoder_path(SETTINGS.encoder), labels=list(range(len(part.classes))))
    model.model_body.max_seq_length = SETTINGS.max_tokens
    rows = Dataset.from_dict({"text": list(part.labeled.texts), "label": list(part.labeled.labels)})
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=PAIRS,
            max_steps=steps,
            num_epochs=1,
            seed=seed,
            save_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        start = time.process_time()
        with redirect_stdout(sys.stderr):  # it prints its losses
            trainer.train()
        trained = time.process_time()
        predicted = model.predict(list(part.test.texts), batch_size=64, show_progress_bar=False)
    return _error([int(label) for label in predicted], part), trained - start, time.process_time() - trained


def _error(predicted: Sequence[int], part: Split) -> float:
    return 100 * float(np.mean(np.asarray(predicted) != np.asarray(part.test.labels)))


def _ratios(figures: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of SetFit to logistic regression, of means over the seeds."""
    ratios = {}
    for name in dict.fromkeys(figure["data"] for figure in figures):
        for quantity in ("error", "train_cpu_s"):
            theirs, ours = (
                mean(one[quantity] for one in figures if one["data"] == name and one["method"] == method)
                for method in ("SetFit", "logistic regression")
            )
            ratios[f"{quantity}, SetFit to logistic regression, {name}"] = round(theirs / ours, 3)
    return ratios


def _print(record: dict[str, Any]) -> None:
    for name, ratio in record["ratios"].items():
        print(f"{name:<72} {ratio:8.2f}x")
    print(f"{record['machine']} {record['versions']}")


if __name__ == "__main__":
    main()
