"""A step of consistency training beside those of the reference codes: real tokens per CPU-second.

Each round runs every way once on the same rows, and a ratio is the median of those within a round, so that what else
the machine does meets all alike. The encoder is a random BERT of 6 layers, 384 wide. Rows, augmented rows and the
confidence threshold, the median of the largest probabilities of the round, so that half of the unlabeled rows pass, are
made before, and are those of all. Before anything is timed, all ways in float32 have to come to the same loss and the
same gradient: none may do less than another. What is timed is padding or packing, forward, backward and the optimiser.
A real token is one of a labeled, an original or an augmented row, whether or not a way gets round running it.

There are no whole reviews without a hub: the texts are those of TEXTS.

    python scripts/benchmark_train.py --json
"""

import argparse
import copy
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from text_uda.augment.uniform import Uniform
from text_uda.data import Rows as Texts
from text_uda.data import Split, load
from text_uda.model.classifier import Classifier
from text_uda.model.inputs import Batch, Tokens, concatenate, pad, pad_to_width
from text_uda.model.keyed_tensors import keyed_random
from text_uda.model.packing import pack
from text_uda.model.precision import resolve_precision
from text_uda.model.pretrained import load_tokenizer
from text_uda.objectives import UDA, Supervised
from text_uda.training.in_step_augmentation import augmented_view
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.train_classifier import train

CLASSES = ("negative", "positive")
REVIEW_MEDIAN, REVIEW_SIGMA = 98, 0.72  # of the lognormal lengths: 115 tokens in the mean once cut at 256
RATE = 1e-8  # the optimiser does its work, and the weights, hence what passes the threshold, stay as they are
AGREE = 1e-5  # relative, in float32
TEXTS = "reviews: consecutive sentences of movie reviews, joined to lognormal lengths; sentences: the same as they are"
VIEWS = ("labeled", "original", "augmented")
PEER = "padded to the maximum, three forwards, fp32"


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    texts = _texts(options)
    record: dict[str, Any] = {"ratios": {}, "figures": {"rounds": options.rounds, "texts": TEXTS}}
    for kind, own in texts.items():
        batches = _batches(own, options)
        figures = _compare(batches, options, torch.device("cpu"), kind)
        record["ratios"] |= {f"{name}, {kind}": ratio for name, ratio in figures.pop("ratios").items()}
        record["figures"][kind] = figures
    record["figures"]["outside_forward_and_backward"] = _outside(texts["reviews"], options)
    cuda = _on_cuda(texts["reviews"], options) if torch.cuda.is_available() else "not run: there is no CUDA device here"
    record["figures"] |= {"cuda": cuda, "bf16": "run" if options.bf16 else "not run: it is slow here; see --bf16"}
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "amx": "amx" in flags}
    versions = {"torch": torch.__version__, "transformers": version("transformers")}
    record |= {"machine": machine, "versions": versions | {"python": platform.python_version()}}
    print(json.dumps(record)) if options.json else _print(record)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labeled", type=int, default=4, help="labeled rows of a step")
    parser.add_argument("--ratio", type=int, default=3, help="unlabeled rows for each labeled one")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--bf16", action="store_true", help="also where the processor is slow at it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.bf16 |= resolve_precision("auto") == "bf16"
    return options


@dataclass(frozen=True)
class Rows:
    """One step's token ids; original[i] and augmented[i] are views of one text."""

    labeled: list[np.ndarray]
    labels: Tensor
    original: list[np.ndarray]
    augmented: list[np.ndarray]
    device: torch.device
    threshold: float = 0.0

    @property
    def tokens(self) -> int:
        return sum(len(row) for row in (*self.labeled, *self.original, *self.augmented))

    def padded(self, rows: list[np.ndarray], width: int | None = None) -> Tokens:
        tokens = pad(rows, pad_id=0)
        return (tokens if width is None else pad_to_width(tokens, width, pad_id=0)).to(self.device)  # pyright: ignore


def _texts(options: argparse.Namespace) -> dict[str, list[str]]:
    """As many texts of each kind as are needed."""
    count = (options.rounds + 1) * options.labeled * (1 + options.ratio)
    sentences = load("movie-snippets").train.texts
    encoded: Any = load_tokenizer("minilm-l6")(list(sentences), add_special_tokens=False)["input_ids"]
    lengths = list(map(len, encoded))
    reviews, place = [], 0
    for wanted in np.random.default_rng(0).lognormal(np.log(REVIEW_MEDIAN), REVIEW_SIGMA, count):
        first, there = place, 0
        while place == first or there + lengths[place % len(lengths)] / 2 < wanted:
            there += lengths[place % len(lengths)]
            place += 1
        reviews.append(" ".join(sentences[index % len(sentences)] for index in range(first, place)))
    return {"reviews": reviews, "sentences": [sentences[index % len(sentences)] for index in range(count)]}


def _batches(texts: Sequence[str], options: argparse.Namespace) -> list[Rows]:
    """Of the warm-up, then of each round."""
    encoded = load_tokenizer("minilm-l6")(list(texts), truncation=True, max_length=options.max_tokens)["input_ids"]
    ids, generator = [np.asarray(row) for row in encoded], torch.Generator().manual_seed(0)
    view = Uniform().on_tokens(pad(ids, pad_id=0), generator).input_ids.numpy()
    other = [row[: len(own)] for row, own in zip(view, ids, strict=True)]
    labels, batches = torch.arange(options.labeled) % len(CLASSES), []
    for start in range(0, len(ids), options.labeled * (1 + options.ratio)):
        cut, stop = start + options.labeled, start + options.labeled * (1 + options.ratio)
        batches.append(Rows(ids[start:cut], labels, ids[cut:stop], other[cut:stop], torch.device("cpu")))
    return batches


def _lengths(batches: Sequence[Rows], options: argparse.Namespace) -> dict[str, float]:
    lengths = np.array([len(row) for batch in batches for row in (*batch.labeled, *batch.original)])
    found = {"mean": lengths.mean(), "median": np.median(lengths), "max": lengths.max()}
    found |= {"fill": lengths.mean() / options.max_tokens, "share_cut": (lengths == options.max_tokens).mean()}
    return {name: round(float(value), 3) for name, value in found.items()}


class Way(NamedTuple):
    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    forward: Callable[[Rows], Tensor]  # to the loss
    half: bool = False

    def run(self, rows: Rows, number: int) -> None:
        with keyed_random(number), torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=self.half):
            loss = self.forward(rows)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def _encoder(options: argparse.Namespace) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        max_position_embeddings=max(512, options.max_tokens), num_labels=len(CLASSES), attn_implementation="sdpa",
    )  # fmt: skip
    with keyed_random(0):
        return BertForSequenceClassification(config).train()


def _ways(model: PreTrainedModel, ours: PreTrainedModel, options: argparse.Namespace) -> dict[str, Way]:
    theirs, own = (torch.optim.AdamW(each.parameters(), lr=RATE, fused=True) for each in (model, ours))

    def logits(tokens: Any) -> Tensor:
        return model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits.float()

    def three(rows: Rows, width: int | None) -> Tensor:
        labeled = logits(rows.padded(rows.labeled, width))
        with torch.no_grad():
            original = logits(rows.padded(rows.original, width))
        return _loss(rows, labeled, original, logits(rows.padded(rows.augmented, width)))

    def joint(rows: Rows) -> Tensor:
        parts = [rows.padded(getattr(rows, view)) for view in VIEWS]
        labeled, original, augmented = logits(concatenate(parts, pad_id=0)).split([len(part) for part in parts])
        return _loss(rows, labeled, original.detach(), augmented)

    def step(rows: Rows, left: bool) -> Tensor:
        objectives = (Supervised(), UDA(confidence_threshold=rows.threshold))
        labeled, *views = (rows.padded(getattr(rows, view)) for view in VIEWS)
        return Step(ours, objectives, steps=1, leave_out_masked=left)(Batch(labeled, rows.labels, *views), 0).loss

    ways = {
        PEER: Way(model, theirs, lambda rows: three(rows, options.max_tokens)),
        "padded to the batch, three forwards, fp32": Way(model, theirs, lambda rows: three(rows, None)),
        "padded to the batch, one joint forward, fp32": Way(model, theirs, joint),
        "ours, all rows, fp32": Way(ours, own, lambda rows: step(rows, False)),
        "ours, masked rows left out, fp32": Way(ours, own, lambda rows: step(rows, True)),
    }
    if not options.bf16:
        return ways
    halved = [name for name in ways if name == PEER or name.startswith("ours")]
    return ways | {name.replace("fp32", "bf16"): ways[name]._replace(half=True) for name in halved}


def _loss(rows: Rows, labeled: Tensor, original: Tensor, augmented: Tensor) -> Tensor:
    """Of UDA as a reference code writes it; the original view comes without gradient."""
    targets = original.softmax(dim=-1)
    confident = targets.amax(dim=-1) > rows.threshold
    divergence = kl_div(augmented.log_softmax(dim=-1), targets, reduction="none").sum(dim=-1)
    return cross_entropy(labeled, rows.labels) + (divergence * confident).mean()


@torch.no_grad()
def _with_threshold(ours: PreTrainedModel, rows: Rows, number: int) -> Rows:
    """Half of the rows are above it, under the dropout of this round: in our step the original view comes first."""
    with keyed_random(number):
        logits = Classifier(ours)(rows.padded(rows.original)).logits
    largest = logits.softmax(dim=-1).amax(dim=-1).sort().values.tolist()
    half = len(largest) // 2  # in between two, so that rounding decides nothing
    return replace(rows, threshold=sum(largest[half - 1 : half + 1]) / 2 if half else 0.0)


def _check(model: PreTrainedModel, ours: PreTrainedModel, rows: Rows, options: argparse.Namespace) -> dict[str, float]:
    """The largest relative difference of each way in float32 from the peer, without dropout: of loss and gradient."""
    rows = _with_threshold(ours, rows, 0)
    found: dict[str, tuple[float, Tensor]] = {}
    for name, way in _ways(model, ours, options).items():
        if not way.half:
            loss = way.forward(rows)
            loss.backward()
            parts = [parameter.grad.flatten() for parameter in way.model.parameters() if parameter.grad is not None]
            found[name] = float(loss.detach()), torch.cat(parts).double()
            way.optimizer.zero_grad()
    loss, gradient = found[PEER]
    apart = dict[str, float]()
    for name, (own, flat) in found.items():
        apart[name] = max(abs(own - loss) / abs(loss), float((flat - gradient).norm() / gradient.norm()))
    if not all(difference <= AGREE for difference in apart.values()):
        raise SystemExit(f"not the same work, so there is nothing to compare: relative differences {apart}")
    return {name: float(f"{difference:.1e}") for name, difference in apart.items()}


Pass = tuple[Tensor, int, bool]  # tokens, which stay on their device until asked for; places run; with gradient?


@contextmanager
def _noting(model: PreTrainedModel, passes: list[Pass]) -> Iterator[None]:
    """Note each pass through the encoder's layers."""
    tokens: list[Tensor] = []

    def given(_module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        tokens.append(named["attention_mask"].sum())

    def run(_module: Any, arguments: tuple[Tensor, ...]) -> None:
        passes.append((tokens[-1], arguments[0].shape[:-1].numel(), torch.is_grad_enabled()))

    first: Any = model.base_model.encoder.layer[0].intermediate
    with ExitStack() as hooks:
        hooks.callback(model.base_model.register_forward_pre_hook(given, with_kwargs=True).remove)
        hooks.callback(first.register_forward_pre_hook(run).remove)
        yield


def _compare(batches: Sequence[Rows], options: argparse.Namespace, device: torch.device, kind: str) -> dict[str, Any]:
    """Ratios and figures of all ways on these rows."""
    batches = [replace(rows, labels=rows.labels.to(device), device=device) for rows in batches]
    model = _encoder(options).to(device)
    ours = copy.deepcopy(model)
    pack(ours)
    apart = _check(copy.deepcopy(model).eval(), copy.deepcopy(ours).eval(), batches[0], options)
    ways = _ways(model, ours, options)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    passes: dict[str, list[Pass]] = {name: [] for name in ways}
    for number, batch in enumerate(batches):  # the first one warms up, and nothing of it is kept
        rows = _with_threshold(ours, batch, number)
        for name, way in ways.items():
            with _noting(way.model, passes[name] if number else []):
                started = _now(device)
                way.run(rows, number)
                rate = rows.tokens / (_now(device) - started)
            if number:
                rates[name].append(rate)
                print(f"{kind}, round {number} of {options.rounds}: {name}: {rate:,.0f} tokens/s", file=sys.stderr)
    labeled, original, augmented = totals = [
        sum(len(row) for rows in batches[1:] for row in getattr(rows, view)) for view in VIEWS
    ]
    waste, run = dict[str, float](), dict[str, int]()
    for name, own in passes.items():
        waste[name] = round(1 - sum(int(tokens) for tokens, _, _ in own) / sum(places for _, places, _ in own), 4)
        run[name] = min(sum(int(tokens) for tokens, _, kept in own if kept) - labeled, augmented)
    # A step costs N B L (6 + 8k): a token with gradient 6 N, one of the original view, which needs none, 2 N.
    weights = sum(weight.numel() for name, weight in model.named_parameters() if ".embeddings." not in name)
    flops = {name: weights * (2 * original + 6 * (labeled + own)) / sum(totals) for name, own in run.items()}
    spread = {name: dict(zip(("min", "median", "max"), _quantiles(own), strict=True)) for name, own in rates.items()}
    peers = [name for name in ways if not name.startswith("ours")]
    pairs = [(own, peer) for peer in peers for own in ways if own not in peers or (peer == PEER and own != PEER)]
    return {
        "ratios": {f"{own} over {peer}": _quantiles(np.divide(rates[own], rates[peer]))[1] for own, peer in pairs},
        "tokens_per_cpu_s" if device.type == "cpu" else "tokens_per_s": spread,
        "padding_waste": waste,
        "share_of_augmented_tokens_run": {name: round(tokens / augmented, 3) for name, tokens in run.items()},
        "flops_a_token": flops,
        "relative_difference_from_the_peer": apart,
        "row_tokens": _lengths(batches[1:], options),
        "tokens_a_step": round(statistics.mean(rows.tokens for rows in batches[1:])),
    }


def _quantiles(values: Any) -> list[float]:
    """The least, the median and the largest."""
    return np.quantile(values, [0, 0.5, 1]).round(2).tolist()


def _now(device: torch.device) -> float:
    """Of a CPU: the seconds that this process had, so that those of others do not count."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _outside(texts: Sequence[str], options: argparse.Namespace) -> dict[str, float]:
    """The share of CPU time that the whole trainer's loop is outside of forward and backward: rows, copies, drawing the
    augmented view, clipping, optimiser, metrics. From the second step's forward to the last one's."""
    begins: list[float] = []
    spent = {"forward": 0.0, "backward": 0.0, "augmentation": 0.0}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            begins.extend([started] if name == "forward" else [])
            made = call(*arguments, **named)
            inside = 1 < len(begins) <= steps + 1  # the first one warms up, and the last one only ends the loop
            spent[name] += inside * (time.process_time() - started)
            return made

        return run

    steps = options.rounds
    few = Texts(tuple(texts[: 2 * options.labeled]), (0, 1) * options.labeled)
    with tempfile.TemporaryDirectory() as folder:
        encoder = str(Path(folder) / "encoder")
        _encoder(options).save_pretrained(encoder)
        load_tokenizer("minilm-l6").save_pretrained(encoder)
        settings = TrainSettings(encoder=encoder, steps=steps + 2, labeled_batch=options.labeled, precision="fp32",
            unlabeled_ratio=options.ratio, max_tokens=options.max_tokens, evaluate_every=steps + 3)  # fmt: skip
        split = Split("benchmark", CLASSES, few, tuple(texts[len(few) :]), few, few, "0" * 32)
        with (
            patch.object(Step, "forward", timed("forward", Step.forward)),
            patch("text_uda.training.step.augmented_view", timed("augmentation", augmented_view)),
            patch.object(torch.Tensor, "backward", timed("backward", torch.Tensor.backward)),
        ):
            losses, way = (Supervised(), UDA()), Uniform(tokenizer=encoder)
            train(split, objectives=losses, augmentation=way, settings=settings, out=Path(folder) / "run")
    loop = begins[-1] - begins[1]
    share = 1 - (spent["forward"] - spent["augmentation"] + spent["backward"]) / loop
    return {"share": round(share, 4), "augmentation": round(spent["augmentation"] / loop, 5), "steps": steps}


def _on_cuda(texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second, and the share of what a large product of matrices in bfloat16 reaches."""
    device = torch.device("cuda")
    figures = _compare(_batches(texts, options), options, device, "reviews on CUDA")
    big = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    peak = 0.0
    for products in (3, 20):  # the first ones warm up
        started = _now(device)
        for _ in range(products):
            big @ big
        peak = products * 2 * 8192**3 / (_now(device) - started)
    rates, flops = figures["tokens_per_s"], figures["flops_a_token"]
    utilisation = {name: rate["median"] * flops[name] / peak for name, rate in rates.items()}
    name = torch.cuda.get_device_name()
    return figures | {"peak_flops": peak, "model_flops_utilisation": utilisation, "device": name}


def _print(record: dict[str, Any]) -> None:
    for kind in ("reviews", "sentences"):
        figures = record["figures"][kind]
        print(f"{kind}: {figures['row_tokens']}")
        for name, rate in figures["tokens_per_cpu_s"].items():
            spread = f"({rate['min']:,.0f} to {rate['max']:,.0f})"
            waste, run = figures["padding_waste"][name], figures["share_of_augmented_tokens_run"][name]
            print(f"  {name:<46} {rate['median']:8,.0f} tokens/CPU-s {spread:<16} padding {waste:4.0%}, run {run:4.0%}")
    for name, ratio in record["ratios"].items():
        print(f"{name:<94} {ratio:6.2f}x")
    print(f"{TEXTS}\noutside of forward and backward: {record['figures']['outside_forward_and_backward']}")
    print(f"bf16: {record['figures']['bf16']}; CUDA: {record['figures']['cuda']}")


if __name__ == "__main__":
    main()
