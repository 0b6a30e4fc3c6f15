"""Texts made ready for the model: token ids, or features of a frozen encoder computed once; batches by index."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.batch import Features, Inputs, Tokens, pad
from text_uda.model import encode

OnProgress = Callable[[int, int], None]  # (done, total)


class ModelRows(Protocol):
    """Rows that a model can read."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Inputs: ...

    def by_length(self) -> np.ndarray:
        """The order in which neighbours have similar lengths, so that batches pad little."""
        ...


class TokenRows:
    """Texts tokenised once."""

    def __init__(self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> None:
        most = min(max_tokens, tokenizer.model_max_length)
        ids = tokenizer(list(texts), truncation=True, max_length=most)["input_ids"] if texts else []
        self._ids = [np.asarray(row, dtype=np.int32) for row in ids]
        pad_id = tokenizer.pad_token_id
        assert isinstance(pad_id, int), "load_classifier refuses tokenizers without one"
        self._pad_id = pad_id

    def __len__(self) -> int:
        return len(self._ids)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Tokens:
        return pad([self._ids[index] for index in indices], pad_id=self._pad_id)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, special ones among them. (N,) int64"""
        return np.array([len(row) for row in self._ids], dtype=np.int64)

    def by_length(self) -> np.ndarray:
        return np.argsort(self.lengths, kind="stable")


class FeatureRows:
    """Features that stay the same during training, (N, D)."""

    def __init__(self, values: Tensor) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Features:
        return Features(self._values[torch.as_tensor(np.asarray(indices))])

    def by_length(self) -> np.ndarray:
        return np.arange(len(self._values))


def batches_by_length(rows: ModelRows, batch_size: int) -> list[np.ndarray]:
    """All indices, in batches of neighbours in length."""
    order = rows.by_length()
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class FrozenEncoder:
    """An encoder that is not trained: each text is encoded once, however many runs ask for it.

    Memory grows with the distinct texts: 4 D bytes each.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}
        self._features = torch.empty(0, model.config.hidden_size)

    def rows(self, texts: Sequence[str], *, progress: OnProgress | None = None) -> FeatureRows:
        """The features of the texts, (N, D)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._encode(new, progress)
        return FeatureRows(self._features[[self._known[text] for text in texts]])

    def _encode(self, texts: list[str], progress: OnProgress | None) -> None:
        tokens = TokenRows(texts, self._tokenizer, max_tokens=self.max_tokens)
        features = torch.empty(len(texts), self._features.shape[1])
        done = 0
        if progress is not None:
            progress(done, len(texts))
        for indices in batches_by_length(tokens, 64):
            batch = tokens.batch(indices)
            with torch.inference_mode():
                features[indices] = encode(self._model, batch.to(self._model.device)).float().cpu()
            done += len(indices)
            if progress is not None:
                progress(done, len(texts))
        start = len(self._known)
        self._known.update({text: start + index for index, text in enumerate(texts)})
        self._features = torch.cat([self._features, features])
