"""Uniform replacement: each token with some probability replaced by any one of the vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from text_uda.augment.vocabulary import BITS, per_tokens, random_bits, vocabulary
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

if TYPE_CHECKING:  # see vocabulary.py
    import torch

    from text_uda.model.inputs import Tokens

VERSION = 1  # of the algorithm: a change of what it makes is a new number


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Each token by itself replaced with probability `rate`, by any other one of the vocabulary, all equally likely.

    So the number of replaced tokens of n is Binomial(n, rate), and a short text may stay as it is.

    Source: the code of UDA (Xie et al. 2019, arXiv 1904.12848), `UnifRep` in word_level_augment.py, which its Yelp
    experiments call SwitchOut; token_prob -> rate. It departs from the code in three places: the vocabulary is the
    tokenizer's, not that of the training texts; a token is never replaced by itself; texts of one or two tokens are
    no exception. Which tokens may stand for each other is as in `SwitchOut`: in the training step (`on_tokens`) all
    that are not special, offline word beginnings for word beginnings and continuations for continuations.
    """

    tokenizer: str = "minilm-l6"
    """The encoder whose tokens are replaced: a hub id, a folder or the packaged one."""

    rate: float = 0.3
    """Probability for each token, in (0, 1]; UDA's authors use 0.3 to 0.5."""

    seed: int = 0
    """Offline; in the step it is the seed of the training that decides."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a probability above 0, at most 1")

    def settings(self) -> dict[str, Any]:
        """Raises SettingsError where the tokenizer cannot be opened."""
        settings = {"method": "uniform", "version": VERSION, "unit": "text", "seed": self.seed}
        return settings | {"rate": self.rate, "tokenizer": vocabulary(self.tokenizer).digest}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Scores say which share of the tokens was replaced (token_rate). Raises as `settings`."""
        own = vocabulary(self.tokenizer)

        def switch(ids: Sequence[int], draws: Draws) -> dict[int, int]:
            places = [place for place in own.groups.switchable(ids) if draws.uniform() < self.rate]
            return {place: own.groups.other(ids[place], draws) for place in places}

        return per_tokens(switch, own, self.settings(), sources, samples)

    def on_tokens(self, tokens: "Tokens", generator: "torch.Generator") -> "Tokens":
        """Other ids in the places of some; special tokens and padding stay. Raises as `settings`.

        Args:
            generator: of the device of the tokens.
        """
        import torch

        from text_uda.model.inputs import Tokens

        ids = tokens.input_ids
        groups = vocabulary(self.tokenizer).whole.on(ids.device)
        places = groups.of(ids)
        bits = random_bits(ids.shape, generator)
        hit = (bits < int(self.rate * 2**BITS)) & tokens.attention_mask.bool() & places.switchable  # (B, T)
        return Tokens(torch.where(hit, groups.others(places, bits), ids), tokens.attention_mask)
