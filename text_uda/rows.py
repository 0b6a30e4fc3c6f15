"""Texts made ready for the model: token ids, or features of a frozen encoder computed once; batches by index."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.batch import Features, Inputs, Tokens, pad
from text_uda.data.texts import in_blocks, taken
from text_uda.features import FeatureStore, features_folder, keys_of
from text_uda.model import encode
from text_uda.precision import Numbers, Precision, autocast, resolve
from text_uda.settings import TrainSettings
from text_uda.token_ids import in_memory, in_nameless_file, made_once, type_for

OnProgress = Callable[[int, int], None]  # (done, total)

TOKENS_PER_BATCH = 16_384
"""Places of a batch that is only read: 64 rows of 256 tokens, or more of shorter ones."""

_IN_MEMORY = 1 << 13  # texts whose ids are not worth a file
_KEPT_AT_ONCE = 1 << 14  # texts that are encoded before what was made of them is kept: a kill loses no more
_AT_ONCE = 1 << 10  # texts that the tokenizer is given: it takes some hundred bytes a token while it works

# Of a configuration, what says nothing of the encoder in evaluation mode.
_OF_THE_HEAD = re.compile(r"^_|label|classes|problem|dropout|drop$|architectures|dtype|transformers_version|initializ")


class ModelRows(Protocol):
    """Rows that a model can read."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (N,) int32; of what has none, 1."""
        ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Inputs: ...


class TokenRows:
    """Texts tokenised once, each at most `max_tokens` long.

    More than some thousand of them lie in a memory-mapped file (2 bytes a token, of a vocabulary of more than 65,536
    tokens 4, and 8 a text), so that memory does not grow with them.

    Args:
        folder: where that file is kept, named by all that decides the ids, for a run that goes on to find again; None
            for a temporary file that goes with this object.
        progress: called with (done, total) texts where there is a file to make.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_tokens: int,
        folder: Path | None = None,
        progress: OnProgress | None = None,
    ) -> None:
        most = min(max_tokens, tokenizer.model_max_length)
        if len(texts) <= _IN_MEMORY:
            self._ids = in_memory(_tokenised(texts, tokenizer, most, None))
        else:
            dtype = type_for(1 + max(tokenizer.get_vocab().values()))

            def tokenised() -> Iterator[list[list[int]]]:
                return _tokenised(texts, tokenizer, most, progress)

            if folder is None:
                self._ids = in_nameless_file(tokenised(), dtype, rows=len(texts))
            else:
                self._ids = made_once(folder, _key(texts, tokenizer, most), tokenised, dtype, rows=len(texts))
        self._lengths = np.diff(self._ids.offsets).astype(np.int32)  # 4 bytes a row
        pad_id = tokenizer.pad_token_id
        assert isinstance(pad_id, int), "load_classifier refuses tokenizers without one"
        self._pad_id = pad_id

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def lengths(self) -> np.ndarray:
        return self._lengths

    def batch(self, indices: Sequence[int] | np.ndarray) -> Tokens:
        return pad([self._ids[int(index)] for index in indices], pad_id=self._pad_id)


def _tokenised(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, most: int, progress: OnProgress | None
) -> Iterator[list[list[int]]]:
    done = 0
    if progress is not None:
        progress(done, len(texts))
    for block in in_blocks(texts):
        for start in range(0, len(block), _AT_ONCE):
            part = block[start : start + _AT_ONCE]
            only_ids: dict[str, Any] = {"return_attention_mask": False, "return_token_type_ids": False}
            yield tokenizer(part, truncation=True, max_length=most, **only_ids)["input_ids"]
            done += len(part)
            if progress is not None:
                progress(done, len(texts))


def _key(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, most: int) -> str:
    """32 hex digits that stand for what decides the ids: texts, tokenizer, how many tokens of which side."""
    decides = [1, *_means(tokenizer), most, tokenizer.truncation_side]
    digest = hashlib.blake2b(json.dumps(decides, sort_keys=True).encode("ascii"), digest_size=16)
    for block in in_blocks(texts):
        for text in block:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _means(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """What decides the ids of a text that is not cut."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        means = json.loads(backend.to_str())
        for set_by_call in ("truncation", "padding"):
            means.pop(set_by_call, None)
    else:
        means = {"vocabulary": tokenizer.get_vocab(), "settings": {k: str(v) for k, v in tokenizer.init_kwargs.items()}}
    return [type(tokenizer).__name__, means]


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


def batches_by_tokens(rows: ModelRows, max_tokens: int) -> list[np.ndarray]:
    """All indices, in batches of neighbours in length: each of at most `max_tokens` places (rows times the longest of
    them), padding counted, but of one row at least. The shortest rows come first."""
    lengths = rows.lengths
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order].astype(np.int64)
    batches, start = [], 0
    while start < len(order):
        low, high = start + 1, min(len(order), start + max(1, max_tokens))
        while low < high:  # places grow with every row that is added, so the last one that fits is found by halving
            middle = (low + high + 1) // 2
            if (middle - start) * ascending[middle - 1] <= max_tokens:
                low = middle
            else:
                high = middle - 1
        batches.append(order[start:low])
        start = low
    return batches


class FrozenEncoder:
    """An encoder that is not trained: each text is encoded once, however many runs and commands ask for it.

    In bf16 a feature of the packaged encoder is off by 0.6% of its norm on average, at most 0.9%, and has a cosine of
    0.99996 or more with the one in fp32 (2,000 sentences of movie reviews).

    Args:
        keep_tokens: which ones of a text that is longer than `max_tokens`, the first or the last.
        precision: of the forward passes (see `text_uda.precision`); features are float32.
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
        self.numbers: Numbers = resolve(precision, width=self.width)
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
        decides = [1, *_means(tokenizer), tokenizer.truncation_side, most, self.numbers, how]
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


def encoder_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
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
