"""The parts of scripts/gpu_check.py: one line of JSON for each, on standard output, until one fails.

python scripts/gpu_parts.py --device cuda train decode
"""

import argparse
import json
import os
import platform
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, MarianConfig, MarianMTModel, MarianTokenizer

from text_uda.model import cuda
from text_uda.model.classifier import layers
from text_uda.model.compiled_layers import compile_layers
from text_uda.model.inputs import Batch, Tokens, pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack
from text_uda.model.precision import ResolvedPrecision, autocast
from text_uda.objectives import UDA, Objective, Supervised
from text_uda.runs.prediction import probabilities
from text_uda.training.step import Step
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.decoding import Decoding, decode
from text_uda.translate.marian import Marian
from text_uda.translate.marian_checkpoint import most_tokens, vocabulary
from text_uda.translate.marian_network import Network
from text_uda.translate.token_sampling import DRAWS

PEAK_FLOPS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""bf16, dense, from the vendor's data sheets; the first name that the device's name contains."""


_VARIABLES = re.compile("NVIDIA_TF32|TORCH_ALLOW|PYTORCH|CUDA_(VISIBLE|LAUNCH|MODULE)|CUBLAS|NCCL")


class Options(NamedTuple):
    device: torch.device
    small: bool

    def size(self, full: int, small: int) -> int:
        return small if self.small else full


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    options = Options(torch.device(arguments.device), arguments.small)
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no result
    if arguments.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
        torch.set_num_threads(1)
    for name in arguments.parts:
        started = time.monotonic()
        result: dict[str, Any] = {}
        try:
            if arguments.device == "cuda":
                cuda.pin_float32()
                torch.cuda.synchronize()
            result["figures"] = PARTS[name](options)
        except Exception as error:
            result = {"failed": f"{type(error).__name__}: {error}"[:500], "traceback": traceback.format_exc()[-4000:]}
        result["seconds"] = round(time.monotonic() - started, 1)
        print(json.dumps(result), file=lines, flush=True)
        if "failed" in result:
            return
        cuda.free_memory()


# --- the machine ------------------------------------------------------------------------------------------------------


def _environment(options: Options) -> dict[str, Any]:
    figures: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    for package in ("torch", "transformers", "accelerate", "ctranslate2", "triton", "nvidia-cublas-cu12"):
        try:
            figures[package] = version(package)
        except PackageNotFoundError:
            figures[package] = "not installed"
    figures["float32_products"] = torch.get_float32_matmul_precision()
    figures["variables"] = {name: os.environ[name] for name in sorted(os.environ) if _VARIABLES.match(name)}
    if options.device.type == "cuda":
        properties = torch.cuda.get_device_properties(options.device)
        figures |= {"device": properties.name, "devices": torch.cuda.device_count(), "cuda": torch.version.cuda}
        figures |= {"memory_gb": properties.total_memory / 1e9, "capability": f"{properties.major}.{properties.minor}"}
        figures["kernel_of_any_lengths"] = cuda.has_flash_attention(options.device)
    return figures


def _seconds(options: Options, run: Callable[[], object], *, times: int, warm: int = 2) -> float:
    """Of one call, after calls that do not count."""
    started = 0.0
    for number in range(warm + times):
        if number == warm:
            _synchronize(options)
            started = time.perf_counter()
        run()
    _synchronize(options)
    return (time.perf_counter() - started) / times


def _synchronize(options: Options) -> None:
    if options.device.type == "cuda":
        torch.cuda.synchronize()


def _products(options: Options) -> dict[str, Any]:
    size, figures = options.size(8192, 256), {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        big = torch.randn(size, size, device=options.device, dtype=dtype)
        seconds = _seconds(options, lambda big=big: big @ big, times=20 if dtype == torch.bfloat16 else 3)
        figures[f"{name}_tflops"] = 2 * size**3 / seconds / 1e12
    return figures | {"copy_gb_per_s": _bandwidth(options) / 1e9}


def _bandwidth(options: Options) -> float:
    block = torch.empty(options.size(1 << 30, 1 << 24), dtype=torch.uint8, device=options.device)
    return 2 * block.numel() / _seconds(options, block.clone, times=10)


# --- training ---------------------------------------------------------------------------------------------------------


def _bert(options: Options, **more: Any) -> BertForSequenceClassification:
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    fields: dict[str, Any] = {**(small if options.small else {}), "num_labels": 2, **more}
    with seeded_torch(0):
        config = BertConfig(**fields)
        model = BertForSequenceClassification(config).train()
    pack(model)
    return model.to(options.device)  # pyright: ignore[reportArgumentType]


def _rows(count: int, options: Options, *, tokens: int = 256) -> Tokens:
    rng = np.random.default_rng(count)
    return pad([rng.integers(1000, 30000, options.size(tokens, 32)) for _ in range(count)], pad_id=0)


class _Training:
    """Steps of BERT-base in bf16 as a run makes them, without its evaluations and files."""

    def __init__(self, options: Options, objectives: Sequence[Objective], batch: Batch, *, compiled: bool = False):
        self._options, self.batch = options, batch.pin_memory() if options.device.type == "cuda" else batch
        self.model = _bert(options)
        self._step = Step(self.model, objectives, steps=1000).to(options.device)
        if compiled:
            compile_layers(layers(self.model), graphs=options.device.type == "cuda")
        self._optimizer = torch.optim.AdamW(self._step.parameters(), lr=1e-5, fused=True)

    def step(self) -> None:
        with seeded_torch(0), autocast(self._options.device, "bf16"):
            loss = self._step(self.batch.to(self._options.device), 500, 0).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._step.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def figures(self, *, times: int, warm: int = 3) -> dict[str, Any]:
        """Of a supervised step."""
        seconds = _seconds(self._options, self.step, times=times, warm=warm)
        rate = self.batch.labeled.attention_mask.numel() / seconds  # pyright: ignore[reportAttributeAccessIssue]
        return {"tokens_per_s": rate, "mfu": _utilisation(6 * _weights(self.model) * rate)}


def _weights(model: torch.nn.Module) -> int:
    return sum(weight.numel() for name, weight in model.named_parameters() if ".embeddings." not in name)


def _utilisation(flops: float) -> float | None:
    """The share of the device's peak; None where the peak is not known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)
    return None if peak is None else flops / peak


def _supervised(options: Options, rows: int, *, compiled: bool = False) -> _Training:
    return _Training(options, (Supervised(),), Batch(_rows(rows, options), torch.arange(rows) % 2), compiled=compiled)


def _train(options: Options) -> dict[str, Any]:
    figures = _supervised(options, options.size(64, 4)).figures(times=options.size(20, 2))
    return figures | ({"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if options.device.type == "cuda" else {})


def _train_compiled(options: Options) -> dict[str, Any]:
    if options.small:
        return {"tokens_per_s": None}  # a minute of compiling says nothing here
    return _supervised(options, 64, compiled=True).figures(times=20, warm=5)


def _batch_sizes(options: Options) -> dict[str, Any]:
    """Tokens a second by rows of 256 tokens, until the memory ends."""
    figures, rows = dict[str, Any](), options.size(16, 2)
    while rows <= options.size(2048, 4):
        try:
            figures[f"{rows}_rows_tokens_per_s"] = _supervised(options, rows).figures(times=3)["tokens_per_s"]
        except RuntimeError as error:
            if not cuda.is_out_of_memory(error):
                raise
            return figures | {"does_not_fit": rows}
        cuda.free_memory()
        rows *= 2
    return figures


def _uda(options: Options, *, compiled: bool = False) -> dict[str, Any]:
    """8 + 24 + 24 rows of 256 tokens; all rows count."""
    labeled, unlabeled = options.size(8, 2), options.size(24, 4)
    batch = Batch(
        _rows(labeled, options), torch.arange(labeled) % 2, _rows(unlabeled, options), _rows(unlabeled, options)
    )
    training = _Training(options, (Supervised(), UDA()), batch, compiled=compiled)
    seconds = _seconds(options, training.step, times=options.size(20, 2), warm=5)
    figures: dict[str, Any] = {"step_ms": 1000 * seconds}
    if options.device.type == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            _seconds(options, training.step, times=5, warm=0)
        busy = sum(event.self_device_time_total for event in profile.key_averages()) / 5e6
        figures["idle_share"] = max(0.0, 1 - busy / seconds)
    return figures


class _RandomRows:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def lengths(self) -> np.ndarray:
        return np.array(self._tokens.lengths, dtype=np.int32)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Tokens:
        return self._tokens.take(torch.as_tensor(np.asarray(indices)))


def _evaluation(options: Options) -> dict[str, Any]:
    model, rows = _bert(options), _RandomRows(_rows(options.size(2000, 8), options))
    precisions: tuple[ResolvedPrecision, ...] = ("fp32", "bf16")
    return {
        f"{precision}_s": _seconds(
            options, lambda precision=precision: probabilities(model, rows, precision=precision), times=1, warm=1
        )
        for precision in precisions
    }


def _as_on_cpu(options: Options) -> dict[str, Any]:
    """Relative differences of loss and gradient from float64 on a CPU, of 8 rows without dropout."""
    batch, results = _rows(8, options, tokens=64), {}
    dropout: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    for name, device, dtype in (
        ("exact", torch.device("cpu"), torch.float64),
        ("fp32", options.device, torch.float32),
        ("bf16", options.device, torch.float32),
    ):
        model: Any = _bert(options, **dropout)
        model = model.to(device, dtype)
        with autocast(device, "bf16" if name == "bf16" else "fp32"):
            loss = Step(model, (Supervised(),), steps=1)(Batch(batch, torch.arange(8) % 2).to(device), 0).loss
        loss.backward()
        gradient = torch.cat([weight.grad.flatten().cpu().double() for weight in model.parameters()])
        results[name] = loss.item(), gradient
    loss, gradient = results.pop("exact")
    figures = {f"{name}_loss": abs(one - loss) / loss for name, (one, _) in results.items()}
    return figures | {
        f"{name}_gradient": float((one - gradient).norm() / gradient.norm()) for name, (_, one) in results.items()
    }


# --- translation ------------------------------------------------------------------------------------------------------


def _marian(options: Options, folder: Path) -> None:
    """Write a random MarianMT of opus-mt size, and a small vocabulary of syllables: all that an engine opens."""
    import sentencepiece

    rng = np.random.default_rng(0)
    lines = [_sentence(rng) for _ in range(2000)]
    trainer, name = sentencepiece.SentencePieceTrainer, str(folder / "source")
    trainer.train(sentence_iterator=iter(lines), model_prefix=name, vocab_size=400, minloglevel=2)
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(number) for number in range(3, pieces.get_piece_size()))]
    size = options.size(58101, 801)
    words += [f"unused{number}" for number in range(len(words), size - 1)]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate([*words, "<pad>"])}))
    files = {part: str(folder / f"{part}.spm") for part in ("source", "target")}
    MarianTokenizer(source_spm=files["source"], target_spm=files["target"], vocab=str(folder / "vocab.json"),
                    source_lang="en", target_lang="es").save_pretrained(folder)  # fmt: skip
    width, depth = options.size(512, 64), options.size(6, 2)
    config = MarianConfig(
        vocab_size=size, d_model=width, encoder_layers=depth, decoder_layers=depth, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, max_position_embeddings=512,
        pad_token_id=size - 1, eos_token_id=0, decoder_start_token_id=size - 1, activation_function="swish",
        scale_embedding=True, forced_eos_token_id=None,
    )  # fmt: skip
    with seeded_torch(0):
        MarianMTModel(config).save_pretrained(folder)


def _sentence(rng: np.random.Generator) -> str:
    """Some 30 tokens."""
    return " ".join("".join(rng.choice(list("bdfgklmnprst")) + rng.choice(list("aeiou")) for _ in range(rng.integers(
        1, 4))) for _ in range(12))  # fmt: skip


def _decode(options: Options) -> dict[str, Any]:
    """Sampling at temperature 0.9: the network on 2,184 rows of 30 tokens, then the engine with all of its work."""
    rows, tokens = options.size(2184, 16), 30
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        _marian(options, Path(folder))
        rng = np.random.default_rng(1)
        ids = [[*rng.integers(2, 300, tokens - 1).tolist(), 0] for _ in range(rows)]
        numbers = rng.random((rows, tokens, DRAWS))
        for precision in ("float32", "bfloat16"):
            model = MarianMTModel.from_pretrained(folder)
            network = Network(model, device=options.device, precision=precision)
            network.forbid([0])  # random weights would end at random
            arguments = network, ids, list(range(rows)), [tokens] * rows, Decoding(temperature=0.9), numbers
            seconds = _seconds(
                options, lambda arguments=arguments: decode(*arguments), times=options.size(3, 1), warm=1
            )
            figures[f"{precision}_tokens_per_s"] = rows * tokens / seconds
            width, depth = model.config.d_model, model.config.decoder_layers
            weights = sum(p.numel() for p in model.model.decoder.layers.parameters()) + model.lm_head.weight.numel()
            states = 2 * depth * width * rows * (tokens + tokens / 2)  # keys and values: of the source, and so far
            item = 4 if precision == "float32" else 2
            read = tokens * item * (weights + states)
            figures[f"{precision}_share_of_bandwidth"] = read / seconds / _bandwidth(options)
        engine = Marian(folder, Decoding(temperature=0.9), "bfloat16")
        sentences = [_sentence(rng) for _ in range(options.size(8192, 16))]
        figures["engine_tokens_per_s"] = _engine_rate(options, engine, sentences)
    return figures


def _engine_rate(options: Options, engine: Marian | CTranslate2, sentences: Sequence[str]) -> float:
    """Tokens a second. Random weights hardly ever end a translation, so each counts as long as its cap."""
    known = vocabulary(engine.model)
    tokens = sum(most_tokens(len(source.tokens), known.positions) for source in known.encode(sentences))
    warm = sentences[: options.size(64, 2)]
    engine(warm, [0] * len(warm))
    started = time.perf_counter()
    engine(sentences, [1] * len(sentences))
    return tokens / (time.perf_counter() - started)


def _ctranslate2(options: Options) -> dict[str, Any]:
    import ctranslate2

    figures: dict[str, Any] = {"gpus": ctranslate2.get_cuda_device_count()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEXT_UDA_HOME"] = folder
        model = Path(folder) / "model"
        model.mkdir()
        _marian(options, model)
        rng = np.random.default_rng(1)
        sentences = [_sentence(rng) for _ in range(options.size(2048, 16))]
        for precision in ("int8", "float16") if options.device.type == "cuda" else ("int8",):
            engine = CTranslate2(str(model), Decoding(), precision)
            figures[f"{precision}_tokens_per_s"] = _engine_rate(options, engine, sentences)
        figures["block"] = CTranslate2(str(model)).block  # 8192 on a GPU
    return figures


PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "environment": _environment,
    "products": _products,
    "as_on_cpu": _as_on_cpu,
    "train": _train,
    "uda": _uda,
    "evaluation": _evaluation,
    "decode": _decode,
    "ctranslate2": _ctranslate2,
    "batch_sizes": _batch_sizes,
    "train_compiled": _train_compiled,
    "uda_compiled": lambda options: {"step_ms": None} if options.small else _uda(options, compiled=True),
}


if __name__ == "__main__":
    main()
