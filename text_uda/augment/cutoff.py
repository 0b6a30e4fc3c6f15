"""Cutoff: zeroes part of the embeddings of a text, in the training step."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from text_uda.errors import SettingsError

Kind = Literal["token", "feature", "span"]


def cut_tokens(mask: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """Select `count` random tokens of the mask of each row, without replacement.

    Args:
        mask: (B, T) bool.
        count: (B,), at most the number of tokens in the mask of the row.
    Returns:
        (B, T) bool.
    """
    keys = torch.rand(mask.shape, generator=generator, device=mask.device).masked_fill(~mask, 2.0)
    rank = keys.argsort(dim=1).argsort(dim=1)  # (B, T): 0 for the smallest key of a row
    return rank < count[:, None]


def cut_span(mask: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """Select `count` adjacent tokens of the mask of each row, with a uniform start. Arguments as in `cut_tokens`."""
    starts = mask.sum(dim=1) - count + 1  # (B,)
    drawn = torch.rand(len(mask), generator=generator, device=mask.device)
    start = torch.minimum((drawn * starts).long(), starts - 1)  # the product can round up to `starts`
    offset = mask.cumsum(dim=1) - 1 - start[:, None]  # (B, T), 0 at the start of the span
    return mask & (offset >= 0) & (offset < count[:, None])


@dataclass(frozen=True, kw_only=True)
class Cutoff:
    """Zeroes a share of the tokens (token), of the dimensions (feature), or of adjacent tokens (span).

    Source: Shen et al. 2020, "A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language Understanding
    and Generation" (arXiv 2009.13818), Section 3; the cutoff ratio -> rate. Each row has its own draw. Attention skips
    a token that is zeroed whole, as in the authors' code; otherwise its position and segment embeddings would remain.

    Departures from the authors' code (their trainer.py). Special tokens are neither counted nor cut; their code can cut
    even the [CLS] that the head reads. Tokens and dimensions are drawn without replacement; their draws can coincide,
    which cuts less than the ratio. The number is rounded and at least one; they round down, which leaves texts of fewer
    than 1 / rate tokens unchanged. Feature cutoff zeroes word embeddings, the only ones that a model accepts as input;
    the model adds positions and segments and applies the layer norm afterwards.
    """

    kind: Kind = "span"

    rate: float = 0.1
    """Share of the tokens or of the dimensions to zero, above 0 and below 1; at least one, never all."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SettingsError(f"kind={self.kind!r}: choose one of {', '.join(get_args(Kind))}")
        if not 0 < self.rate < 1:
            raise SettingsError(f"rate={self.rate}: give a share of the tokens above 0 and below 1")

    def settings(self) -> dict[str, Any]:
        """Without a seed, since each step draws from the generator of the training."""
        return {"method": "cutoff", "version": 1, "unit": "embeddings", "kind": self.kind, "rate": self.rate}

    def on_embeddings(self, embeddings: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """The embeddings with zeros where they are cut; no gradient flows through the zeros.

        Args:
            embeddings: (B, T, D).
            mask: (B, T) bool, the tokens that may be cut: neither special nor padding.
        Returns:
            (B, T, D).
        """
        if self.kind == "feature":
            dimensions = torch.ones_like(embeddings[:, 0], dtype=torch.bool)  # (B, D)
            cut = mask[:, :, None] & cut_tokens(dimensions, self._count(dimensions), generator)[:, None]
        else:
            draw = cut_tokens if self.kind == "token" else cut_span
            cut = draw(mask, self._count(mask), generator)[:, :, None]
        return embeddings.masked_fill(cut, 0.0)

    def _count(self, mask: Tensor) -> Tensor:
        """The number to cut in each row. A text of one token keeps it: an empty text teaches nothing."""
        available = mask.sum(dim=1)
        return torch.minimum((available * self.rate).round().long().clamp_min(1), (available - 1).clamp_min(0))
