"""SwitchOut: tokens replaced by random ones of the vocabulary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from text_uda.augment.vocabulary import BITS, Groups, OnDevice, per_tokens, random_bits, vocabulary
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

if TYPE_CHECKING:  # see vocabulary.py
    import torch
    from torch import Tensor

    from text_uda.model.inputs import Tokens

VERSION = 2  # of the algorithm: a change of what it makes is a new number


def sample_distance(tokens: int, *, tau: float, draws: Draws) -> int:
    """How many of `tokens` to switch, d in 0..tokens with p(d) proportional to exp(-d / tau).

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: all texts at one Hamming distance count as one. A small tau stays
    near the original: at 1 the mean of d is 0.58, and 63% of long texts stay as they are.

    By inversion: P(d < k) = (1 - exp(-k / tau)) / (1 - exp(-(tokens + 1) / tau)).
    """
    drawn = -tau * math.log1p(draws.uniform() * math.expm1(-(tokens + 1) / tau))
    return min(int(drawn), tokens)


def switchout_ids(ids: Sequence[int], *, distance: int, groups: Groups, draws: Draws) -> dict[int, int]:
    """Which places, in order, get which id: `distance` of them, each another one of its group, all equally likely.

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: positions without replacement, substitutes uniform.

    Args:
        groups: which ids may stand for each other; those in no group (special tokens) stay.
    """
    places = groups.switchable(ids)
    chosen = [places[number] for number in draws.distinct(len(places), min(distance, len(places)))]
    return {place: groups.other(ids[place], draws) for place in chosen}


def switchout(
    input_ids: "Tensor",
    switchable: "Tensor",
    *,
    groups: OnDevice,
    rate: float | None = None,
    tau: float | None = None,
    generator: "torch.Generator",
) -> "Tensor":
    """The same for a batch, on its device: no loop over rows or tokens, nothing that waits for the device.

    Args:
        input_ids: (B, T) int64.
        switchable: (B, T) bool, the tokens that may be switched; those in no group stay all the same.
        groups: on the device of the ids.
        rate, tau: one of them; the number of switched tokens of a row, as in SwitchOut, n being its switchable ones.
        generator: of that device.
    Returns:
        (B, T) int64.
    """
    import torch

    places = groups.of(input_ids)
    switchable = switchable & places.switchable
    tokens, most = switchable.sum(dim=1), input_ids.shape[1]  # (B,), and what no row has more of
    if tau is not None:
        drawn = torch.rand(len(tokens), generator=generator, device=input_ids.device, dtype=torch.float32)
        distance = (-tau * torch.log1p(drawn * torch.expm1(-(tokens + 1) / tau))).long()
    else:
        assert rate is not None
        distance = _distances(most, rate, input_ids.device)[tokens]
        most = max(1, round(rate * most))
    distance = torch.minimum(distance, tokens)[:, None]  # (B, 1)
    bits = random_bits(input_ids.shape, generator)
    lots = bits.masked_fill(~switchable, 2**BITS)
    smallest = lots.topk(most, dim=1, largest=False).values if tau is None else lots.sort(dim=1).values
    last = smallest.gather(1, (distance - 1).clamp_min(0))  # (B, 1): the d-th lot
    chosen = switchable & (lots <= last) & (distance > 0)
    return torch.where(chosen, groups.others(places, bits), input_ids)


@lru_cache(maxsize=1024)
def _distances(most: int, rate: float, device: "torch.device") -> "Tensor":
    """max(1, round(rate n)) for n in 0..most, to the same as offline: float32 rounds 0.7 * 45 to 32. (most + 1,)"""
    import torch

    return torch.tensor([max(1, round(rate * tokens)) for tokens in range(most + 1)], device=device)


@dataclass(frozen=True, kw_only=True)
class SwitchOut:
    """d tokens of a text's n, each switched for another one: q(x^ | x) ~ exp(-Hamming(x^, x) / tau).

    Source: Wang et al. 2018, "SwitchOut" (arXiv 1808.07512), Section 3.2: d in 0..n with p(d) ~ exp(-d / tau), places
    without replacement, substitutes uniform over the vocabulary. `tau` is the paper's own form, with a rate d is
    max(1, round(rate n)). Special tokens are neither counted nor switched nor drawn.

    In the training step (`on_tokens`) a token is switched for any other of the vocabulary, as in the paper. Offline,
    where ids have to be text, one that begins a word is switched for one that begins a word, a continuation for a
    continuation, and an unknown word stays. Read again, six short reviews of ten have exactly the switched ids; in the
    others pieces that meet are read as one.
    """

    tokenizer: str = "minilm-l6"
    """The encoder whose tokens are switched: a hub id, a folder or the packaged one."""

    rate: float | None = 0.15
    """Share of the tokens to switch, in (0, 1], at least one; None where tau is given."""

    tau: float | None = None
    """Temperature of the number of switched tokens, p(d) ~ exp(-d / tau); None where rate is given."""

    seed: int = 0
    """Offline; in the step it is the seed of the training that decides."""

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.tau is None):
            raise SettingsError("give SwitchOut one of rate and tau")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a share of the tokens above 0, at most 1")
        if self.tau is not None and not 0 < self.tau <= 1000:
            raise SettingsError(f"tau={self.tau}: give a number above 0, at most 1000")

    def settings(self) -> dict[str, Any]:
        """Raises SettingsError where the tokenizer cannot be opened."""
        amount = {"rate": self.rate} if self.tau is None else {"tau": self.tau}
        settings = {"method": "switchout", "version": VERSION, "unit": "text", "seed": self.seed}
        return settings | amount | {"tokenizer": vocabulary(self.tokenizer).digest}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Scores say which share of the tokens was switched (token_rate). Raises as `settings`."""
        own = vocabulary(self.tokenizer)

        def switch(ids: Sequence[int], draws: Draws) -> dict[int, int]:
            tokens = len(own.groups.switchable(ids))
            if self.tau is not None:
                distance = sample_distance(tokens, tau=self.tau, draws=draws)
            else:
                distance = max(1, round((self.rate or 0.0) * tokens))
            return switchout_ids(ids, distance=distance, groups=own.groups, draws=draws)

        return per_tokens(switch, own, self.settings(), sources, samples)

    def on_tokens(self, tokens: "Tokens", generator: "torch.Generator") -> "Tokens":
        """Other ids in the places of some; special tokens and padding stay. Raises as `settings`.

        Args:
            generator: of the device of the tokens.
        """
        from text_uda.model.inputs import Tokens

        groups = vocabulary(self.tokenizer).whole.on(tokens.input_ids.device)
        mask = tokens.attention_mask.bool()
        ids = switchout(tokens.input_ids, mask, groups=groups, rate=self.rate, tau=self.tau, generator=generator)
        return Tokens(ids, tokens.attention_mask)
