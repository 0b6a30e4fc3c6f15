"""SwitchOut: replaces tokens by random ones of the vocabulary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from text_uda.augment.token_edit import TokenEdit
from text_uda.augment.vocabulary import BITS, Groups, OnDevice, load_vocabulary, random_bits
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws

if TYPE_CHECKING:  # see vocabulary.py
    import torch
    from torch import Tensor

    from text_uda.model.inputs import Tokens


def sample_distance(tokens: int, *, tau: float, draws: Draws) -> int:
    """The number of tokens to switch, d in 0..tokens with p(d) proportional to exp(-d / tau).

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: all texts at one Hamming distance count as one. A small tau stays
    near the original: at 1 the mean of d is 0.58, and 63% of long texts stay as they are.

    Drawn by inversion of P(d < k) = (1 - exp(-k / tau)) / (1 - exp(-(tokens + 1) / tau)).
    """
    drawn = -tau * math.log1p(draws.uniform() * math.expm1(-(tokens + 1) / tau))
    return min(int(drawn), tokens)


def draw_switches(ids: Sequence[int], *, distance: int, groups: Groups, draws: Draws) -> dict[int, int]:
    """`distance` positions, in order, with the new id of each, drawn uniformly from its group.

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: positions without replacement, substitutes uniform.

    Args:
        groups: which ids can replace each other; ids in no group (special tokens) stay.
    """
    switchable = groups.switchable(ids)
    drawn = draws.distinct(len(switchable), min(distance, len(switchable)))
    return {switchable[number]: groups.other(ids[switchable[number]], draws) for number in drawn}


def switch_tokens(
    input_ids: "Tensor",
    switchable: "Tensor",
    *,
    groups: OnDevice,
    rate: float | None = None,
    tau: float | None = None,
    generator: "torch.Generator",
) -> "Tensor":
    """Switch tokens of a batch on its device, without loops over rows or tokens and without synchronisation.

    Args:
        input_ids: (B, T) int64.
        switchable: (B, T) bool, the tokens that may be switched; those in no group stay anyway.
        groups: on the device of the ids.
        rate, tau: one of the two; they set the number of switched tokens of a row as in SwitchOut, where n counts the
            switchable tokens.
        generator: on that device.
    Returns:
        (B, T) int64.
    """
    import torch

    members = groups.of(input_ids)
    switchable = switchable & members.switchable
    tokens, max_distance = switchable.sum(dim=1), input_ids.shape[1]  # (B,)
    if tau is not None:
        drawn = torch.rand(len(tokens), generator=generator, device=input_ids.device, dtype=torch.float32)
        distance = (-tau * torch.log1p(drawn * torch.expm1(-(tokens + 1) / tau))).long()
    else:
        assert rate is not None
        distance = _distances(max_distance, rate, input_ids.device)[tokens]
        max_distance = max(1, round(rate * max_distance))
    distance = torch.minimum(distance, tokens)[:, None]  # (B, 1)
    bits = random_bits(input_ids.shape, generator)
    keys = bits.masked_fill(~switchable, 2**BITS)  # the tokens with the d smallest keys are switched
    smallest = keys.topk(max_distance, dim=1, largest=False).values if tau is None else keys.sort(dim=1).values
    threshold = smallest.gather(1, (distance - 1).clamp_min(0))  # (B, 1): the d-th key
    switched = switchable & (keys <= threshold) & (distance > 0)
    return torch.where(switched, groups.others(members, bits), input_ids)


@lru_cache(maxsize=1024)
def _distances(max_tokens: int, rate: float, device: "torch.device") -> "Tensor":
    """max(1, round(rate n)) for n in 0..max_tokens, in float64 as offline: float32 rounds 0.7 * 45 to 32."""
    import torch

    return torch.tensor([max(1, round(rate * tokens)) for tokens in range(max_tokens + 1)], device=device)


@dataclass(frozen=True, kw_only=True)
class SwitchOut(TokenEdit):
    """Switches d of a text's n tokens for other ones: q(x^ | x) ~ exp(-Hamming(x^, x) / tau).

    Source: Wang et al. 2018, "SwitchOut" (arXiv 1808.07512), Section 3.2: d in 0..n with p(d) ~ exp(-d / tau),
    positions without replacement, substitutes uniform over the vocabulary. `tau` gives the paper's form; `rate` sets d
    to max(1, round(rate n)). Special tokens are neither counted nor switched nor drawn.

    In the training step (`on_tokens`) any other token of the vocabulary can replace a token, as in the paper. Offline,
    where the ids have to become text, word beginnings replace word beginnings, continuations replace continuations, and
    an unknown word stays. Tokenized again, six of ten short reviews have exactly the switched ids; in the others,
    adjacent pieces merge.
    """

    method = "switchout"
    version = 2

    rate: float | None = 0.15
    """Share of the tokens to switch, in (0, 1], at least one; None if tau is given."""

    tau: float | None = None
    """Temperature of the number of switched tokens, p(d) ~ exp(-d / tau); None if rate is given."""

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.tau is None):
            raise SettingsError("give SwitchOut one of rate and tau")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a share of the tokens above 0, at most 1")
        if self.tau is not None and not 0 < self.tau <= 1000:
            raise SettingsError(f"tau={self.tau}: give a number above 0, at most 1000")

    def settings(self) -> dict[str, Any]:
        return super().settings() | ({"rate": self.rate} if self.tau is None else {"tau": self.tau})

    def replacements(self, ids: Sequence[int], groups: Groups, draws: Draws) -> dict[int, int]:
        tokens = len(groups.switchable(ids))
        if self.tau is not None:
            distance = sample_distance(tokens, tau=self.tau, draws=draws)
        else:
            distance = max(1, round((self.rate or 0.0) * tokens))
        return draw_switches(ids, distance=distance, groups=groups, draws=draws)

    def on_tokens(self, tokens: "Tokens", generator: "torch.Generator") -> "Tokens":
        """The tokens after switches; special tokens and padding stay.

        Args:
            generator: on the device of the tokens.
        Raises:
            SettingsError: the tokenizer cannot be opened.
        """
        groups = load_vocabulary(self.tokenizer).all_tokens.on(tokens.input_ids.device)
        mask = tokens.attention_mask.bool()
        ids = switch_tokens(tokens.input_ids, mask, groups=groups, rate=self.rate, tau=self.tau, generator=generator)
        return replace(tokens, input_ids=ids)
