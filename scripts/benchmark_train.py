"""A step of consistency training compared with the steps of the reference codes: real tokens per CPU-second.

Each round runs every implementation once on the same rows, and a ratio is the median over the rounds, so that other
load on the machine affects all implementations equally. The encoder is a random BERT of 6 layers, 384 wide, or with
--base BERT-base. All implementations share rows, augmented rows and a confidence threshold that half of the unlabeled
rows pass, all computed before the timing. First, all implementations in float32 must give the same loss and gradient.
The timing covers padding or packing, forward, backward and the optimizer. Real tokens are those of all rows, skipped
rows too.
On CUDA the time of calls bounds a step of a few rows: use --base and more rows. With --compile the layers run as CUDA
graphs too; a graph for each number of tokens is recorded before the timing, as a long training has recorded them.
There are no whole reviews without a hub; TEXTS describes the texts.

    python scripts/benchmark_train.py --json
    python scripts/benchmark_train.py --device cuda --base --labeled 16 --compile --json
"""

import argparse
import copy
import json
import logging
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from text_uda.augment.uniform import Uniform
from text_uda.data import load
from text_uda.model.bit_dropout import use_bit_dropout
from text_uda.model.classifier import Classifier, layers
from text_uda.model.compiled_layers import compile_layers
from text_uda.model.inputs import Batch, Tokens, concatenate, pad, pad_to_width
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.model.precision import resolve_precision
from text_uda.model.pretrained import load_tokenizer
from text_uda.objectives import UDA, Supervised
from text_uda.training.step import Step

CLASSES = ("negative", "positive")
REVIEW_MEDIAN, REVIEW_SIGMA = 98, 0.72  # of the lognormal lengths: 115 tokens in the mean once cut at 256
RATE = 1e-8  # so small that the weights, and with them the rows above the threshold, do not change
TOLERANCE = {"cpu": 1e-5, "cuda": 1e-4}  # relative, in float32
TEXTS = "reviews: consecutive sentences of movie reviews, joined to lognormal lengths; sentences: the same as they are"
VIEWS = ("labeled", "original", "augmented")
_RUNS_BEFORE_REPLAY = 3  # of a shape: PyTorch runs it, records it, and replays it
PEER = "padded to the maximum, three forwards, fp32"


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    texts, device = _texts(options), torch.device(options.device)
    record: dict[str, Any] = {"ratios": {}, "figures": {"rounds": options.rounds, "texts": TEXTS}}
    for kind, kind_texts in texts.items():
        figures = _compare(_batches(kind_texts, options), options, device, kind)
        record["ratios"] |= {f"{name}, {kind}": ratio for name, ratio in figures.pop("ratios").items()}
        record["figures"][kind] = figures | (_utilisation(figures, device) if device.type == "cuda" else {})
    bf16 = "run" if options.bf16 else "not run: it is slow here; see --bf16"
    record["figures"] |= {"bf16": bf16}
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "amx": "amx" in flags}
    versions = {"torch": torch.__version__, "transformers": version("transformers")}
    record |= {"machine": machine, "versions": versions | {"python": platform.python_version()}}
    print(json.dumps(record)) if options.json else _print(record)
    if differing := [record["figures"][kind]["differing"] for kind in texts if record["figures"][kind]["differing"]]:
        raise SystemExit(f"the implementations differ, so their speeds are of different things: {differing}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labeled", type=int, default=4, help="labeled rows of a step")
    parser.add_argument("--ratio", type=int, default=3, help="unlabeled rows for each labeled one")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--base", action="store_true", help="BERT-base: 12 layers, 768 wide")
    parser.add_argument("--compile", action="store_true", help="also ours as CUDA graphs, in bf16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true", help="also on processors where it is slow")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.update({"ACCELERATE_USE_CPU": "true"} if options.device == "cpu" else {})
    options.bf16 |= resolve_precision("auto") == "bf16"
    return options


@dataclass(frozen=True)
class Rows:
    """Token ids of one step; original[i] and augmented[i] are views of one text."""

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
    """The texts of each kind, for all rounds."""
    count = (options.rounds + 1) * options.labeled * (1 + options.ratio)
    sentences = load("movie-snippets").train.texts
    encoded: Any = load_tokenizer("minilm-l6")(list(sentences), add_special_tokens=False)["input_ids"]
    lengths = list(map(len, encoded))
    reviews, end = [], 0
    for target in np.random.default_rng(0).lognormal(np.log(REVIEW_MEDIAN), REVIEW_SIGMA, count):
        start, tokens = end, 0
        while end == start or tokens + lengths[end % len(lengths)] / 2 < target:
            tokens += lengths[end % len(lengths)]
            end += 1
        reviews.append(" ".join(sentences[index % len(sentences)] for index in range(start, end)))
    return {"reviews": reviews, "sentences": [sentences[index % len(sentences)] for index in range(count)]}


def _batches(texts: Sequence[str], options: argparse.Namespace) -> list[Rows]:
    """The batch of the warm-up, then one per round."""
    encoded = load_tokenizer("minilm-l6")(list(texts), truncation=True, max_length=options.max_tokens)["input_ids"]
    ids, generator = [np.asarray(row) for row in encoded], torch.Generator().manual_seed(0)
    view = Uniform().on_tokens(pad(ids, pad_id=0), generator).input_ids.numpy()
    augmented = [row[: len(original)] for row, original in zip(view, ids, strict=True)]
    labels, batches = torch.arange(options.labeled) % len(CLASSES), []
    for start in range(0, len(ids), options.labeled * (1 + options.ratio)):
        cut, stop = start + options.labeled, start + options.labeled * (1 + options.ratio)
        batches.append(Rows(ids[start:cut], labels, ids[cut:stop], augmented[cut:stop], torch.device("cpu")))
    return batches


def _lengths(batches: Sequence[Rows], options: argparse.Namespace) -> dict[str, float]:
    lengths = np.array([len(row) for batch in batches for row in (*batch.labeled, *batch.original)])
    statistics = {"mean": lengths.mean(), "median": np.median(lengths), "max": lengths.max()}
    statistics |= {"fill": lengths.mean() / options.max_tokens, "share_cut": (lengths == options.max_tokens).mean()}
    return {name: round(float(value), 3) for name, value in statistics.items()}


class Variant(NamedTuple):
    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    forward: Callable[[Rows], Tensor]  # to the loss
    half: bool = False

    def run(self, rows: Rows, number: int) -> None:
        with seeded_torch(number), torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=self.half):
            loss = self.forward(rows)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def _encoder(options: argparse.Namespace) -> BertForSequenceClassification:
    depth, width = (12, 768) if options.base else (6, 384)
    config = BertConfig(
        vocab_size=30522, hidden_size=width, num_hidden_layers=depth, num_attention_heads=12,
        intermediate_size=4 * width, max_position_embeddings=max(512, options.max_tokens), num_labels=len(CLASSES),
        attn_implementation="sdpa",
    )  # fmt: skip
    with seeded_torch(0):
        return BertForSequenceClassification(config).train()


def _variants(model: PreTrainedModel, ours: PreTrainedModel, options: argparse.Namespace) -> dict[str, Variant]:
    optimizer, our_optimizer = (torch.optim.AdamW(m.parameters(), lr=RATE, fused=True) for m in (model, ours))

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

    def step(model: PreTrainedModel, rows: Rows, leave_out: bool) -> Tensor:
        objectives = (Supervised(), UDA(confidence_threshold=rows.threshold))
        labeled, *views = (rows.padded(getattr(rows, view)) for view in VIEWS)
        return Step(model, objectives, steps=1, leave_out_masked=leave_out)(Batch(labeled, rows.labels, *views), 0).loss

    variants = {
        PEER: Variant(model, optimizer, lambda rows: three(rows, options.max_tokens)),
        "padded to the batch, three forwards, fp32": Variant(model, optimizer, lambda rows: three(rows, None)),
        "padded to the batch, one joint forward, fp32": Variant(model, optimizer, joint),
        "ours, all rows, fp32": Variant(ours, our_optimizer, lambda rows: step(ours, rows, False)),
        "ours, masked rows left out, fp32": Variant(ours, our_optimizer, lambda rows: step(ours, rows, True)),
    }
    if not options.bf16:
        return variants
    halved = [name for name in variants if name == PEER or name.startswith("ours")]
    variants |= {name.replace("fp32", "bf16"): variants[name]._replace(half=True) for name in halved}
    if options.compile:
        compiled = copy.deepcopy(ours)
        compile_layers(layers(compiled), graphs=options.device == "cuda")
        optimizer = torch.optim.AdamW(compiled.parameters(), lr=RATE, fused=True)
        variants |= {
            "ours compiled, all rows, bf16": Variant(
                compiled, optimizer, lambda rows: step(compiled, rows, False), True
            ),
            "ours compiled, masked rows left out, bf16": Variant(
                compiled, optimizer, lambda rows: step(compiled, rows, True), True
            ),
        }
    return variants


def _loss(rows: Rows, labeled: Tensor, original: Tensor, augmented: Tensor) -> Tensor:
    """The loss of UDA as in a reference code; `original` has no gradient."""
    targets = original.softmax(dim=-1)
    confident = targets.amax(dim=-1) > rows.threshold
    divergence = kl_div(augmented.log_softmax(dim=-1), targets, reduction="none").sum(dim=-1)
    return cross_entropy(labeled, rows.labels) + (divergence * confident).mean()


@torch.no_grad()
def _with_threshold(ours: PreTrainedModel, rows: Rows, number: int) -> Rows:
    """A threshold that half of the rows pass, with the dropout of this round: our step runs `original` first."""
    with seeded_torch(number):
        logits = Classifier(ours)(rows.padded(rows.original)).logits
    largest = logits.softmax(dim=-1).amax(dim=-1).sort().values.tolist()
    half = len(largest) // 2  # between two values, so that rounding has no effect
    return replace(rows, threshold=sum(largest[half - 1 : half + 1]) / 2 if half else 0.0)


def _check(model: PreTrainedModel, ours: PreTrainedModel, rows: Rows, options: argparse.Namespace) -> dict[str, float]:
    """The largest relative difference of loss and gradient from the peer, without dropout, in float32."""
    rows = _with_threshold(ours, rows, 0)
    results: dict[str, tuple[float, Tensor]] = {}
    for name, variant in _variants(model, ours, options).items():
        if not variant.half:
            loss = variant.forward(rows)
            loss.backward()
            parts = [parameter.grad.flatten() for parameter in variant.model.parameters() if parameter.grad is not None]
            results[name] = float(loss.detach()), torch.cat(parts).double()
            variant.optimizer.zero_grad()
    peer_loss, peer_gradient = results[PEER]
    differences = dict[str, float]()
    for name, (loss, gradient) in results.items():
        of_gradient = (gradient - peer_gradient).norm() / peer_gradient.norm()
        differences[name] = max(abs(loss - peer_loss) / abs(peer_loss), float(of_gradient))
    return {name: float(f"{difference:.1e}") for name, difference in differences.items()}


Pass = tuple[Tensor, int, bool]  # real tokens, on their device; places computed; with gradient?


@contextmanager
def _recorded(model: PreTrainedModel, passes: list[Pass]) -> Iterator[None]:
    """Record each pass through the layers of the encoder."""
    tokens: list[Tensor] = []

    def count_tokens(_module: Any, _arguments: Any, keywords: dict[str, Any]) -> None:
        tokens.append(keywords["attention_mask"].sum())

    def record_pass(_module: Any, arguments: tuple[Tensor, ...]) -> None:
        passes.append((tokens[-1], arguments[0].shape[:-1].numel(), torch.is_grad_enabled()))

    first: Any = model.base_model.encoder.layer[0].intermediate
    with ExitStack() as hooks:
        hooks.callback(model.base_model.register_forward_pre_hook(count_tokens, with_kwargs=True).remove)
        hooks.callback(first.register_forward_pre_hook(record_pass).remove)
        yield


def _compare(batches: Sequence[Rows], options: argparse.Namespace, device: torch.device, kind: str) -> dict[str, Any]:
    """Ratios and figures of all implementations on these rows."""
    batches = [replace(rows, labels=rows.labels.to(device), device=device) for rows in batches]
    model = _encoder(options).to(device)
    ours = copy.deepcopy(model)
    use_bit_dropout(ours)
    pack(ours)
    differences = _check(copy.deepcopy(model).eval(), copy.deepcopy(ours).eval(), batches[0], options)
    differing = {name: value for name, value in differences.items() if not value <= TOLERANCE[device.type]}
    variants = _variants(model, ours, options)
    rates: dict[str, list[float]] = {name: [] for name in variants}
    passes: dict[str, list[Pass]] = {name: [] for name in variants}
    for name in (name for name in variants if "compiled" in name):
        for number, batch in [*enumerate(batches)] * _RUNS_BEFORE_REPLAY:
            variants[name].run(_with_threshold(ours, batch, number), number)
    for number, batch in enumerate(batches):  # the first one is the warm-up and is not recorded
        rows = _with_threshold(ours, batch, number)
        for name, variant in variants.items():
            with _recorded(variant.model, passes[name] if number else []):
                started = _now(device)
                variant.run(rows, number)
                rate = rows.tokens / (_now(device) - started)
            if number:
                rates[name].append(rate)
                print(f"{kind}, round {number} of {options.rounds}: {name}: {rate:,.0f} tokens/s", file=sys.stderr)
    labeled, original, augmented = totals = [
        sum(len(row) for rows in batches[1:] for row in getattr(rows, view)) for view in VIEWS
    ]
    waste, augmented_run = dict[str, float](), dict[str, int]()
    for name, recorded in passes.items():
        recorded = recorded or passes[name.replace(" compiled", "")]  # compiled layers run no hooks
        waste[name] = round(1 - sum(int(real) for real, _, _ in recorded) / sum(places for _, places, _ in recorded), 4)
        augmented_run[name] = min(sum(int(real) for real, _, gradient in recorded if gradient) - labeled, augmented)
    # A token with gradient takes 6 operations per weight; one of the original view, which has none, takes 2.
    weights = sum(weight.numel() for name, weight in model.named_parameters() if ".embeddings." not in name)
    flops = {name: weights * (2 * original + 6 * (labeled + n)) / sum(totals) for name, n in augmented_run.items()}
    spread = {name: dict(zip(("min", "median", "max"), _quantiles(one), strict=True)) for name, one in rates.items()}
    peers = [name for name in variants if not name.startswith("ours")]
    pairs = [(n, peer) for peer in peers for n in variants if n not in peers or (peer == PEER and n != PEER)]
    return {
        "ratios": {f"{name} over {peer}": _quantiles(np.divide(rates[name], rates[peer]))[1] for name, peer in pairs},
        "tokens_per_cpu_s" if device.type == "cpu" else "tokens_per_s": spread,
        "padding_waste": waste,
        "share_of_augmented_tokens_run": {name: round(tokens / augmented, 3) for name, tokens in augmented_run.items()},
        "flops_a_token": flops,
        "relative_difference_from_the_peer": differences,
        "differing": differing,
        "row_tokens": _lengths(batches[1:], options),
        "tokens_a_step": round(statistics.mean(rows.tokens for rows in batches[1:])),
    }


def _quantiles(values: Any) -> list[float]:
    """Minimum, median and maximum."""
    return np.quantile(values, [0, 0.5, 1]).round(2).tolist()


def _now(device: torch.device) -> float:
    """On a CPU the time of this process, which other processes do not affect."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _utilisation(figures: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The share of the speed of a large matrix product in bfloat16."""
    big = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    started = 0.0
    for number in range(25):
        started = _now(device) if number == 5 else started  # the first products are the warm-up
        big @ big
    peak = 20 * 2 * 8192**3 / (_now(device) - started)
    flops = figures["flops_a_token"]
    shares = {name: rate["median"] * flops[name] / peak for name, rate in figures["tokens_per_s"].items()}
    return {"peak_flops": peak, "model_flops_utilisation": shares, "device": torch.cuda.get_device_name()}


def _print(record: dict[str, Any]) -> None:
    for kind in ("reviews", "sentences"):
        figures = record["figures"][kind]
        print(f"{kind}: {figures['row_tokens']}")
        unit = next(name for name in figures if name.startswith("tokens_per_"))
        for name, rate in figures[unit].items():
            spread = f"({rate['min']:,.0f} to {rate['max']:,.0f})"
            waste, run = figures["padding_waste"][name], figures["share_of_augmented_tokens_run"][name]
            print(f"  {name:<46} {rate['median']:8,.0f} {unit} {spread:<16} padding {waste:4.0%}, run {run:4.0%}")
    for name, ratio in record["ratios"].items():
        print(f"{name:<94} {ratio:6.2f}x")
    print(TEXTS)
    print(f"bf16: {record['figures']['bf16']}")


if __name__ == "__main__":
    main()
