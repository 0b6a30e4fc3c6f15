"""Masked-language modelling: which tokens are hidden, and what the model says in their places.

Shapes: B rows, T tokens, M masked places, V words of the vocabulary, D width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.model.classifier import at_least_float32, logits
from text_uda.model.inputs import Tokens

# Of the chosen tokens: Devlin et al. 2019, Section 3.1. The rest, a tenth, stays as it is.
_TO_MASK, _TO_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class Masked:
    """A batch in which some tokens are hidden, and what they were."""

    tokens: Tokens  # (B, T)
    places: Tensor  # (M,) int64, ascending: row * T + position
    labels: Tensor  # (M,) int64: the ids that stood there

    def take(self, rows: list[int], width: int) -> "Masked":
        """Some of the rows, R of them, with the first `width` places of each."""
        whole = self.tokens.input_ids.shape
        chosen = torch.tensor(rows, dtype=torch.int64)
        new = torch.full((whole[0],), -1).index_copy(0, chosen, torch.arange(len(rows)))[self.places // whole[1]]
        places, order = (new * width + self.places % whole[1])[new >= 0].sort()
        return Masked(self.tokens.take(chosen, width), places, self.labels[new >= 0][order])


@dataclass(frozen=True)
class Vocabulary:
    """What masking has to know of a tokenizer."""

    mask_id: int
    special: Tensor  # (S,) int64: never hidden, and never put in the place of a word
    words: Tensor  # (V - S,) int64: all others

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase) -> "Vocabulary":
        mask_id = tokenizer.mask_token_id
        assert isinstance(mask_id, int), "load_masked_language_model refuses tokenizers without one"
        special = torch.tensor(sorted(tokenizer.all_special_ids))
        ids = torch.arange(len(tokenizer))
        return Vocabulary(mask_id, special, ids[~torch.isin(ids, special)])

    def can_be_hidden(self, tokens: Tokens) -> Tensor:
        """Where a word stands, and neither a special token nor padding. (B, T) bool"""
        return tokens.attention_mask.bool() & ~torch.isin(tokens.input_ids, self.special)


def mask_tokens(tokens: Tokens, vocabulary: Vocabulary, *, rate: float, generator: torch.Generator) -> Masked:
    """Hide a share of the words of a batch.

    Source: Devlin et al. 2019 (arXiv 1810.04805), Section 3.1: of the chosen tokens 80% become [MASK], 10% another word
    drawn at random, 10% stay. The share is exact over the batch, one token at least, so that no row has to have one.

    Args:
        rate: the share of the words that is chosen.
        generator: all draws, on the device of the tokens.
    """
    candidates = vocabulary.can_be_hidden(tokens).flatten().nonzero().flatten()
    count = max(1, int(rate * len(candidates) + 0.5))
    places = candidates[torch.randperm(len(candidates), generator=generator)[:count]].sort().values
    ids = tokens.input_ids.flatten().clone()
    labels = ids[places]
    draws = torch.rand(len(places), generator=generator)
    others = vocabulary.words[torch.randint(len(vocabulary.words), places.shape, generator=generator)]
    ids[places] = torch.where(draws < _TO_MASK + _TO_RANDOM, others, labels)
    ids[places[draws < _TO_MASK]] = vocabulary.mask_id
    return Masked(Tokens(ids.view_as(tokens.input_ids), tokens.attention_mask), places, labels)


def masked_logits(model: PreTrainedModel, tokens: Tokens, places: Tensor, *, cut: bool) -> Tensor:
    """What a masked-language model says of M places, (M, V) float32.

    Args:
        cut: give the model's head the masked states alone, so that of the largest product of the step, (B T, D) by
            (D, V), the part is left out that no loss reads: all but `rate` of it. See `head_can_be_cut`.
    """
    if not cut:
        return at_least_float32(logits(model, tokens).flatten(0, 1)[places])

    def only_masked(_encoder: Any, _arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state.flatten(0, 1)[places][None]  # (1, M, D)
        return output

    hook = model.base_model.register_forward_hook(only_masked)
    try:
        return at_least_float32(logits(model, tokens)[0])
    finally:
        hook.remove()


def head_can_be_cut(model: PreTrainedModel) -> bool:
    """Whether the head says the same of a state whichever others stand around it; tried, not looked up."""
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]], device=model.device)
    tokens, places = Tokens(ids, torch.ones_like(ids)), torch.tensor([1, 3], device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            part, whole = (masked_logits(model, tokens, places, cut=cut) for cut in (True, False))
        return part.shape == whole.shape and torch.allclose(part, whole, atol=1e-4)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # it gives no such output, or a head needs all
        return False
    finally:
        model.train(was_training)
