"""Cutoff: a part of the embeddings of a text is erased, in the training step."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from text_uda.errors import SettingsError

VERSION = 1  # of the algorithm: a change of what it makes is a new number

Kind = Literal["token", "feature", "span"]


def cut_tokens(mask: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """`count` of the tokens in the mask of each row, without replacement, all sets equally likely.

    Args:
        mask: (B, T) bool.
        count: (B,), at most as many as the mask of the row has.
    Returns:
        (B, T) bool.
    """
    lots = torch.rand(mask.shape, generator=generator, device=mask.device).masked_fill(~mask, 2.0)
    rank = lots.argsort(dim=1).argsort(dim=1)  # (B, T): 0 for the smallest lot of a row
    return rank < count[:, None]


def cut_span(mask: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """`count` neighbours among the tokens in the mask of each row, all starts equally likely. As `cut_tokens`."""
    starts = mask.sum(dim=1) - count + 1  # (B,)
    drawn = torch.rand(len(mask), generator=generator, device=mask.device)
    start = torch.minimum((drawn * starts).long(), starts - 1)  # a product may round up to `starts`
    place = mask.cumsum(dim=1) - 1 - start[:, None]  # (B, T), from 0 at the start of the span
    return mask & (place >= 0) & (place < count[:, None])


@dataclass(frozen=True, kw_only=True)
class Cutoff:
    """A share of the tokens (token), of the dimensions (feature), or a span of neighbours (span) set to zero.

    Source: Shen et al. 2020, "A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language Understanding
    and Generation" (arXiv 2009.13818), Section 3; the cutoff ratio -> rate. Each row has its own draw. What is erased
    of a token whole is taken out of the attention as well, as in the authors' code, so that its position and segment
    embeddings say nothing either.

    Departs from the authors' code (their trainer.py) in four places. Special tokens are neither counted nor cut: there
    even the [CLS] that the head reads can go. Tokens and dimensions are drawn without replacement; there two draws can
    hit one, and less than the ratio is cut. The number is rounded, and at least one: there it is rounded down, which
    leaves texts of fewer than 1 / rate tokens as they are. Feature cutoff works on the word embeddings, the only ones
    that a model takes from outside: positions and segments are added afterwards, and the layer norm comes after them.
    """

    kind: Kind = "span"
    """What is cut."""

    rate: float = 0.1
    """Share of the tokens or of the dimensions, above 0 and below 1; at least one, and never all."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SettingsError(f"kind={self.kind!r}: choose one of {', '.join(get_args(Kind))}")
        if not 0 < self.rate < 1:
            raise SettingsError(f"rate={self.rate}: give a share of the tokens above 0 and below 1")

    def settings(self) -> dict[str, Any]:
        """Without a seed: each step draws anew, from the seed of the training."""
        return {"method": "cutoff", "version": VERSION, "unit": "embeddings", "kind": self.kind, "rate": self.rate}

    def on_embeddings(self, embeddings: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """The embeddings with zeros where they are cut; no gradient flows there.

        Args:
            embeddings: (B, T, D).
            mask: (B, T) bool, the tokens that may be cut: no special ones, no padding.
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
        """How many to cut in each row. A text of one token keeps it: of nothing there is nothing to learn."""
        there = mask.sum(dim=1)
        return torch.minimum((there * self.rate).round().long().clamp_min(1), (there - 1).clamp_min(0))
