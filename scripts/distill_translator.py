"""Distil Apertium into a small MarianMT model: a neural translator where no model hub is in reach.

    python scripts/distill_pairs.py --out pairs
    export OMP_NUM_THREADS=1    # a core for each direction
    python scripts/distill_translator.py --pairs pairs --direction eng-spa --out models --minutes 120 &
    python scripts/distill_translator.py --pairs pairs --direction spa-eng --out models --minutes 120; wait
    python scripts/distill_score.py --pairs pairs --models models
    text-uda paraphrase FILE --translator marian:models/eng-spa,models/spa-eng --sampling-temperature 0.9 --samples 2

Sequence-level distillation (Kim & Rush 2016, arXiv 1606.07947): the student learns the teacher's translations of
monolingual text. The way there learns from (text, teacher's translation), the way back from (that translation, the
teacher's translation of it), so that the student's round trips imitate the teacher's. The encoder is deep and the
decoder shallow (Kasai et al. 2021, arXiv 2006.10369), since decoding costs the most.

It needs torch, transformers and the folder of the pairs: no network, no Apertium, no data set. On a GPU, --device cuda.
A rerun of the command goes on from the last evaluation; on a CPU it comes to the same bytes.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import sentencepiece
import torch
from torch import Tensor
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from text_uda.errors import DataError, SettingsError, UserError
from text_uda.keyed_random import keyed_generator, keyed_seed
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.precision import autocast, resolve_precision
from text_uda.objectives.schedules import cosine_decay
from text_uda.training import checkpoint
from text_uda.training.elapsed import Stopwatch
from translation_cache.atomic import whole_folder, write_whole
from translation_cache.file_digest import file_digest

END = 0
VOCABULARY = ("shared.spm", "vocab.json")
MOST_TOKENS = 200  # of a sentence that is trained on
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}
DROPOUT = {"cpu": 0.0, "cuda": 0.1}  # on a CPU there is time for few epochs
ROWS = {"cpu": 256, "cuda": 8192}  # of logits at a time
SMOOTHING = 0.1
POSITIVE = "steps minutes batch_tokens learning_rate width encoder_layers decoder_layers evaluations".split()


def main() -> None:
    try:
        train(_options())
    except torch.OutOfMemoryError:
        sys.exit("distill_translator: a batch does not fit in the memory of the GPU: lower --batch-tokens, and rerun")
    except UserError as error:
        sys.exit(f"distill_translator: {error}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="the folder that distill_pairs.py has made")
    parser.add_argument("--direction", required=True, help="such as eng-spa or spa-eng")
    parser.add_argument("--out", type=Path, required=True, help="gets DIRECTION/ and DIRECTION.training/")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int)
    length.add_argument("--minutes", type=float, help="as many steps as take so long, by a measurement at the start")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch-tokens", type=int, help="rows x longest side (default: 2048, on cuda 32768)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest (default: 0.001)")
    parser.add_argument("--width", type=int, default=256, help="default: 256; the inner layers are 4 times as wide")
    parser.add_argument("--encoder-layers", type=int, default=6, help="default: 6")
    parser.add_argument("--decoder-layers", type=int, default=2, help="default: 2")
    parser.add_argument("--dropout", type=float, help="default: 0, on cuda 0.1")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto: bf16 where fast")
    parser.add_argument("--weights", choices=("float32", "float16"), default="float32", help="of the file that is left")
    parser.add_argument("--evaluations", type=int, default=20, help="and checkpoints, at equal distances (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-resume", action="store_true", help="start again, whatever is there")
    return parser.parse_args()


def train(options: argparse.Namespace) -> None:
    """OUT/DIRECTION is the checkpoint, OUT/DIRECTION.training has settings.json, curve.json and checkpoints."""
    _check(options)
    folder, model_folder = options.out / f"{options.direction}.training", options.out / options.direction
    if model_folder.exists() and not (folder / "settings.json").exists():
        raise SettingsError(f"{model_folder} is not of a run of this script: choose another --out")
    pairs, dev, languages, vocabulary = _read_pairs(options)
    pieces = {name: (options.pairs / name).read_bytes() for name in VOCABULARY}  # another run may replace the files
    settings = _settings(options, folder, vocabulary, pairs)
    if (model_folder / "config.json").exists():
        print(f"{model_folder} is finished; --no-resume starts again")
        return
    student = Student(settings, vocabulary, options.device)
    done, best, elapsed = checkpoint.load(folder / "checkpoints", student.model.train(), student.optimizer)
    curve_file, steps = folder / "curve.json", settings["steps"]
    curve = [point for point in _json(curve_file) if point["step"] <= done] if curve_file.exists() else []
    print(
        f"{options.direction}: {student.parameters / 1e6:.1f} million parameters, {settings['precision']}, from step "
        f"{done:,} to {steps:,}, {len(pairs):,} steps an epoch", flush=True,
    )  # fmt: skip
    stopwatch = Stopwatch(elapsed)
    total, tokens, first = torch.zeros((), device=options.device), 0, done
    for step in range(done, steps):
        loss, count = student.update(step, pairs)
        total, tokens = total + loss, tokens + count
        if (step + 1) * options.evaluations // steps == step * options.evaluations // steps:
            continue
        train_loss, now = float(total) / (step + 1 - first), stopwatch.elapsed()
        seconds = now.seconds - elapsed.seconds
        dev_loss = student.evaluate(dev)
        if not math.isfinite(dev_loss):
            raise SettingsError(f"the loss is not finite at step {step + 1:,}: lower --learning-rate")
        curve.append({
            "step": step + 1, "epochs": round((step + 1) / len(pairs), 2), "seconds": round(now.seconds, 1),
            "train_loss": round(train_loss, 4), "dev_loss": round(dev_loss, 4),
            "tokens_per_s": round(tokens / seconds),
            "tokens_per_cpu_s": round(tokens / (now.cpu_seconds - elapsed.cpu_seconds)),
        })  # fmt: skip
        left = (steps - step - 1) * seconds / (step + 1 - first) / 60
        print(json.dumps(curve[-1] | {"minutes_left": round(left, 1)}), flush=True)
        if best is None or dev_loss < best.criterion:
            best = checkpoint.Best(dev_loss, step + 1, checkpoint.trained_weights(student.model))
        write_whole(curve_file, json.dumps(curve))
        elapsed = stopwatch.elapsed()
        checkpoint.save(
            folder / "checkpoints", student.model, student.optimizer, done=step + 1, best=best, elapsed=elapsed
        )
        total, tokens, first = torch.zeros_like(total), 0, step + 1
    assert best is not None
    checkpoint.put_weights(student.model, best.weights)
    _write_model(student, model_folder, options.weights, languages, pieces)
    shutil.rmtree(folder / "checkpoints")
    print(f"{model_folder}: dev loss {best.criterion:.4f}, of step {best.step:,}")


def _check(options: argparse.Namespace) -> None:
    """Raises SettingsError if an option is out of range; sets the defaults of the device."""
    if options.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "1"  # for the choice of the precision
    elif not torch.cuda.is_available():
        raise SettingsError("--device cuda: torch sees no GPU here")
    if options.dropout is None:
        options.dropout = DROPOUT[options.device]
    if options.batch_tokens is None:
        options.batch_tokens = BATCH_TOKENS[options.device]
    for name in POSITIVE:
        if (value := getattr(options, name)) is not None and not 0 < value < math.inf:
            raise SettingsError(f"--{name.replace('_', '-')} {value}: give a number above 0")
    if options.width % 32 or not 0 <= options.dropout < 1:
        raise SettingsError(f"--width {options.width} --dropout {options.dropout}: give a multiple of 32, and 0 to 1")


class Pairs:
    """Token ids of N pairs on a device, in batches of similar lengths: a pure function of (seed, step)."""

    def __init__(self, sides: Sequence[list[np.ndarray]], pad: int, device: str, batch_tokens: int, seed: int) -> None:
        self._pad, self._device, self._seed = pad, device, seed
        self._lengths = np.array([[len(ids) for ids in side] for side in sides])  # (2, N)
        self._longest = self._lengths.max(axis=0)
        self._ids = [torch.from_numpy(np.concatenate(side)).to(device) for side in sides]
        self._counts = torch.from_numpy(self._lengths).to(device)
        self._starts = self._counts.cumsum(1) - self._counts
        descending = -np.sort(-self._longest)
        self._edges = [0]  # of the batches, in the rows by length
        while (start := self._edges[-1]) < len(descending):
            self._edges.append(min(len(descending), start + max(1, batch_tokens // int(descending[start]))))
        self._epoch = -1

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._edges) - 1

    def batch(self, step: int) -> tuple[Tensor, Tensor, int]:
        """Source ids (B, S), target ids (B, T), and the number of target tokens."""
        if (epoch := step // len(self)) != self._epoch:
            draw = keyed_generator("distill epoch", self._seed, epoch)
            shuffled = draw.permutation(len(self._longest))
            self._rows = shuffled[np.argsort(-self._longest[shuffled], kind="stable")]
            self._order, self._epoch = draw.permutation(len(self)), epoch
            self._rows_on_device = torch.from_numpy(self._rows).to(self._device)
        number = self._order[step % len(self)]
        part = slice(self._edges[number], self._edges[number + 1])
        lengths, rows = self._lengths[:, self._rows[part]], self._rows_on_device[part]
        source, target = (self._padded(side, rows, int(lengths[side].max())) for side in (0, 1))
        return source, target, int(lengths[1].sum())

    def _padded(self, side: int, rows: Tensor, width: int) -> Tensor:
        places = torch.arange(width, device=self._device)
        within = places < self._counts[side, rows, None]  # (B, width)
        ids = self._ids[side][torch.where(within, self._starts[side, rows, None] + places, 0)]
        return torch.where(within, ids, self._pad)


class _HeadLoss(torch.autograd.Function):
    """Label-smoothed cross entropy (Szegedy et al. 2016, arXiv 1512.00567) of hidden @ weight.T, summed over tokens.

    Logits and their gradient, softmax - (1 - e) onehot - e / V, exist for some rows at a time: those of a whole batch
    are matrices that a CPU reads and writes from memory a dozen times.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, pad: int, smoothing: float, dtype: torch.dtype
    ) -> Tensor:  # (N, D), (V, D), (N,)
        inputs, factors, total = hidden.to(dtype), weight.to(dtype), hidden.new_zeros((), dtype=torch.float32)
        of_hidden, of_weight = torch.empty_like(inputs), torch.zeros_like(weight)
        for rows in torch.arange(len(targets)).split(ROWS[hidden.device.type]):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            log_p = (inputs[part] @ factors.t()).float().log_softmax(dim=-1)
            at, real = targets[part, None], targets[part, None] != pad
            loss = (1 - smoothing) * log_p.gather(1, at) + smoothing * log_p.mean(dim=1, keepdim=True)
            total -= (loss * real).sum()
            if any(ctx.needs_input_grad):
                gradient = log_p.exp_().sub_(smoothing / len(weight))
                gradient.scatter_add_(1, at, torch.full_like(loss, smoothing - 1))
                gradient = gradient.mul_(real).to(dtype)
                torch.mm(gradient, factors, out=of_hidden[part])
                of_weight += gradient.t() @ inputs[part]
        ctx.save_for_backward(of_hidden, of_weight)
        ctx.dtype = hidden.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_weight = ctx.saved_tensors
        return of_hidden.to(ctx.dtype) * gradients[0], of_weight * gradients[0], None, None, None, None


class Student:
    """The model in training."""

    def __init__(self, settings: dict[str, Any], vocabulary: int, device: str) -> None:
        width, pad = settings["width"], vocabulary - 1
        heads = width // (32 if width % 64 else 64)
        config = MarianConfig(
            vocab_size=vocabulary, d_model=width, encoder_layers=settings["encoder_layers"],
            decoder_layers=settings["decoder_layers"], encoder_attention_heads=heads,
            decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
            max_position_embeddings=512, pad_token_id=pad, eos_token_id=END, decoder_start_token_id=pad,
            forced_eos_token_id=END, activation_function="swish", scale_embedding=True, dropout=settings["dropout"],
            init_std=width**-0.5, share_encoder_decoder_embeddings=True, tie_word_embeddings=True,
        )  # fmt: skip
        self.settings, self.device, self.pad = settings, device, pad
        with seeded_torch(keyed_seed("distill", settings["seed"]) >> 65):
            self.model: Any = MarianMTModel(config).to(device)  # pyright: ignore[reportArgumentType]
        if device == "cpu" and settings["precision"] == "bf16":
            self.model.set_attn_implementation("eager")  # a step takes 0.8 of the time of the fused attention's
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.parameters = sum(parameter.numel() for parameter in trained)
        self.optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def loss(self, source: Tensor, target: Tensor, tokens: int, smoothing: float) -> Tensor:
        """Cross entropy a target token."""
        start = torch.full_like(target[:, :1], self.pad)
        with autocast(self.device, self.settings["precision"]):
            hidden = self.model.model(
                input_ids=source, attention_mask=source != self.pad,
                decoder_input_ids=torch.cat([start, target[:, :-1]], dim=1), use_cache=False,
            ).last_hidden_state  # (B, T, D)  # fmt: skip
        dtype = torch.bfloat16 if self.settings["precision"] == "bf16" else torch.float32
        weight = self.model.lm_head.weight
        return _HeadLoss.apply(hidden.flatten(0, 1), weight, target.flatten(), self.pad, smoothing, dtype) / tokens

    def update(self, step: int, pairs: Pairs) -> tuple[Tensor, int]:
        """(loss, target tokens) of one step of the optimizer; it depends on (seed, step) only."""
        steps = self.settings["steps"]
        rate = self.settings["learning_rate"] * cosine_decay(step=step, steps=steps, warmup_steps=max(1, steps // 10))
        self.optimizer.param_groups[0]["lr"] = rate
        source, target, tokens = pairs.batch(step)
        with seeded_torch(keyed_seed("distill noise", self.settings["seed"], step) >> 65):
            loss = self.loss(source, target, tokens, SMOOTHING)
            loss.backward()
        self.model.model.shared.weight.grad[self.pad] = 0  # the start token is a zero vector, as in published models
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach(), tokens

    @torch.no_grad()
    def evaluate(self, pairs: Pairs) -> float:
        self.model.eval()
        batches = [pairs.batch(number) for number in range(len(pairs))]
        total = sum(float(self.loss(*batch, 0.0)) * batch[2] for batch in batches)
        self.model.train()
        return total / sum(tokens for _, _, tokens in batches)


def _read_pairs(options: argparse.Namespace) -> tuple[Pairs, Pairs, list[str], int]:
    """The pairs to train on and those of the learning curve, the languages, and the size of the vocabulary."""
    if not (options.pairs / "pairs.json").exists():
        raise DataError(f"{options.pairs} has no pairs.json: make it with distill_pairs.py")
    try:
        record, vocabulary = _json(options.pairs / "pairs.json"), _json(options.pairs / "vocab.json")
        table = pq.read_table(options.pairs / "pairs.parquet")
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(options.pairs / "shared.spm"))
    except (OSError, ValueError, RuntimeError) as error:  # the last of sentencepiece
        raise DataError(f"{options.pairs} is not whole: make it again with distill_pairs.py ({error})") from error
    there = record["pair"]
    directions = {there: ("source", "pivot"), "-".join(reversed(there.split("-"))): ("pivot", "back")}
    if options.direction not in directions:
        raise SettingsError(f"--direction {options.direction}: the pairs are of {' and '.join(directions)}")
    sides = directions[options.direction]
    rows = table.select(["split", *sides]).to_pydict()
    ids = np.array([vocabulary[pieces.id_to_piece(number)] for number in range(pieces.get_piece_size())])
    encoded: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {"train": ([], []), "dev": ([], [])}
    for split, source, target in zip(rows["split"], *(rows[side] for side in sides), strict=True):
        if split in encoded and target is not None:
            pair = [np.append(ids[pieces.encode(text)], END) for text in (source, target)]
            if max(map(len, pair)) <= MOST_TOKENS:
                for side, tokens in zip(encoded[split], pair, strict=True):
                    side.append(tokens)
    if not all(sources for sources, _ in encoded.values()):
        raise DataError(f"{options.pairs} has no pairs of {options.direction} to train on and to evaluate with")
    pad = vocabulary["<pad>"]
    train, dev = (Pairs(sides, pad, options.device, options.batch_tokens, options.seed) for sides in encoded.values())
    languages = record["languages"] if sides[0] == "source" else record["languages"][::-1]
    return train, dev, languages, len(vocabulary)


def _settings(options: argparse.Namespace, folder: Path, vocabulary: int, train: Pairs) -> dict[str, Any]:
    """What decides the weights: that of the run in the folder, else new, with the steps that take --minutes."""
    names = ("direction", "width", "encoder_layers", "decoder_layers", "dropout", "learning_rate", "seed", "device")
    settings = {name: getattr(options, name) for name in (*names, "batch_tokens", "minutes", "evaluations")}
    digests = {name: file_digest(options.pairs / name)[:16] for name in ("pairs.parquet", *VOCABULARY)}
    settings |= {"pairs": digests, "precision": options.precision}
    asked = settings if options.steps is None else settings | {"steps": options.steps}
    path = folder / "settings.json"
    if path.exists() and options.no_resume:
        shutil.rmtree(folder)
        shutil.rmtree(options.out / options.direction, ignore_errors=True)
    if path.exists():
        stored = _json(path)
        changes = [f"{name}={stored['asked'].get(name)}" for name in asked if stored["asked"].get(name) != asked[name]]
        if changes:
            raise SettingsError(f"{folder} is of a run with {', '.join(changes)}; choose another --out, or --no-resume")
        return stored["settings"]
    settings |= {"precision": resolve_precision(options.precision, width=options.width), "steps": 10**6}
    seconds = _seconds_a_step(Student(settings, vocabulary, options.device), train)
    steps = options.steps or max(options.evaluations, round(60 * options.minutes / seconds))
    print(f"{seconds:.3f} s a step: {steps:,} steps in {steps * seconds / 60:.1f} minutes", flush=True)
    settings["steps"] = steps
    write_whole(path, json.dumps({"asked": asked, "settings": settings}, indent=1) + "\n")
    return settings


def _seconds_a_step(student: Student, train: Pairs) -> float:
    """Measured over 5 to 10 seconds, after the first steps, which take longer."""
    student.model.train()
    started, step, first = time.monotonic(), 0, 0
    while (seconds := time.monotonic() - started) < 5 or step - first < 5:
        float(student.update(step, train)[0])  # waits for a GPU
        step += 1
        if not first and (step == 20 or seconds > 2.5):
            started, first = time.monotonic(), step
    return seconds / (step - first)


def _write_model(student: Student, folder: Path, weights: str, languages: list[str], pieces: dict[str, bytes]) -> None:
    """The files of a published MarianMT checkpoint."""
    model = student.model.eval().to("cpu", getattr(torch, weights))
    model.generation_config = GenerationConfig(
        max_length=512, num_beams=1, eos_token_id=END, forced_eos_token_id=END, pad_token_id=student.pad,
        decoder_start_token_id=student.pad, bad_words_ids=[[student.pad]],
    )  # fmt: skip
    tokenizer = {
        "tokenizer_class": "MarianTokenizer", "source_lang": languages[0], "target_lang": languages[1],
        "model_max_length": 512, "separate_vocabs": False, "eos_token": "</s>", "unk_token": "<unk>",
        "pad_token": "<pad>",
    }  # fmt: skip
    with whole_folder(folder, replace=True) as unfinished:
        model.save_pretrained(unfinished)
        for name, source in (("source.spm", "shared.spm"), ("target.spm", "shared.spm"), ("vocab.json", "vocab.json")):
            (unfinished / name).write_bytes(pieces[source])
        (unfinished / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1) + "\n", "utf-8")


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
