"""A step of several tasks compared with a step of one task at equal rows: CPU seconds (on a GPU, seconds) a step.

Each round runs every method once on the same rows, and a ratio is the median over the rounds, so that other load on the
machine affects all methods equally. The encoder is a random BERT of 3 layers, 384 wide. The rows are random tokens of
lognormal lengths; each task has 1/T of them, and a step of one task has all of them. The objectives are the supervised
loss and UDA without a threshold, so each has a pass without gradient and one with it. The timing covers packing,
forward, backward, the method and the optimizer.

    python scripts/benchmark_tasks.py --json          about a minute on one core
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from text_uda.model.bit_dropout import use_bit_dropout
from text_uda.model.inputs import Batch, Tokens, concatenate, pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.objectives import UDA, Supervised
from text_uda.tasks.alternate import Alternate
from text_uda.tasks.joint import Joint
from text_uda.tasks.joint_step import JointStep
from text_uda.tasks.method import TaskBatches, TaskMethod
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.uncertainty import new_log_variances
from text_uda.training.step import Step, StepLoss

OBJECTIVES = (Supervised(), UDA(confidence_threshold=0, alignment=None))
METHODS: dict[str, TaskMethod] = {
    "joint": Joint(),
    "joint uncertainty": Joint(weights="uncertainty"),
    "pcgrad": Joint(weights="pcgrad"),
    "alternate": Alternate(),
}
LIMITS = {"joint": 1.1, "joint uncertainty": 1.1, "pcgrad": 1.4, "alternate": 1.0}
ALONE = "one task"


def _rows(rows: int, chance: np.random.Generator) -> Tokens:
    lengths = np.clip(np.exp(chance.normal(np.log(40), 0.6, rows)), 5, 128).astype(int)
    return pad([chance.integers(5, 1000, length) for length in lengths], pad_id=0)


def _batch(labeled: int, chance: np.random.Generator, device: torch.device) -> Batch:
    labels = torch.arange(labeled) % 2
    return Batch(_rows(labeled, chance), labels, _rows(3 * labeled, chance), _rows(3 * labeled, chance)).to(device)


def _joined(batches: list[Batch]) -> Batch:
    """The rows of all tasks as those of one."""
    parts = [[getattr(batch, name) for batch in batches] for name in ("labeled", "original", "augmented")]
    labeled, original, augmented = (concatenate(part, pad_id=0) for part in parts)
    return Batch(labeled, torch.cat([batch.labels for batch in batches]), original, augmented)


def _models(tasks: int, options: argparse.Namespace, device: torch.device) -> SharedEncoder:
    config = BertConfig(
        vocab_size=1000, hidden_size=384, num_hidden_layers=options.layers, num_attention_heads=12,
        intermediate_size=1536, num_labels=2,
    )  # fmt: skip
    with seeded_torch(0):
        models = [BertForSequenceClassification(config).train().to(device) for _ in range(tasks)]
    for model in models:
        use_bit_dropout(model)
        pack(model)
    return SharedEncoder(models)


def _step_of(name: str, tasks: list[str], options: argparse.Namespace, device: torch.device) -> Callable[..., None]:
    """A training step on (the batch of each task, the number of the step)."""
    method = METHODS.get(name, Joint())
    present = tasks if name in METHODS else tasks[:1]
    models = _models(len(present), options, device)
    if method.trains_weights:
        models.log_variances = new_log_variances(len(present), device)
    steps = {task: Step(model, OBJECTIVES, steps=1000) for task, model in zip(present, models.models, strict=True)}
    module = JointStep(models, steps, method, separable=True)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6, fused=True)

    def run(batches: TaskBatches, *key: object) -> StepLoss:
        result = module(batches, batches.step)
        result.loss.backward()
        return result

    def train(batches: dict[str, Batch], number: int) -> None:
        if name == ALONE or name == "alternate":  # all rows are those of one task
            batches = {present[number % len(present)]: _joined(list(batches.values()))}
        with seeded_torch(number):
            method.backward(run, TaskBatches(number, batches), models, seed=0)
        optimizer.step()
        optimizer.zero_grad()

    return train


def compare(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    tasks, chance = [f"task {number}" for number in range(options.tasks)], np.random.default_rng(0)
    steps = {name: _step_of(name, tasks, options, device) for name in (ALONE, *METHODS)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):  # the first one is the warm-up and is not recorded
        batches = {task: _batch(options.labeled // options.tasks, chance, device) for task in tasks}
        for name in sorted(steps, key=lambda name: (number % 2 == 0) == (name == ALONE)):  # no fixed order
            started = _now(device)
            steps[name](batches, number)
            if number:
                seconds[name].append(_now(device) - started)
        if number:
            print(f"round {number} of {options.rounds}", file=sys.stderr)
    ratios = {name: np.divide(seconds[name], seconds[ALONE]) for name in METHODS}
    return {
        "ratios": {name: round(float(np.median(values)), 3) for name, values in ratios.items()},
        "limits": LIMITS,
        "figures": {name: [round(float(v), 3) for v in np.quantile(s, [0, 0.5, 1])] for name, s in seconds.items()},
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
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument(
        "--labeled", type=int, default=8, help="labeled rows of a step; there are 3 times the unlabeled"
    )
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record = compare(options, device)
    print(json.dumps(record) if options.json else json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
