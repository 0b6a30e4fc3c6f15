"""Masked-language-model training on the texts of the task, before the classifier sees a label.

Sources: Devlin et al. 2019 (arXiv 1810.04805), Section 3.1; on in-domain text Sun et al. 2019 (arXiv 1905.05583),
Section 5.4, and Xie et al. 2019 (UDA, arXiv 1904.12848), Section 4, who found it worth about as much as UDA itself.
Departures: next sentences are not predicted (as RoBERTa), and a step takes tokens, not rows.
"""

import hashlib
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.data.texts import distinct_places, taken
from text_uda.errors import DataError, SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.model.keyed_tensors import keyed_random
from text_uda.model.masked_language_model import Masked, Vocabulary, head_is_positionwise, mask_tokens, masked_logits
from text_uda.model.micro_batches import lengths_to_last_token, split_into_passes
from text_uda.model.packing import is_packed
from text_uda.model.precision import Precision, ResolvedPrecision, autocast, check_precision, resolve_precision
from text_uda.model.pretrained import (
    AVERAGING_NOTE,
    averaging_note,
    hidden_width,
    load_masked_language_model,
    load_pooler,
    load_tokenizer,
)
from text_uda.model.tokenized import TokenRows
from text_uda.objectives.schedules import linear_decay
from text_uda.progress import followed, progress
from text_uda.runs.directory import PRETRAINING, RunDirectory
from text_uda.runs.provenance import machine, provenance
from text_uda.training import checkpoint
from text_uda.training.elapsed import Spent
from text_uda.training.metrics import Metrics
from text_uda.training.non_finite import DivergedError, diverged
from text_uda.training.optimizer import parameter_groups
from text_uda.training.row_order import TokenBudgetStream
from text_uda.training.stopping import Interrupted, Stop

HELD_OUT_SHARE, HELD_OUT_MOST = 0.01, 500  # of the texts
HELD_OUT_DRAWS = 4  # masks of each held-out text, which are the same in each run


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """How an encoder goes on with its pretraining."""

    encoder: str = "google-bert/bert-base-uncased"
    """A hub id, a folder, or "minilm-l6", the packaged one of the extra `demo`."""

    steps: int = 1000
    seed: int = 0
    """Of the order of the rows, the masks, the dropout, and the head where the encoder comes without one."""

    tokens_per_step: int = 8192
    """About how many tokens of text a step takes; at least `max_tokens`."""

    learning_rate: float = 1e-4
    """The highest; BERT's (Devlin et al. 2019, Appendix A.2)."""

    warmup_steps: int = 0
    """Steps over which the rate grows; then it falls to 0 in a straight line."""

    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    mask_rate: float = 0.15
    """Share of the words that is hidden and predicted."""

    max_tokens: int = 256
    """Tokens of a text that the encoder sees."""

    keep_tokens: Literal["first", "last"] = "last"
    """Which ones of a longer text; as the classifier will read it."""

    evaluate_every: int = 100
    """Steps between two looks at the held-out texts."""

    checkpoint_every: int = 500
    """Steps between two checkpoints."""

    log_every: int = 10
    """Steps between two lines of metrics."""

    tokens_per_pass: int | None = None
    """How many tokens go through the encoder at one time, where a step has more than memory; the gradients add up. None
    for all of a step at once."""

    precision: Precision = "auto"
    """auto: bf16 where it is fast (CUDA of compute capability 8 or more; CPUs with AMX), else fp32."""

    def __post_init__(self) -> None:
        positive = (
            "steps tokens_per_step learning_rate max_grad_norm max_tokens evaluate_every checkpoint_every log_every"
        )
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give a number above 0")
        if self.tokens_per_pass is not None and self.tokens_per_pass <= 0:
            raise SettingsError(f"tokens_per_pass={self.tokens_per_pass}: give a number above 0, or None")
        for name in ("warmup_steps", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give 0 or more")
        if not 0 < self.mask_rate < 1:
            raise SettingsError(f"mask_rate={self.mask_rate}: give a share between 0 and 1, such as 0.15")
        if self.tokens_per_step < self.max_tokens:
            raise SettingsError(
                f"tokens_per_step={self.tokens_per_step}: a text has up to max_tokens={self.max_tokens}; "
                "give at least as many, or lower max_tokens"
            )
        if self.keep_tokens not in ("first", "last"):
            raise SettingsError(f"keep_tokens={self.keep_tokens!r}: choose first or last")
        check_precision(self.precision)


def pretrain(
    texts: Sequence[str],
    *,
    settings: PretrainSettings | None = None,
    out: str | Path,
    name: str | None = None,
    resume: bool = True,
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train an encoder to predict masked tokens of `texts`, and write the run directory `out`.

    `out` itself, or its folder model/, is then an encoder's name. A run that was stopped goes on from its last
    checkpoint; a finished one is only read. Some of the texts, chosen by what they say alone, are held out.

    Under `accelerate launch` each process calls this, with a folder that all of them see, and has its share of rows.

    Args:
        texts: of the training side, without labels; a text that stands twice counts once.
        settings: of the training.
        out: the run directory.
        name: of the run.
        resume: False starts anew and discards what a run left in `out`.
        max_minutes: stop after so long, with a checkpoint from which the same call goes on.
    Returns:
        what result.json holds: run, model, start_dev_loss, start_perplexity, dev_loss, perplexity (of held-out masked
        tokens, before and after), steps, texts, held_out, tokens (seen in training), new_head, seconds.
    Raises:
        SettingsError: an encoder that predicts no masked tokens, or a folder that holds another run.
        DataError: the texts have no two in which a token could be hidden.
        DivergedError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, or when the time is over, after a checkpoint.
    """
    settings = settings or PretrainSettings()
    stop = Stop(max_minutes)
    texts = taken(texts, distinct_places(texts))
    directory = RunDirectory(Path(out))
    accelerator = Accelerator(mixed_precision="no")  # `_loss` casts; the processes meet here
    distributed.check(accelerator)
    width = hidden_width(settings.encoder)
    numbers: ResolvedPrecision = distributed.on_main(
        lambda: directory.numbers(settings.precision, width, resume=resume)
    )
    config = {
        "name": name or f"{PRETRAINING} seed {settings.seed}",
        "method": PRETRAINING,
        "data": {"texts": len(texts), "digest": _digest(texts)},
        "settings": asdict(settings),
        **provenance(),
        "machine": machine(accelerator, numbers),
    }
    began = distributed.on_main(lambda: directory.open(config, resume=resume))
    if (finished := directory.result()) is not None:
        return finished
    decided = replace(settings, precision=numbers)
    try:
        training = _Pretraining(texts, decided, directory, accelerator.device)
    except (SettingsError, DataError):
        accelerator.wait_for_everyone()  # no process is to write into what goes
        if began and distributed.is_main():  # so that the mended call finds no run with other settings in its way
            shutil.rmtree(directory.path)
        raise
    return training.run(stop)


class _Pretraining:
    """One run: what is prepared once, and the loop over it."""

    def __init__(
        self, texts: Sequence[str], settings: PretrainSettings, directory: RunDirectory, device: torch.device
    ) -> None:
        self.settings, self.directory = settings, directory
        pretrained, self.new_head = load_masked_language_model(settings.encoder, seed=settings.seed)
        self.model = pretrained.model.to(device)  # pyright: ignore[reportArgumentType]
        tokenizer = pretrained.tokenizer
        tokenizer.truncation_side = "left" if settings.keep_tokens == "last" else "right"
        self.vocabulary = Vocabulary.of(tokenizer)
        with followed("tokenise", "texts", shown=distributed.is_main()) as on_progress:
            rows = TokenRows(
                texts, tokenizer, max_tokens=settings.max_tokens, folder=directory.tokens, progress=on_progress
            )
        usable = self._usable(rows)
        if len(usable) < 2:
            raise DataError(
                f"of {len(texts):,} texts {len(usable)} have a word that could be hidden (up to {settings.max_tokens} "
                "tokens are read); give two or more texts that are not empty, or raise max_tokens"
            )
        self.rows = rows
        held_out = min(HELD_OUT_MOST, max(1, int(HELD_OUT_SHARE * len(usable))))
        keys = np.fromiter((keyed_seed("held out", text) >> 64 for text in texts), np.uint64, len(texts))  # 8 bytes
        by_key = usable[np.argsort(keys[usable], kind="stable")]
        self.held_out, self.train = by_key[:held_out], np.sort(by_key[held_out:])
        self.stream = TokenBudgetStream(
            rows.lengths[self.train], tokens_per_step=settings.tokens_per_step, seed=settings.seed, name="pretrain"
        )
        self.cut = head_is_positionwise(self.model)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, weight_decay=settings.weight_decay), lr=settings.learning_rate, fused=True
        )

    def _usable(self, rows: TokenRows) -> np.ndarray:
        """The rows that have a word which can be hidden, (N,) int64."""
        usable = np.zeros(len(rows), dtype=bool)
        for start in range(0, len(rows), 1024):
            block = rows.batch(range(start, min(start + 1024, len(rows))))
            usable[start : start + len(block)] = self.vocabulary.maskable(block).any(dim=1).numpy()
        return np.flatnonzero(usable)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, stop: Stop) -> dict[str, Any]:
        settings, directory = self.settings, self.directory
        done, _, before = checkpoint.load(directory.checkpoints, self.model, self.optimizer)
        started = Spent.now(before)
        distributed.on_main(lambda: directory.keep_metrics_until(done or -1))
        self.model.train()
        with (
            Metrics(directory, steps=settings.steps) as metrics,
            progress(settings.steps, "pretrain", "steps", done=done, shown=distributed.is_main()) as bar,
            stop.on_signals(),
        ):
            if not done:
                metrics.held_out(0, loss=self._held_out_loss())
            for step in range(done, settings.steps):
                step_started = time.monotonic()
                loss, terms = self._update(step)
                if step % settings.log_every == 0:
                    seconds = time.monotonic() - step_started
                    metrics.train(step + 1, {"loss": float(loss)} | terms | {"tokens_per_s": terms["tokens"] / seconds})
                last = step + 1 == settings.steps
                if (step + 1) % settings.evaluate_every == 0 or last:
                    dev_loss = self._held_out_loss()
                    metrics.held_out(step + 1, loss=dev_loss)
                    bar.note(f"loss {float(loss):.3f}, dev loss {dev_loss:.3f}")
                bar.advance()
                if distributed.any_of(stop.is_set()):
                    self._save(step + 1, started.until_now())
                    raise Interrupted(stop.words(step + 1, settings.steps, directory.path))
                if (step + 1) % settings.checkpoint_every == 0 and not last:
                    self._save(step + 1, started.until_now())
        return self._finish(started.until_now().seconds)

    def _update(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """One step of the optimiser. Rows, masks and dropout depend on (seed, step) alone."""
        settings = self.settings
        rate = settings.learning_rate * linear_decay(
            step=step, steps=settings.steps, warmup_steps=settings.warmup_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        indices = self.train[self.stream.take(step)]
        masked = self._masked(indices, settings.seed, "masks", step)
        total = torch.zeros((), device=self.model.device)  # of all processes: the mean over the masked tokens
        noise = keyed_seed(settings.seed, "pretrain noise", step, distributed.rank()) >> 65  # torch: 63 bits
        with keyed_random(noise):
            for part in self._parts(masked):
                loss = self._loss(part) / len(masked.labels)
                if torch.isfinite(loss):
                    loss.backward()
                total = total + loss.detach()
        total = distributed.summed(total)
        distributed.sum_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_grad_norm)
        if not (torch.isfinite(total) and torch.isfinite(norm)):
            raise self._diverged("the loss" if not torch.isfinite(total) else "the gradient", step, total, indices)
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens = int(masked.tokens.attention_mask.sum())
        return total, {"learning_rate": rate, "tokens": tokens, "masked": len(masked.labels)}

    def _masked(self, indices: Sequence[int] | np.ndarray, *key: object) -> Masked:
        """These rows in order of length, with masks drawn by the key."""
        order = np.argsort(self.rows.lengths[indices], kind="stable")
        tokens = self.rows.batch(np.asarray(indices)[order])
        generator = torch.Generator().manual_seed(keyed_seed(*key) >> 65)
        return mask_tokens(tokens, self.vocabulary, rate=self.settings.mask_rate, generator=generator)

    def _parts(self, masked: Masked) -> Iterator[Masked]:
        """This process's rows of a batch, in passes through the encoder."""
        own = range(distributed.rank(), len(masked.tokens), distributed.processes())  # by length, so all get alike
        lengths = lengths_to_last_token(masked.tokens.attention_mask)
        most = self.settings.tokens_per_pass
        for rows in split_into_passes([lengths[row] for row in own], max_tokens=most, packed=is_packed(self.model)):
            if rows:
                yield masked.take([own[row] for row in rows], max(lengths[own[row]] for row in rows))

    def _loss(self, part: Masked) -> torch.Tensor:
        """The cross entropy at the masked places, summed."""
        device = self.model.device
        if not len(part.labels):
            return torch.zeros((), device=device, requires_grad=True)
        with autocast(device, resolve_precision(self.settings.precision)):
            said = masked_logits(self.model, part.tokens.to(device), part.positions.to(device), masked_only=self.cut)
        return cross_entropy(said, part.labels.to(device), reduction="sum")

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        """The mean cross entropy over the masked tokens of the held-out texts, the same ones at each look."""
        self.model.eval()
        total, count = 0.0, 0
        for draw in range(HELD_OUT_DRAWS):
            for start in range(0, len(self.held_out), 64):
                masked = self._masked(self.held_out[start : start + 64], "held-out masks", draw, start)
                for part in self._parts(masked):
                    total += float(self._loss(part))
                    count += len(part.labels)
        self.model.train()
        totals = distributed.summed(torch.tensor([total, count], dtype=torch.float64))
        return float(totals[0] / totals[1])

    def _diverged(self, what: str, step: int, loss: torch.Tensor, indices: np.ndarray) -> DivergedError:
        return diverged(
            what,
            self.directory,
            step=step,
            parts={"loss": float(loss)},
            terms={},
            rows={"text": indices.tolist()},
            learning_rate=self.settings.learning_rate,
            kept=distributed.is_main(),
        )

    def _save(self, done: int, spent: Spent) -> None:
        def save() -> None:
            checkpoint.save(self.directory.checkpoints, self.model, self.optimizer, done=done, best=None, spent=spent)

        distributed.on_main(save)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, seconds: float) -> dict[str, Any]:
        encoder, directory = self.settings.encoder, self.directory
        pooler = load_pooler(encoder)
        if pooler is not None and getattr(self.model.base_model, "pooler", None) is None:
            self.model.base_model.pooler = pooler  # what fine-tuning begins with, had there been no pretraining
        looks = [record["loss"] for record in directory.read_metrics() if record["kind"] == "dev"]
        result = {
            "run": str(directory.path),
            "model": str(directory.model),
            "start_dev_loss": looks[0],
            "start_perplexity": round(math.exp(looks[0]), 3),
            "dev_loss": looks[-1],
            "perplexity": round(math.exp(looks[-1]), 3),
            "steps": self.settings.steps,
            "texts": len(self.train),
            "held_out": len(self.held_out),
            "tokens": self.stream.tokens(self.settings.steps),
            "new_head": self.new_head,
            "seconds": round(seconds, 2),
        }

        def write() -> None:
            note = averaging_note(encoder)
            directory.write_model(self.model, load_tokenizer(encoder), {} if note is None else {AVERAGING_NOTE: note})
            directory.write("result.json", result)
            shutil.rmtree(directory.checkpoints, ignore_errors=True)
            shutil.rmtree(directory.tokens, ignore_errors=True)

        distributed.on_main(write)
        return result


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
