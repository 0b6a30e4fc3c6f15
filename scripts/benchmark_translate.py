"""Back-translation's engines beside transformers' `generate`, on one random model of opus-mt size (74.4M parameters).

Each round runs every engine once on the same sentences (batch 1 on every sixteenth of them), and a ratio is the median
of those within a round, so that what else the machine does meets all alike. Lengths are those of real review sentences,
in the order of the data set, and each output is forced to a length near its source's. What is timed is one way of
translation on token ids: neither side tokenises, and the filters of back-translation are left out.

    python scripts/benchmark_translate.py --json
"""

import argparse
import json
import logging
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, MarianConfig, MarianMTModel

from text_uda.translate.marian_network import Precision

TEMPERATURE = 0.9
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
    # Forced, for random weights end nowhere: between 0.8 and 1.2 of the source, as translations are.
    factors = rng.uniform(0.8, 1.2, len(lengths)).tolist()
    targets = [max(2, round(length * factor)) for length, factor in zip(lengths, factors, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        engines = _engines(model, sources, targets, Path(folder), rng)
        rates = _measure(engines, options.rounds)
    record = _record(options, rates, lengths, targets)
    if options.json:
        print(json.dumps(record))
        return
    for name, figures in record["figures"]["sentences_per_cpu_s"].items():
        print(f"{name:<40} {figures['median']:8.2f} sentences/CPU-s ({figures['min']:.2f} to {figures['max']:.2f})")
    for name, ratio in record["ratios"].items():
        print(f"{name:<70} {ratio:6.2f}x")
    print(f"CUDA: {record['figures']['cuda']}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=512, help="of real reviews; batch 1 gets every sixteenth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


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
    """Tokens of review sentences, drawn in the order of the data set, with the end token."""
    from transformers import AutoTokenizer

    from text_uda import load
    from text_uda.model.pretrained import encoder_path
    from text_uda.text.sentences import split_sentences

    tokenizer = AutoTokenizer.from_pretrained(encoder_path("minilm-l6"))
    texts = load("movie-snippets").train.texts[: 2 * count]
    sentences = [sentence for text in texts for sentence in split_sentences(text).sentences][:count]
    return [len(ids) - 1 for ids in tokenizer(sentences)["input_ids"]]


Run = Callable[[], int]  # returns how many sentences it translated


def _engines(
    model: MarianMTModel, sources: list[list[int]], targets: list[int], folder: Path, rng: np.random.Generator
) -> dict[str, Run]:
    engines: dict[str, Run] = {
        "transformers, batch 1": lambda: _theirs(model, sources[::16], targets[::16], 1),
        "transformers, batch 32, data-set order": lambda: _theirs(model, sources, targets, 32),
        "ours on torch, float32": _ours(model, sources, targets, rng, "float32"),
        "ours on torch, int8": _ours(model, sources, targets, rng, "int8"),
    }
    try:
        engines["ours on CTranslate2, int8"] = _on_ctranslate2(model, sources, targets, folder)
    except ImportError:
        print("CTranslate2 is not installed: left out", file=sys.stderr)
    return engines


class _Forced(LogitsProcessor):
    """Each row ends at its own length, and not before."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = torch.tensor(lengths)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        ends = self._lengths <= input_ids.shape[1]
        scores[:, END] = torch.where(ends, 1e4, -1e4)
        return scores


def _theirs(model: MarianMTModel, sources: list[list[int]], targets: list[int], size: int) -> int:
    for start in range(0, len(sources), size):
        rows, lengths = sources[start : start + size], targets[start : start + size]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
        config = GenerationConfig(
            max_new_tokens=max(lengths), do_sample=True, temperature=TEMPERATURE, top_k=0, num_beams=1,
            pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD,
        )  # fmt: skip
        output = model.generate(
            input_ids=ids,
            attention_mask=(ids != PAD).long(),
            generation_config=config,
            logits_processor=LogitsProcessorList([_Forced(lengths)]),
        )
        assert output.shape[1] == max(lengths) + 1
    return len(sources)


def _ours(
    model: MarianMTModel, sources: list[list[int]], targets: list[int], rng: np.random.Generator, precision: Precision
) -> Run:
    from text_uda.translate.batching import Budget
    from text_uda.translate.decoding import Decoding, decode
    from text_uda.translate.marian_checkpoint import MAX_TOKENS
    from text_uda.translate.marian_network import Network
    from text_uda.translate.token_sampling import DRAWS

    network = Network(model, device=torch.device("cpu"), precision=precision)
    decoding = Decoding(temperature=TEMPERATURE)
    network.forbid(END)  # outputs end at their caps
    numbers = rng.random((len(sources), max(targets), DRAWS))

    def run() -> int:
        made = 0

        def work(batch: list[int]) -> int:
            caps = [targets[row] for row in batch]
            outputs = decode(
                network, [sources[row] for row in batch], list(range(len(batch))), caps, decoding, numbers[batch]
            )
            assert [len(output.tokens) for output in outputs] == caps
            return len(outputs)

        for _, count in Budget(MAX_TOKENS["cpu"]).run([len(ids) for ids in sources], [1] * len(sources), work):
            made += count
        return made

    return run


def _on_ctranslate2(model: MarianMTModel, sources: list[list[int]], targets: list[int], folder: Path) -> Run:
    """All rows of a batch are decoded up to the longest of them: CTranslate2 forces no row alone. So it does more."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    from text_uda.translate.batching import batches
    from text_uda.translate.marian_checkpoint import MAX_TOKENS

    loader = MarianMTLoader()
    spec = loader.get_model_spec(model)
    words = ["</s>", "<unk>", *(f"t{number}" for number in range(2, PAD))]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.eos_token, spec.config.unk_token, spec.config.decoder_start_token = "</s>", "<unk>", "</s>"
    spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    translator = ctranslate2.Translator(str(folder), compute_type="int8", inter_threads=1, intra_threads=1)
    plan = batches([len(ids) for ids in sources], [1] * len(sources), MAX_TOKENS["cpu"])

    def run() -> int:
        made = 0
        for batch in plan:
            longest = max(targets[row] for row in batch)
            results = translator.translate_batch(
                [[words[token] for token in sources[row]] for row in batch],
                beam_size=1, sampling_topk=0, sampling_temperature=TEMPERATURE, max_batch_size=0,
                min_decoding_length=longest, max_decoding_length=longest, disable_unk=False, max_input_length=0,
            )  # fmt: skip
            assert all(len(result.hypotheses[0]) >= targets[row] for row, result in zip(batch, results, strict=True))
            made += len(results)
        return made

    return run


def _measure(engines: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Sentences a CPU-second of each engine in each round; a first run, of which nothing is kept, warms up."""
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, run in engines.items():
            with torch.inference_mode():
                started = time.process_time()
                sentences = run()
                rate = sentences / (time.process_time() - started)
            if number:
                rates[name].append(rate)
                print(f"round {number} of {rounds}: {name}: {rate:.2f} sentences/CPU-s", file=sys.stderr)
    return rates


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
            "sentences_per_cpu_s": {
                name: {"median": medians[name], "min": min(values), "max": max(values)}
                for name, values in rates.items()
            },
            "sentences": options.sentences,
            "rounds": options.rounds,
            "source_tokens": {"mean": float(np.mean(lengths)), "max": max(lengths)},
            "output_tokens": {"mean": float(np.mean(targets)), "max": max(targets)},
            "cuda": _on_cuda(lengths, targets)
            if torch.cuda.is_available()
            else "not run: there is no CUDA device here",
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "amx": "amx" in flags,
        },
        "versions": versions,
    }


def _on_cuda(lengths: list[int], targets: list[int]) -> dict[str, Any]:
    """Tokens a second of the torch engine in bfloat16, and the share of the device's memory bandwidth that reading the
    weights once a step takes: its bandwidth is measured by a copy."""
    from text_uda.translate.batching import batches
    from text_uda.translate.decoding import Decoding, decode
    from text_uda.translate.marian_checkpoint import MAX_TOKENS
    from text_uda.translate.marian_network import Network
    from text_uda.translate.token_sampling import DRAWS

    device = torch.device("cuda")
    model = _model()
    network = Network(model, device=device, precision="bfloat16")
    network.forbid(END)
    rng = np.random.default_rng(0)
    lengths, targets = lengths * 16, targets * 16
    sources = [[*rng.integers(1, PAD, size=length - 1).tolist(), END] for length in lengths]
    numbers = rng.random((len(sources), max(targets), DRAWS))
    plan = batches(lengths, [1] * len(lengths), MAX_TOKENS["cuda"])
    seconds = steps = 0.0
    for warm in (False, True):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for batch in plan:
            caps = [targets[row] for row in batch]
            rows = list(range(len(batch)))
            decode(
                network, [sources[row] for row in batch], rows, caps, Decoding(temperature=TEMPERATURE), numbers[batch]
            )
            steps += max(caps) if warm else 0
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    big = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        big.clone()
    torch.cuda.synchronize()
    bandwidth = 20 * big.numel() / (time.perf_counter() - started)
    # Of the decoder, and of the output; keys and values of a source are made once.
    decoder = dict(model.model.decoder.named_parameters())
    once = [weight for name, weight in decoder.items() if re.search(r"encoder_attn\.[kv]_proj|embed_positions", name)]
    read = sum(weight.numel() for weight in decoder.values()) - sum(weight.numel() for weight in once)
    return {
        "device": torch.cuda.get_device_name(),
        "tokens_per_s": sum(targets) / seconds,
        "sentences_per_s": len(targets) / seconds,
        "share_of_measured_bandwidth_by_weights": 2 * read * steps / seconds / bandwidth,
    }


if __name__ == "__main__":
    main()
