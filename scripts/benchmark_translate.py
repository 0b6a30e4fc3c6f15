"""Back-translation's engines beside transformers' `generate`, on one random model of opus-mt size (74.4M parameters).

Each round runs every engine once on the same sentences (batch 1 on every sixteenth of them). A ratio is the median of
the ratios within a round, so that other load on the machine affects both sides alike. The lengths are those of real
review sentences, in the order of the data set, and each output is forced to a length near its source's. The benchmark
times one direction on token ids, without tokenization and without the filters of back-translation.

"length-sorted, keyed" is the strongest peer: the batches of our own decoder, and a logits processor that makes each
sample a function of (seed, sentence, step), so that it does not depend on its batch either.

A rate is per CPU-second, and on CUDA per second. There transformers decodes a share of the sentences in the order of
the data set, which takes it long: every sixteenth batch, and every 256th sentence alone.

    python scripts/benchmark_translate.py --json
    python scripts/benchmark_translate.py --device cuda --sentences 8192 --json
    python scripts/benchmark_translate.py --decode beam --only sorted torch --sentences 64 --max-tokens 768
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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, MarianConfig, MarianMTModel

from text_uda.model.cuda import pin_float32
from text_uda.translate.batching import Budget, batches
from text_uda.translate.decoding import Decoding, decode
from text_uda.translate.int8_linear import Int8Linear
from text_uda.translate.marian_checkpoint import MAX_TOKENS
from text_uda.translate.marian_network import Network, Precision
from text_uda.translate.token_sampling import BLOCK, DRAWS, draw

TEMPERATURE = 0.9
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
END, PAD = 0, 58100  # of opus-mt-en-de


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    model = _model()
    lengths = _lengths(options.sentences)
    rng = np.random.default_rng(0)
    sources = [[*rng.integers(1, PAD, size=length - 1).tolist(), END] for length in lengths]
    # Random weights never end a sentence. Translations have 0.8 to 1.2 of the length of their source.
    factors = rng.uniform(0.8, 1.2, len(lengths)).tolist()
    targets = [max(2, round(length * factor)) for length, factor in zip(lengths, factors, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        numbers = rng.random((len(sources), max(targets), DRAWS))
        work = _Work(model, sources, targets, numbers, options.decode, options.max_tokens, options.device)
        engines = _engines(work, Path(folder), options.only)
        rates = _measure(engines, options.rounds, options.device)
    record = _record(options, rates, lengths, targets)
    if options.json:
        print(json.dumps(record))
        return
    for name, figures in record["figures"][_unit(options.device)].items():
        spread = f"({figures['min']:.2f} to {figures['max']:.2f})"
        print(f"{name:<48} {figures['median']:10.2f} {_unit(options.device)} {spread}")
    for name, ratio in record["ratios"].items():
        print(f"{name:<78} {ratio:7.2f}x")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=512, help="of real reviews; batch 1 gets every sixteenth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decode", choices=("sample", "greedy", "beam"), default="sample", help="beam is 4 beams")
    parser.add_argument("--max-tokens", type=int, help="longest source of a batch x rows (default: that of the engine)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", nargs="+", default=[""], help="engines whose name contains one of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.max_tokens = options.max_tokens or MAX_TOKENS[options.device]
    if options.device == "cuda":
        pin_float32()
    return options


def _model() -> MarianMTModel:
    config = MarianConfig(
        vocab_size=PAD + 1, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, activation_function="swish",
        scale_embedding=True, forced_eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MarianMTModel(config).eval()


def _lengths(count: int) -> list[int]:
    """Token counts of review sentences in the order of the data set, with the end token."""
    from transformers import AutoTokenizer

    from text_uda import load
    from text_uda.model.pretrained import encoder_path
    from text_uda.text.sentences import split_sentences

    tokenizer = AutoTokenizer.from_pretrained(encoder_path("minilm-l6"))
    texts = load("movie-snippets").train.texts[: 2 * count]
    sentences = [sentence for text in texts for sentence in split_sentences(text).sentences][:count]
    return [len(ids) - 1 for ids in tokenizer(sentences)["input_ids"]]


Run = Callable[[], int]  # returns the number of sentences it translated


@dataclass(frozen=True)
class _Work:
    """What every engine translates, and how."""

    model: MarianMTModel
    sources: list[list[int]]  # token ids
    targets: list[int]  # tokens of each output
    numbers: np.ndarray  # (sentences, steps, DRAWS) in [0, 1)
    decode: str
    max_tokens: int
    device: str

    @property
    def beams(self) -> int:
        return 4 if self.decode == "beam" else 1

    def batches(self) -> list[list[int]]:
        return batches([len(ids) for ids in self.sources], [1] * len(self.sources), self.max_tokens)


def _engines(work: _Work, folder: Path, only: list[str]) -> dict[str, Run]:
    count = len(work.sources)
    in_order = [list(range(start, min(start + 32, count))) for start in range(0, count, 32)]
    alone = [[row] for row in range(count)]
    engines: dict[str, Callable[[], Run]] = {}
    if work.device == "cpu":
        engines = {
            "transformers, batch 1": lambda: _theirs(work, alone[::16]),
            "transformers, batch 32, data-set order": lambda: _theirs(work, in_order),
            "transformers, length-sorted, keyed": lambda: _theirs(work, work.batches(), _Keyed(work.numbers)),
            "transformers, length-sorted, keyed, int8": lambda: _theirs(
                replace(work, model=_int8_model()), work.batches(), _Keyed(work.numbers)
            ),
            "ours on torch, float32": lambda: _ours(work, "float32"),
            "ours on torch, bfloat16": lambda: _ours(work, "bfloat16"),
            "ours on torch, int8": lambda: _ours(work, "int8"),
            "ours on CTranslate2, int8": lambda: _on_ctranslate2(work, folder),
        }
    else:
        models = {name: replace(work, model=_model().to("cuda", dtype)) for name, dtype in _DTYPES.items()}  # type: ignore
        engines |= {
            "transformers, batch 1, float32": lambda: _theirs(models["float32"], alone[::256]),
            "transformers, batch 32, data-set order, float32": lambda: _theirs(models["float32"], in_order[::16]),
            "transformers, batch 32, data-set order, bfloat16": lambda: _theirs(models["bfloat16"], in_order[::16]),
            "transformers, length-sorted, keyed, bfloat16": lambda: _theirs(
                models["bfloat16"], work.batches(), _Keyed(work.numbers)
            ),
            "ours on torch, float32": lambda: _ours(work, "float32"),
            "ours on torch, bfloat16": lambda: _ours(work, "bfloat16"),
        }
    runs = {}
    for name, prepare in engines.items():
        if any(part in name for part in only):
            try:
                runs[name] = prepare()
            except ImportError:
                print(f"not installed, left out: {name}", file=sys.stderr)
    return runs


class _Forced(LogitsProcessor):
    """Each row ends at its own length, and not before."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = torch.tensor(lengths)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._lengths = self._lengths.to(scores.device)
        ends = self._lengths <= input_ids.shape[1]
        scores[:, END] = torch.where(ends, 1e4, -1e4)
        return scores


class _Keyed(LogitsProcessor):
    """Sampling as ours: keyed random numbers choose the token, and greedy decoding takes it."""

    def __init__(self, numbers: np.ndarray) -> None:  # (sentences, steps, DRAWS) in [0, 1)
        self._numbers = numbers
        self.rows: list[int] = []  # the sentences of the batch

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        uniform = self._numbers[self.rows, input_ids.shape[1] - 1]
        padded = F.pad(scores, (0, -scores.shape[1] % BLOCK), value=-torch.inf)
        tokens = draw(padded, torch.from_numpy(uniform).to(scores.device), temperature=TEMPERATURE).tokens
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)


class _Int8Module(torch.nn.Module):
    """A linear layer of transformers' model with the int8 kernel of ours."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self._int8 = Int8Linear.of(layer.weight, layer.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._int8(hidden)


def _int8_model() -> MarianMTModel:
    model = _model()
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, torch.nn.Linear):
                setattr(module, name, _Int8Module(layer))
    return model


def _theirs(work: _Work, plan: list[list[int]], keyed: _Keyed | None = None) -> Run:
    def run() -> int:
        for batch in plan:
            rows, lengths = [work.sources[row] for row in batch], [work.targets[row] for row in batch]
            longest = max(map(len, rows))
            ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=work.device)
            processors: list[LogitsProcessor] = [_Forced([length for length in lengths for _ in range(work.beams)])]
            sampling: dict[str, Any] = {}
            if work.decode == "sample" and keyed is not None:
                keyed.rows = batch
                processors.append(keyed)
            elif work.decode == "sample":
                sampling = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0}
            config = GenerationConfig(
                max_new_tokens=max(lengths), num_beams=work.beams, pad_token_id=PAD, eos_token_id=END,
                decoder_start_token_id=PAD, **sampling,
            )  # fmt: skip
            output = work.model.generate(
                input_ids=ids,
                attention_mask=(ids != PAD).long(),
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
            )
            assert output.shape[1] == max(lengths) + 1
        return sum(map(len, plan))

    return run


def _ours(work: _Work, precision: Precision) -> Run:
    model = copy.deepcopy(work.model)  # Network moves and converts the weights of the model that it gets
    network = Network(model, device=torch.device(work.device), precision=precision)
    decoding = Decoding(temperature=TEMPERATURE if work.decode == "sample" else None, beams=work.beams)
    network.forbid([END])  # outputs end at their caps

    def translate(batch: list[int]) -> int:
        sources, caps = [work.sources[row] for row in batch], [work.targets[row] for row in batch]
        uniform = work.numbers[batch] if work.decode == "sample" else None
        outputs = decode(network, sources, list(range(len(batch))), caps, decoding, uniform)
        assert [len(output.tokens) for output in outputs] == caps
        return len(outputs)

    def run() -> int:
        lengths = [len(ids) for ids in work.sources]
        budget = Budget(work.max_tokens, network.device)
        return sum(count for _, count in budget.run(lengths, [1] * len(lengths), translate))

    return run


def _on_ctranslate2(work: _Work, folder: Path) -> Run:
    """CTranslate2 has one length for a batch, so it decodes each row up to the longest target: more work than ours."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    loader = MarianMTLoader()
    spec = loader.get_model_spec(work.model)
    words = ["</s>", "<unk>", *(f"t{number}" for number in range(2, PAD))]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.eos_token, spec.config.unk_token, spec.config.decoder_start_token = "</s>", "<unk>", "</s>"
    spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    translator = ctranslate2.Translator(str(folder), compute_type="int8", inter_threads=1, intra_threads=1)
    plan = work.batches()
    sampling = {"sampling_topk": 0, "sampling_temperature": TEMPERATURE} if work.decode == "sample" else {}

    def run() -> int:
        for batch in plan:
            longest = max(work.targets[row] for row in batch)
            results = translator.translate_batch(
                [[words[token] for token in work.sources[row]] for row in batch],
                beam_size=work.beams, max_batch_size=0, min_decoding_length=longest, max_decoding_length=longest,
                disable_unk=False, max_input_length=0, **sampling,
            )  # fmt: skip
            lengths = [len(result.hypotheses[0]) for result in results]
            assert all(length >= work.targets[row] for row, length in zip(batch, lengths, strict=True))
        return len(work.sources)

    return run


def _measure(engines: dict[str, Run], rounds: int, device: str) -> dict[str, list[float]]:
    """Sentences per second of each engine in each round, after one round of warm-up that is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, run in engines.items():
            with torch.inference_mode():
                started = _now(device)
                sentences = run()
                rate = sentences / (_now(device) - started)
            if number:
                rates[name].append(rate)
                print(f"round {number} of {rounds}: {name}: {rate:.2f} {_unit(device)}", file=sys.stderr)
    return rates


def _now(device: str) -> float:
    """On a CPU the time of this process, which other processes do not affect."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _unit(device: str) -> str:
    return "sentences_per_cpu_s" if device == "cpu" else "sentences_per_s"


def _record(
    options: argparse.Namespace, rates: dict[str, list[float]], lengths: list[int], targets: list[int]
) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        f"{ours} over {theirs}": round(
            statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True)), 2
        )
        for ours in medians
        if ours.startswith("ours")
        for theirs in medians
        if theirs.startswith("transformers")
    }
    import transformers

    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    versions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    if "ours on CTranslate2, int8" in rates:
        import ctranslate2

        versions["ctranslate2"] = ctranslate2.__version__
    return {
        "ratios": ratios,
        "figures": {
            _unit(options.device): {
                name: {"median": medians[name], "min": min(values), "max": max(values)}
                for name, values in rates.items()
            },
            "sentences": options.sentences,
            "rounds": options.rounds,
            "decode": options.decode,
            "max_tokens": options.max_tokens,
            "source_tokens": {"mean": float(np.mean(lengths)), "max": max(lengths)},
            "output_tokens": {"mean": float(np.mean(targets)), "max": max(targets)},
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "amx": "amx" in flags,
            "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        },
        "versions": versions,
    }


if __name__ == "__main__":
    main()
