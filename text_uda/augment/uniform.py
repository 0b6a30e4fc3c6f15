"""Uniform replacement: replaces tokens by uniform draws from the vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from text_uda.augment.token_edit import TokenEdit
from text_uda.augment.vocabulary import BITS, Groups, load_vocabulary, random_bits
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws

if TYPE_CHECKING:  # see vocabulary.py
    import torch

    from text_uda.model.inputs import Tokens


@dataclass(frozen=True, kw_only=True)
class Uniform(TokenEdit):
    """Replaces each token independently with probability `rate` by another one of the vocabulary, drawn uniformly.

    The number of replaced tokens of n is Binomial(n, rate); a short text may stay as it is.

    Source: the code of UDA (Xie et al. 2019, arXiv 1904.12848), `UnifRep` in word_level_augment.py, which its Yelp
    experiments call SwitchOut; token_prob -> rate. Departures from the code: the vocabulary is the tokenizer's, not
    that of the training texts; a token never replaces itself; texts of one or two tokens are edited too. The tokens
    that can replace each other are those of `SwitchOut`: in the training step (`on_tokens`) all that are not special,
    offline word beginnings for word beginnings and continuations for continuations.
    """

    method = "uniform"
    version = 1

    rate: float = 0.3
    """Probability of each token to be replaced, in (0, 1]; UDA's authors use 0.3 to 0.5."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a probability above 0, at most 1")

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"rate": self.rate}

    def replacements(self, ids: Sequence[int], groups: Groups, draws: Draws) -> dict[int, int]:
        positions = [position for position in groups.switchable(ids) if draws.uniform() < self.rate]
        return {position: groups.other(ids[position], draws) for position in positions}

    def on_tokens(self, tokens: "Tokens", generator: "torch.Generator") -> "Tokens":
        """The tokens after replacements; special tokens and padding stay.

        Args:
            generator: on the device of the tokens.
        Raises:
            SettingsError: the tokenizer cannot be opened.
        """
        import torch

        ids = tokens.input_ids
        groups = load_vocabulary(self.tokenizer).all_tokens.on(ids.device)
        members = groups.of(ids)
        bits = random_bits(ids.shape, generator)
        drawn = bits < int(self.rate * 2**BITS)
        replaced = drawn & tokens.attention_mask.bool() & members.switchable  # (B, T)
        return replace(tokens, input_ids=torch.where(replaced, groups.others(members, bits), ids))
