"""Tokenized texts, and batches of their rows by index."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from text_uda.data.texts import in_blocks
from text_uda.model.inputs import Inputs, Tokens, pad
from text_uda.model.token_ids import in_memory, in_temporary_file, load_or_create, type_for

OnProgress = Callable[[int, int], None]  # (done, total)

TOKENS_PER_BATCH = 16_384
"""Positions of a batch outside of training: 64 rows of 256 tokens, or more, shorter rows."""

_MAX_IN_MEMORY = 1 << 13  # texts whose ids are kept in memory rather than in a file
_TEXTS_PER_CALL = 1 << 10  # of the tokenizer, which takes some hundred bytes of memory for each token


class ModelRows(Protocol):
    """Inputs of a model, as batches by index."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (N,) int32; 1 for features."""
        ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Inputs: ...


class TokenRows:
    """Texts, tokenized once and truncated to `max_tokens`.

    The ids of more than 8,192 texts are in a memory-mapped file, so that memory does not grow with the texts: 8 bytes
    for each text and 2 for each token, or 4 with a vocabulary of more than 65,536 tokens.

    Args:
        folder: of that file, whose name is a hash of everything that decides the ids, so that a resumed run reuses it;
            None for a temporary file, deleted with this object.
        progress: called with (done, total), in texts to tokenize into a file.
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
        max_tokens = min(max_tokens, tokenizer.model_max_length)
        if len(texts) <= _MAX_IN_MEMORY:
            self._ids = in_memory(_tokenize(texts, tokenizer, max_tokens, None))
        else:
            dtype = type_for(1 + max(tokenizer.get_vocab().values()))

            def tokenize() -> Iterator[list[list[int]]]:
                return _tokenize(texts, tokenizer, max_tokens, progress)

            if folder is None:
                self._ids = in_temporary_file(tokenize(), dtype, rows=len(texts))
            else:
                key = _key(texts, tokenizer, max_tokens)
                self._ids = load_or_create(folder, key, tokenize, dtype, rows=len(texts))
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


def _tokenize(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int, progress: OnProgress | None
) -> Iterator[list[list[int]]]:
    done = 0
    if progress is not None:
        progress(done, len(texts))
    for block in in_blocks(texts):
        for start in range(0, len(block), _TEXTS_PER_CALL):
            part = block[start : start + _TEXTS_PER_CALL]
            only_ids: dict[str, Any] = {"return_attention_mask": False, "return_token_type_ids": False}
            yield tokenizer(part, truncation=True, max_length=max_tokens, **only_ids)["input_ids"]
            done += len(part)
            if progress is not None:
                progress(done, len(texts))


def _key(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> str:
    """A hash, in 32 hex digits, of everything that decides the ids: texts, tokenizer, truncation."""
    settings = [1, *tokenizer_content(tokenizer), max_tokens, tokenizer.truncation_side]
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode("ascii"), digest_size=16)
    for block in in_blocks(texts):
        for text in block:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def tokenizer_content(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """Everything that decides the ids of a text, except for truncation, as JSON values."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = json.loads(backend.to_str())
        for set_by_call in ("truncation", "padding"):
            content.pop(set_by_call, None)
    else:
        content = {
            "vocabulary": tokenizer.get_vocab(),
            "settings": {k: str(v) for k, v in tokenizer.init_kwargs.items()},
        }
    return [type(tokenizer).__name__, content]


def batches_by_tokens(rows: ModelRows, max_tokens: int) -> list[np.ndarray]:
    """All indices in batches of similar length, the shortest rows first.

    A batch has at most `max_tokens` positions, padding included (rows times the longest row), but at least one row.
    """
    lengths = rows.lengths
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order].astype(np.int64)
    batches, start = [], 0
    while start < len(order):
        low, high = start + 1, min(len(order), start + max(1, max_tokens))
        while low < high:  # positions grow with each row, so bisection finds the last row that fits
            middle = (low + high + 1) // 2
            if (middle - start) * ascending[middle - 1] <= max_tokens:
                low = middle
            else:
                high = middle - 1
        batches.append(order[start:low])
        start = low
    return batches
