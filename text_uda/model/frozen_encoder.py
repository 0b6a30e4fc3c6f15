"""Features of texts from an encoder that is not trained: each text is encoded once, for all runs and commands."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.data.texts import taken
from text_uda.model.classifier import encode
from text_uda.model.feature_store import FeatureStore, features_folder, keys_of
from text_uda.model.inputs import Features
from text_uda.model.precision import Precision, ResolvedPrecision, autocast, resolve_precision
from text_uda.model.tokenized import TOKENS_PER_BATCH, OnProgress, TokenRows, batches_by_tokens, tokenizer_content

_KEPT_AT_ONCE = 1 << 14  # texts that are encoded before what was made of them is kept: a kill loses no more


# Of a configuration, what says nothing of the encoder in evaluation mode.
_OF_THE_HEAD = re.compile(r"^_|label|classes|problem|dropout|drop$|architectures|dtype|transformers_version|initializ")


class FeatureRows:
    """Features that stay the same during training, (N, D)."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> np.ndarray:
        return np.ones(len(self), dtype=np.int32)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Features:
        return Features(self.values[torch.as_tensor(np.asarray(indices))])


class FrozenEncoder:
    """An encoder that is not trained: each text is encoded once, however many runs and commands ask for it.

    In bf16 a feature of the packaged encoder is off by 0.6% of its norm on average, at most 0.9%, and has a cosine of
    0.99996 or more with the one in fp32 (2,000 sentences of movie reviews).

    Args:
        keep_tokens: which ones of a text that is longer than `max_tokens`, the first or the last.
        precision: of the forward passes (see `text_uda.model.precision`); features are float32.
        folder: where features are kept by content; None keeps them in memory alone, 4 D + 16 bytes a text. On disk it
            is that too; memory then holds what is asked for.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_tokens: int,
        keep_tokens: Literal["first", "last"] = "last",
        precision: Precision = "fp32",
        folder: Path | None = None,
    ) -> None:
        self.max_tokens = max_tokens
        self.width: int = model.config.hidden_size
        self.numbers: ResolvedPrecision = resolve_precision(precision, width=self.width)
        self.encoded = 0
        """How many texts went through the encoder."""
        self._model = model.eval()
        self._tokenizer = tokenizer
        tokenizer.truncation_side = "left" if keep_tokens == "last" else "right"
        self._store = FeatureStore(None if folder is None else folder / self.digest)

    @cached_property
    def digest(self) -> str:
        """32 hex digits that stand for what decides the features: the weights and how they are used, the tokenizer,
        which tokens are read, and the numbers."""
        model, tokenizer = self._model, self._tokenizer
        how = {name: value for name, value in model.config.to_dict().items() if not _OF_THE_HEAD.search(name)}
        most = min(self.max_tokens, tokenizer.model_max_length)
        decides = [1, *tokenizer_content(tokenizer), tokenizer.truncation_side, most, self.numbers, how]
        digest = hashlib.blake2b(json.dumps(decides, sort_keys=True, default=str).encode("ascii"), digest_size=16)
        for name, weights in model.base_model.state_dict().items():
            if name.startswith("pooler."):  # of the head: it reads features, and may begin at random
                continue
            digest.update(f"{name} {tuple(weights.shape)} ".encode())
            digest.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def rows(self, texts: Sequence[str], *, progress: OnProgress | None = None) -> FeatureRows:
        """The features of the texts, (N, D).

        Args:
            progress: called with (done, total) texts where there are some to encode.
        """
        keys = keys_of(texts)
        features = torch.empty(len(texts), self.width)
        missing = self._store.take(keys, features)
        _, first = np.unique(keys[missing], return_index=True)
        new = np.flatnonzero(missing)[np.sort(first)]
        if not len(new):
            return FeatureRows(features)
        if progress is not None:
            progress(0, len(new))
        for start in range(0, len(new), _KEPT_AT_ONCE):
            part = new[start : start + _KEPT_AT_ONCE]
            follow = None if progress is None else partial(_further, progress, start, len(new))
            self._store.add(keys[part], self._encode(taken(texts, part), follow))
        rest = np.flatnonzero(missing)
        made = torch.empty(len(rest), self.width)
        assert not self._store.take(keys[rest], made).any(), "all of them were encoded"
        features[torch.from_numpy(rest)] = made
        return FeatureRows(features)

    def _encode(self, texts: Sequence[str], on_done: Callable[[int], None] | None) -> Tensor:
        tokens = TokenRows(texts, self._tokenizer, max_tokens=self.max_tokens)
        features = torch.empty(len(texts), self.width)
        done = 0
        for indices in batches_by_tokens(tokens, TOKENS_PER_BATCH):
            batch = tokens.batch(indices).to(self._model.device)
            with torch.inference_mode(), autocast(self._model.device, self.numbers):
                features[indices] = encode(self._model, batch).float().cpu()
            done += len(indices)
            self.encoded += len(indices)
            if on_done is not None:
                on_done(done)
        return features


class ReadsTexts(Protocol):
    """Settings that decide which tokens are read, and in which precision."""

    @property
    def max_tokens(self) -> int: ...
    @property
    def keep_tokens(self) -> Literal["first", "last"]: ...
    @property
    def precision(self) -> Precision: ...


def encoder_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: ReadsTexts,
    *,
    shared: FrozenEncoder | None = None,
) -> FrozenEncoder:
    """What a run of these settings reads features of: the shared encoder where it makes the same ones, else its own."""
    own = FrozenEncoder(
        model,
        tokenizer,
        max_tokens=settings.max_tokens,
        keep_tokens=settings.keep_tokens,
        precision=settings.precision,
        folder=features_folder(),
    )
    return shared if shared is not None and shared.digest == own.digest else own


def _further(progress: OnProgress, before: int, total: int, done: int) -> None:
    progress(before + done, total)
