"""MarianMT through transformers (`Helsinki-NLP/opus-mt-*`), greedy or sampled, on the GPU where there is one.

A sample does not depend on its batch: the token of each step is taken from the model's distribution by one uniform
number, which is a hash of (settings, sentence, sample, step). So in float32 a sentence gets the same tokens alone, in
another order and on another day.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MarianMTModel,
    MarianTokenizer,
)

from text_uda.errors import SettingsError
from text_uda.keyed import keyed_generator
from text_uda.translate.translator import Translation

MAX_TOKENS = 512  # the positions that Marian models have


@dataclass(frozen=True)
class Marian:
    """One direction: a hub id or a folder of a MarianMT model."""

    model: str
    temperature: float | None = None
    """None is greedy; UDA samples both ways at 0.8 to 0.9."""
    seed: int = 0
    batch_size: int = 32
    """Sentences decoded at once; it does not change what is decoded."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature <= 2:
            raise SettingsError(f"temperature={self.temperature}: give a number above 0, at most 2")

    @property
    def deterministic(self) -> bool:
        return self.temperature is None

    def settings(self) -> dict[str, Any]:
        decoding = {} if self.temperature is None else {"temperature": self.temperature, "seed": self.seed}
        return {"engine": "marian", "model": self.model, "revision": _revision(self.model), **decoding}

    def __call__(self, sentences: Sequence[str], sample: int = 0) -> list[Translation]:
        """Raises SettingsError where the model cannot be opened."""
        model, tokenizer = _load(self.model)
        rows = [ids[:MAX_TOKENS] for ids in tokenizer(list(sentences))["input_ids"]] if sentences else []
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        translated: dict[int, Translation] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            uniform = None if self.temperature is None else [self._uniform(sentences[row], sample) for row in chosen]
            made = _decode(model, tokenizer, [rows[row] for row in chosen], self.temperature, uniform)
            translated |= dict(zip(chosen, made, strict=True))
        return [translated[row] for row in range(len(rows))]

    def _uniform(self, sentence: str, sample: int) -> np.ndarray:
        """One number in [0, 1) for each step, (MAX_TOKENS,)."""
        settings = self.settings()
        return keyed_generator(*(settings[name] for name in sorted(settings)), sentence, sample).random(MAX_TOKENS)


def _most_tokens(source_tokens: int) -> int:
    """The cap on a translation's length, by the sentence's own length: its batch has no say."""
    return min(MAX_TOKENS - 1, 3 * source_tokens + 10)


@torch.inference_mode()
def _decode(
    model: MarianMTModel,
    tokenizer: MarianTokenizer,
    rows: list[list[int]],
    temperature: float | None,
    uniform: list[np.ndarray] | None,
) -> list[Translation]:
    """Token ids in, one translation each; `uniform` (B, MAX_TOKENS) chooses the tokens, None takes the likeliest."""
    inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(model.device)
    pad_id, end_id = model.config.pad_token_id, model.config.eos_token_id
    assert isinstance(pad_id, int) and isinstance(end_id, int), "Marian models have both"
    chooser = _Chooser(pad_id, temperature, uniform, model.device)
    # Everything is said here, so that nothing of the checkpoint's own defaults (beams, top-k, lengths) is left.
    config = GenerationConfig(
        max_new_tokens=max(_most_tokens(len(row)) for row in rows) + 1,  # checkpoints force an end on the last one
        num_beams=1,
        do_sample=False,
        use_cache=True,
        pad_token_id=pad_id,
        eos_token_id=end_id,
        decoder_start_token_id=model.config.decoder_start_token_id,
    )
    generate = getattr(model, "generate")  # noqa: B009  # a mixin that type checkers do not see
    output = generate(**inputs, generation_config=config, logits_processor=LogitsProcessorList([chooser]))
    log_probabilities = chooser.log_probabilities()  # (B, steps)
    made = []
    for ids, row, values in zip(output[:, 1:].tolist(), rows, log_probabilities.tolist(), strict=True):
        cap = _most_tokens(len(row))
        ended = end_id in ids[:cap]
        length = ids.index(end_id) + 1 if ended else cap
        text = str(tokenizer.decode(ids[:length], skip_special_tokens=True)).strip()
        score = {"log_probability": sum(values[:length]) / max(1, len(values[:length]))}
        made.append(Translation(text, "truncated" if not ended else "ok" if text else "failed", score))
    return made


class _Chooser(LogitsProcessor):
    """Turns the scores of a step into a choice: the likeliest token, or the one that a uniform number falls on."""

    def __init__(
        self, pad_id: int, temperature: float | None, uniform: list[np.ndarray] | None, device: torch.device
    ) -> None:
        self._pad_id, self._temperature = pad_id, temperature
        self._uniform = None if uniform is None else torch.from_numpy(np.stack(uniform)).to(device)  # (B, MAX_TOKENS)
        self._chosen: list[Tensor] = []  # of each step, (B,)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # (B, steps so far), (B, V) -> (B, V)
        scores = scores.float()
        scores[:, self._pad_id] = -torch.inf  # Marian starts with it and never says it
        if self._uniform is None or self._temperature is None:
            token = scores.argmax(dim=-1, keepdim=True)  # (B, 1)
        else:
            # In float64: with 60,000 tokens the sum of float32 probabilities misses 1 by more than many a token has.
            cumulative = (scores.double() / self._temperature).softmax(dim=-1).cumsum(dim=-1)  # (B, V)
            drawn = self._uniform[:, len(self._chosen), None] * cumulative[:, -1:]
            token = torch.searchsorted(cumulative, drawn, right=True).clamp_max(scores.shape[-1] - 1)
        self._chosen.append(scores.log_softmax(dim=-1).gather(-1, token).squeeze(-1))
        return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)

    def log_probabilities(self) -> Tensor:
        """Of the chosen tokens under the model, (B, steps)."""
        return torch.stack(self._chosen, dim=1)


@cache
def _load(name: str) -> tuple[MarianMTModel, MarianTokenizer]:
    try:
        tokenizer = MarianTokenizer.from_pretrained(name)
        model = MarianMTModel.from_pretrained(name, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SettingsError(f"cannot open the MarianMT model {name!r} ({reason}); name a folder or a hub id") from error
    if not isinstance(model, MarianMTModel) or model.config.model_type != "marian":
        raise SettingsError(f"{name!r} is a {model.config.model_type} model, not a MarianMT one")
    device: Any = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).eval(), tokenizer


@cache
def _revision(name: str) -> str:
    """The hub's commit, or a digest of a folder's files."""
    folder = Path(name)
    if not folder.is_dir():
        try:
            return str(AutoConfig.from_pretrained(name, trust_remote_code=False)._commit_hash)
        except (OSError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SettingsError(f"cannot open the MarianMT model {name!r} ({reason})") from error
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.name.encode("utf-8"))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()
