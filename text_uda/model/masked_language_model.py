"""Masked-language modelling: masking tokens, and predicting them.

Shapes: B rows, T tokens, M masked positions, V tokens of the vocabulary, S special tokens, W words (all other tokens),
D width.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.model.classifier import at_least_float32, logits, without_dropout
from text_uda.model.inputs import Tokens

# Shares of the chosen tokens: Devlin et al. 2019, Section 3.1. The remaining tenth is unchanged.
_TO_MASK, _TO_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class Masked:
    """A batch with masked tokens, and their original ids."""

    tokens: Tokens  # (B, T)
    positions: Int64[Tensor, " M"]  # ascending: row * T + column
    labels: Int64[Tensor, " M"]  # the original ids

    def take(self, rows: list[int], width: int) -> "Masked":
        """These rows, with the first `width` positions of each."""
        all_rows, all_columns = self.tokens.input_ids.shape
        indices = torch.tensor(rows, dtype=torch.int64)
        new_rows = torch.full((all_rows,), -1).index_copy(0, indices, torch.arange(len(rows)))
        new = new_rows[self.positions // all_columns]  # (M,)
        positions, order = (new * width + self.positions % all_columns)[new >= 0].sort()
        return Masked(self.tokens.take(indices, width), positions, self.labels[new >= 0][order])

    def to(self, device: torch.device) -> "Masked":
        positions, labels = (part.to(device, non_blocking=True) for part in (self.positions, self.labels))
        return Masked(self.tokens.to(device), positions, labels)

    def pin_memory(self) -> "Masked":
        return Masked(self.tokens.pin_memory(), self.positions.pin_memory(), self.labels.pin_memory())


@dataclass(frozen=True)
class Vocabulary:
    """The token ids of a tokenizer, as masking needs them."""

    mask_id: int
    special: Int64[Tensor, " S"]  # never masked, and never a random replacement
    words: Int64[Tensor, " W"]  # all other ids

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase) -> "Vocabulary":
        mask_id = tokenizer.mask_token_id
        assert isinstance(mask_id, int), "load_masked_language_model refuses tokenizers without one"
        special = torch.tensor(sorted(tokenizer.all_special_ids))
        ids = torch.arange(len(tokenizer))
        return Vocabulary(mask_id, special, ids[~torch.isin(ids, special)])

    def maskable(self, tokens: Tokens) -> Bool[Tensor, "B T"]:
        """True at words, False at special tokens and padding."""
        return tokens.attention_mask.bool() & ~torch.isin(tokens.input_ids, self.special)


def mask_tokens(tokens: Tokens, vocabulary: Vocabulary, *, rate: float, generator: torch.Generator) -> Masked:
    """Mask a share of the words of a batch.

    Source: Devlin et al. 2019 (arXiv 1810.04805), Section 3.1: of the chosen tokens 80% become [MASK], 10% a random
    word, and 10% stay. The share is exact over the batch, with at least one token; a single row may have none.

    Args:
        rate: the share of words to choose.
        generator: for all draws, on the device of the tokens.
    """
    candidates = vocabulary.maskable(tokens).flatten().nonzero().flatten()
    count = max(1, int(rate * len(candidates) + 0.5))
    positions = candidates[torch.randperm(len(candidates), generator=generator)[:count]].sort().values
    ids = tokens.input_ids.flatten().clone()
    labels = ids[positions]
    draws = torch.rand(len(positions), generator=generator)
    replacements = vocabulary.words[torch.randint(len(vocabulary.words), positions.shape, generator=generator)]
    ids[positions] = torch.where(draws < _TO_MASK + _TO_RANDOM, replacements, labels)
    ids[positions[draws < _TO_MASK]] = vocabulary.mask_id
    return Masked(replace(tokens, input_ids=ids.view_as(tokens.input_ids)), positions, labels)


def masked_logits(
    model: PreTrainedModel, tokens: Tokens, positions: Int64[Tensor, " M"], *, masked_only: bool
) -> Float[Tensor, "M V"]:
    """The predictions of a masked-language model at the masked positions, at least float32.

    Args:
        masked_only: run the head on the masked states alone. The largest product of the step, (B T, D) by (D, V), then
            shrinks to the share `rate` that the loss reads. Requires `head_is_positionwise`.
    """
    if not masked_only:
        return at_least_float32(logits(model, tokens).flatten(0, 1)[positions])

    def keep_masked(_encoder: Any, _arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state.flatten(0, 1)[positions][None]  # (1, M, D)
        return output

    hook = model.base_model.register_forward_hook(keep_masked)
    try:
        return at_least_float32(logits(model, tokens)[0])
    finally:
        hook.remove()


def head_is_positionwise(model: PreTrainedModel) -> bool:
    """Whether the head's prediction for a state is independent of the other states; found by running it."""
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]], device=model.device)
    tokens, positions = Tokens(ids, torch.ones_like(ids)), torch.tensor([1, 3], device=model.device)
    try:
        with torch.no_grad(), without_dropout(model):
            masked, all_states = (masked_logits(model, tokens, positions, masked_only=only) for only in (True, False))
        return masked.shape == all_states.shape and torch.allclose(masked, all_states, atol=1e-4)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # no such output, or a head that needs all states
        return False
