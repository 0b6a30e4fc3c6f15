"""A step of text with other columns compared with a step of the text alone: CPU seconds (on a GPU, seconds) a step.

Each round runs every fusion once on the same rows, and a ratio is the median over the rounds, so that other load on the
machine affects all alike. The encoder is a random BERT of 3 layers, 384 wide, all of whose weights are trained; with
--features only a linear head on features that are computed once, where a step is a few milliseconds. The rows are
random tokens of lognormal lengths, each with 40 numbers as columns. The objectives are the supervised loss and UDA
without a threshold. The timing covers packing, forward, backward and the optimizer.

    python scripts/benchmark_fusion.py --json                 about a minute on one core
    python scripts/benchmark_fusion.py --features --json      some seconds
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from text_uda.fusion import Early, Fusion, Intermediate, Late
from text_uda.fusion.fitted_columns import FittedColumn, FittedColumns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.model.bit_dropout import use_bit_dropout
from text_uda.model.inputs import Batch, Features, Inputs, pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import make_linear
from text_uda.model.packing import pack
from text_uda.objectives import UDA, Supervised
from text_uda.training.step import Step

OBJECTIVES = (Supervised(), UDA(confidence_threshold=0, alignment=None))
FUSIONS: dict[str, Fusion | None] = {
    "text": None,
    "early": Early(),
    "intermediate": Intermediate(),
    "late": Late(),
    "early, column dropout": Early(column_dropout=0.2),
}
LIMIT = 1.1
WIDTH, COLUMNS = 384, 40
FITTED = FittedColumns(tuple(FittedColumn(f"c{n}", "numeric", (0.0,), (1.0,)) for n in range(COLUMNS // 2)))


def _rows(rows: int, chance: np.random.Generator, options: argparse.Namespace) -> Inputs:
    columns = torch.from_numpy(chance.normal(size=(rows, COLUMNS))).float()
    if options.features:
        return Features(torch.from_numpy(chance.normal(size=(rows, WIDTH))).float(), columns)
    lengths = np.clip(np.exp(chance.normal(np.log(40), 0.6, rows)), 5, 128).astype(int)
    return replace(pad([chance.integers(5, 1000, length) for length in lengths], pad_id=0), columns=columns)


def _step_of(fusion: Fusion | None, options: argparse.Namespace, device: torch.device) -> Callable[[Batch, int], None]:
    """A training step on a batch."""
    config = BertConfig(
        vocab_size=1000, hidden_size=WIDTH, num_hidden_layers=options.layers, num_attention_heads=12,
        intermediate_size=1536, num_labels=14,
    )  # fmt: skip
    with seeded_torch(0):
        model = BertForSequenceClassification(config).train().to(device)
    if options.features:
        make_linear(model)
        model.base_model.requires_grad_(False)
    use_bit_dropout(model)
    pack(model)
    fitted = None if fusion is None else FittedFusion(fusion, FITTED)
    if fitted is not None:
        fitted.attach(model, tune="head" if options.features else "all", seed=0)
    step = Step(model, OBJECTIVES, steps=10**6, fusion=fitted)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-6, fused=True)

    def train(batch: Batch, number: int) -> None:
        if fitted is None:
            parts = {name: getattr(batch, name) for name in ("labeled", "original", "augmented")}
            batch = replace(batch, **{name: replace(part, columns=None) for name, part in parts.items()})
        with seeded_torch(number):
            step(batch, number).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train


def compare(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    chance = np.random.default_rng(0)
    steps = {name: _step_of(fusion, options, device) for name, fusion in FUSIONS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):  # the first one is the warm-up and is not recorded
        labeled = options.labeled
        views = [_rows(rows, chance, options) for rows in (labeled, 3 * labeled, 3 * labeled)]
        batch = Batch(views[0], torch.arange(labeled) % 14, views[1], views[2]).to(device)
        names = list(steps)
        for name in names[number % len(names) :] + names[: number % len(names)]:  # no fixed order
            started = _now(device)
            steps[name](batch, number)
            if number:
                seconds[name].append(_now(device) - started)
    ratios = {name: np.divide(seconds[name], seconds["text"]) for name in FUSIONS if name != "text"}
    return {
        "ratios": {name: round(float(np.median(values)), 3) for name, values in ratios.items()},
        "limit": LIMIT,
        "figures": {name: [round(float(v), 5) for v in np.quantile(s, [0, 0.5, 1])] for name, s in seconds.items()},
        "machine": f"{platform.machine()}, {device.type}, {torch.get_num_threads()} threads",
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }


def _now(device: torch.device) -> float:
    """On a CPU the time of this process, which other processes do not affect."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument(
        "--labeled", type=int, default=8, help="labeled rows of a step; there are 3 times the unlabeled"
    )
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--features", action="store_true", help="a head on features in place of a whole encoder")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record = compare(options, device)
    print(json.dumps(record) if options.json else json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
