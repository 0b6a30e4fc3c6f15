"""Texts made ready for the model: token ids, or features of a frozen encoder computed once; batches by index."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from text_uda.data.texts import in_blocks
from text_uda.model.inputs import Inputs, Tokens, pad
from text_uda.model.token_ids import in_memory, in_nameless_file, made_once, type_for

OnProgress = Callable[[int, int], None]  # (done, total)

TOKENS_PER_BATCH = 16_384
"""Places of a batch that is only read: 64 rows of 256 tokens, or more of shorter ones."""

_IN_MEMORY = 1 << 13  # texts whose ids are not worth a file
_AT_ONCE = 1 << 10  # texts that the tokenizer is given: it takes some hundred bytes a token while it works


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
    decides = [1, *tokenizer_content(tokenizer), most, tokenizer.truncation_side]
    digest = hashlib.blake2b(json.dumps(decides, sort_keys=True).encode("ascii"), digest_size=16)
    for block in in_blocks(texts):
        for text in block:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def tokenizer_content(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """What decides the ids of a text that is not cut."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        means = json.loads(backend.to_str())
        for set_by_call in ("truncation", "padding"):
            means.pop(set_by_call, None)
    else:
        means = {"vocabulary": tokenizer.get_vocab(), "settings": {k: str(v) for k, v in tokenizer.init_kwargs.items()}}
    return [type(tokenizer).__name__, means]


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
