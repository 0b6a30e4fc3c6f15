"""Masked-language-model training on the texts of the task, before a classifier is fine-tuned.

Sources: Devlin et al. 2019 (arXiv 1810.04805), Section 3.1; on in-domain text Sun et al. 2019 (arXiv 1905.05583),
Section 5.4, and Xie et al. 2019 (UDA, arXiv 1904.12848), Section 4, where it gains about as much as UDA itself.
Departures: no next-sentence prediction (as RoBERTa), and the size of a step is counted in tokens, not rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.errors import DataError
from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import TokenCounts
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.masked_language_model import Masked, Vocabulary, head_is_positionwise, mask_tokens, masked_logits
from text_uda.model.micro_batches import lengths_to_last_token, split_into_passes
from text_uda.model.packing import is_packed
from text_uda.model.precision import autocast, resolve_precision
from text_uda.model.pretrained import (
    AVERAGING_NOTE,
    averaging_note,
    check_room,
    limit_tokens,
    load_masked_language_model,
    load_pooler,
    load_tokenizer,
    max_positions,
)
from text_uda.model.tokenized import TokenRows
from text_uda.objectives.schedules import linear_decay
from text_uda.progress import followed
from text_uda.runs.directory import PRETRAINING, RunDirectory
from text_uda.training import checkpoint
from text_uda.training.elapsed import Elapsed
from text_uda.training.loop import StepResult
from text_uda.training.non_finite import NonFiniteError, non_finite_error
from text_uda.training.optimizer import parameter_groups
from text_uda.training.prefetch import prefetched
from text_uda.training.pretrain_settings import PretrainSettings
from text_uda.training.row_sampling import TokenBudgetStream

HELD_OUT_SHARE, MAX_HELD_OUT = 0.01, 500  # of the texts
HELD_OUT_DRAWS = 4  # masked copies of each held-out text, the same in every run


class MaskedBatch(NamedTuple):
    masked: Masked
    parts: list[Masked]  # this process's rows, in passes through the encoder
    texts: np.ndarray  # indices of the texts, (B,)


class MaskedLanguageModeling:
    """A training run of a masked language model, on this process's part of each batch."""

    label = PRETRAINING
    evaluates_untrained = True
    averaged = None

    def __init__(
        self, texts: Sequence[str], settings: PretrainSettings, directory: RunDirectory, accelerator: Accelerator
    ) -> None:
        self.settings, self.directory, self.accelerator = settings, directory, accelerator
        self.steps = settings.steps
        self.best: checkpoint.Best | None = None  # the last weights are kept, whatever the evaluations say
        pretrained, self.new_head = load_masked_language_model(settings.encoder, seed=settings.seed)
        self.module = pretrained.model.to(accelerator.device)  # pyright: ignore[reportArgumentType]
        tokenizer = pretrained.tokenizer
        check_room(tokenizer, settings.max_tokens)
        tokenizer.truncation_side = "left" if settings.keep_tokens == "last" else "right"
        self.vocabulary = Vocabulary.of(tokenizer)
        with followed("tokenise", "texts", shown=distributed.is_main()) as on_progress:
            rows = TokenRows(
                texts, tokenizer, max_tokens=settings.max_tokens, folder=directory.tokens, progress=on_progress
            )
        maskable = self._maskable(rows)
        if len(maskable) < 2:
            raise DataError(
                f"only {len(maskable)} of {len(texts):,} texts have a word that can be masked (among the "
                f"{settings.max_tokens} tokens that are read); give two or more texts that are not empty, or raise "
                "max_tokens"
            )
        self.rows = rows
        held_out = min(MAX_HELD_OUT, max(1, int(HELD_OUT_SHARE * len(maskable))))
        keys = np.fromiter((keyed_seed("held out", text) >> 64 for text in texts), np.uint64, len(texts))
        by_key = maskable[np.argsort(keys[maskable], kind="stable")]
        self.held_out, self.train = by_key[:held_out], np.sort(by_key[held_out:])
        self.stream = TokenBudgetStream(
            rows.lengths[self.train], tokens_per_step=settings.tokens_per_step, seed=settings.seed, name="pretrain"
        )
        self._head_on_masked_places = head_is_positionwise(self.module)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.module, weight_decay=settings.weight_decay), lr=settings.learning_rate, fused=True
        )
        self.token_counts = TokenCounts()

    def _maskable(self, rows: TokenRows) -> np.ndarray:
        """The rows that have a word which can be masked, (N,) int64."""
        maskable = np.zeros(len(rows), dtype=bool)
        for start in range(0, len(rows), 1024):
            block = rows.batch(range(start, min(start + 1024, len(rows))))
            maskable[start : start + len(block)] = self.vocabulary.maskable(block).any(dim=1).numpy()
        return np.flatnonzero(maskable)

    # --- a step -------------------------------------------------------------------------------------------------------

    def batches(self, first: int) -> Iterator[MaskedBatch]:
        return prefetched(self._batch, first, self.steps)

    def _batch(self, step: int) -> MaskedBatch:
        indices = self.train[self.stream.take(step)]
        masked = self._masked(indices, self.settings.seed, "masks", step)
        return MaskedBatch(masked, list(self._parts(masked)), indices)

    def update(self, step: int, batch: MaskedBatch) -> StepResult:
        """One step of the optimizer. Rows, masks and dropout depend on (seed, step) only."""
        settings, masked = self.settings, batch.masked
        rate = settings.learning_rate * linear_decay(
            step=step, steps=settings.steps, warmup_steps=settings.warmup_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.token_counts = TokenCounts()
        total = torch.zeros((), device=self.module.device)  # over all processes: the mean over the masked tokens
        seed = keyed_seed(settings.seed, "pretrain noise", step, distributed.rank()) >> 65  # torch takes 63 bits
        with seeded_torch(seed):
            for part in batch.parts:
                self.token_counts.add(int(part.tokens.attention_mask.sum()), part.tokens.attention_mask.numel())
                loss = self._loss(part) / len(masked.labels)
                loss.backward()
                total = total + loss.detach()
        total = distributed.summed(total)
        distributed.sum_gradients(self.module.parameters())
        norm = torch.nn.utils.clip_grad_norm_(
            self.module.parameters(), torch.inf if settings.max_grad_norm is None else settings.max_grad_norm
        )
        loss_is_finite, gradient_is_finite = torch.stack([total, norm]).isfinite().tolist()  # one wait for the GPU
        if not (loss_is_finite and gradient_is_finite):
            quantity = "the gradient" if loss_is_finite else "the loss"
            raise self._non_finite(quantity, step, total, batch.texts)
        self.optimizer.step()
        self.optimizer.zero_grad()
        terms = {
            "learning_rate": torch.tensor(rate, dtype=torch.float64),  # all digits, for the mean over the processes
            "tokens": int(masked.tokens.attention_mask.sum()),
            "masked": len(masked.labels),
        }
        return StepResult(total, terms, len(masked.tokens))

    def log_line(self, result: StepResult, throughput: Mapping[str, float]) -> dict[str, torch.Tensor | float]:
        return {"loss": result.loss, **result.terms, "tokens_per_s": throughput["tokens_per_s"]}

    def _masked(self, indices: Sequence[int] | np.ndarray, *key: object) -> Masked:
        """These rows in order of length, with masks drawn by the key."""
        order = np.argsort(self.rows.lengths[indices], kind="stable")
        tokens = self.rows.batch(np.asarray(indices)[order])
        generator = torch.Generator().manual_seed(keyed_seed(*key) >> 65)
        return mask_tokens(tokens, self.vocabulary, rate=self.settings.mask_rate, generator=generator)

    def _parts(self, masked: Masked) -> Iterator[Masked]:
        """This process's rows of a batch, in passes through the encoder."""
        # Every n-th row, so that all processes get similar lengths.
        local = range(distributed.rank(), len(masked.tokens), distributed.processes())
        lengths = lengths_to_last_token(masked.tokens.attention_mask)
        passes = split_into_passes(
            [lengths[row] for row in local], max_tokens=self.settings.tokens_per_pass, packed=is_packed(self.module)
        )
        for rows in passes:
            if rows:
                part = masked.take([local[row] for row in rows], max(lengths[local[row]] for row in rows))
                yield part.pin_memory() if self.module.device.type == "cuda" else part

    def _loss(self, part: Masked) -> torch.Tensor:
        """The cross entropy at the masked places, summed."""
        device = self.module.device
        if not len(part.labels):
            return torch.zeros((), device=device, requires_grad=True)
        part = part.to(device)
        with autocast(device, resolve_precision(self.settings.precision)):
            logits = masked_logits(self.module, part.tokens, part.positions, masked_only=self._head_on_masked_places)
        return cross_entropy(logits, part.labels, reduction="sum")

    def _non_finite(self, quantity: str, step: int, loss: torch.Tensor, indices: np.ndarray) -> NonFiniteError:
        return non_finite_error(
            quantity,
            self.directory,
            step=step,
            parts={"loss": float(loss)},
            terms={},
            rows={"text": indices.tolist()},
            learning_rate=self.settings.learning_rate,
            record=distributed.is_main(),
        )

    # --- an evaluation ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self, done: int) -> dict[str, float]:
        """Mean cross entropy over the masked tokens of the held-out texts (always the same tokens); perplexity."""
        del done
        self.module.eval()
        total, count = torch.zeros((), dtype=torch.float64, device=self.module.device), 0
        for draw in range(HELD_OUT_DRAWS):
            for start in range(0, len(self.held_out), 64):
                masked = self._masked(self.held_out[start : start + 64], "held-out masks", draw, start)
                for part in self._parts(masked):
                    total += self._loss(part)
                    count += len(part.labels)
        self.module.train()
        totals = distributed.summed(torch.tensor([float(total), count], dtype=torch.float64))
        loss = float(totals[0] / totals[1])
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}

    def is_out_of_patience(self, done: int) -> bool:
        del done
        return False

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self, steps: int, elapsed: Elapsed) -> dict[str, Any]:
        encoder, directory = self.settings.encoder, self.directory
        pooler = load_pooler(encoder)
        if pooler is not None and getattr(self.module.base_model, "pooler", None) is None:
            self.module.base_model.pooler = pooler  # fine-tuning starts from it, as without pretraining
        losses = {record["step"]: record["loss"] for record in directory.read_metrics() if record["kind"] == "dev"}
        before = losses.get(0)  # None where the user has removed the metrics of a run that had stopped
        after = losses[steps] if steps in losses else self.evaluate(steps)["loss"]
        result = {
            "run": str(directory.path),
            "model": str(directory.model),
            "start_dev_loss": before,
            "start_perplexity": None if before is None else round(math.exp(before), 3),
            "dev_loss": after,
            "perplexity": round(math.exp(after), 3),
            "steps": steps,
            "texts": len(self.train),
            "held_out": len(self.held_out),
            "tokens": self.stream.tokens(steps),
            "new_head": self.new_head,
            "seconds": round(elapsed.seconds, 2),
        }

        def write() -> dict[str, str]:
            note = averaging_note(encoder)
            notes = {} if note is None else {AVERAGING_NOTE: note}
            # The encoder's own length, not max_tokens: fine-tuning may read more of a text than pretraining.
            tokenizer = load_tokenizer(encoder)
            limit_tokens(tokenizer, max_positions(self.module))
            directory.write_model(self.module, tokenizer, notes)
            return directory.finish(result)

        return result | {"model_files": distributed.on_main(write)}
