"""SwitchOut: tokens replaced by random ones of the vocabulary."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from text_uda.errors import SettingsError
from text_uda.keyed import keyed_generator
from text_uda.text import change_rate
from translation_cache import Paraphrase, fingerprint

VERSION = 1  # of the algorithm: a change of what it makes is a new number


def sample_distance(tokens: int, *, tau: float, generator: np.random.Generator) -> int:
    """How many of `tokens` to switch, d in 0..tokens with p(d) proportional to exp(-d / tau).

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: all texts at one Hamming distance count as one. A small tau stays
    near the original: at 1 the mean of d is 0.58, and 63% of long texts stay as they are.
    """
    weights = np.exp(-np.arange(tokens + 1) / tau)
    return int(generator.choice(tokens + 1, p=weights / weights.sum()))


class Groups:
    """Which tokens may stand for each other: sorted ids, none in two groups. Special tokens are in none."""

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.members = [np.array(sorted(group), dtype=np.int64) for group in groups if len(group) > 1]
        size = max((int(members[-1]) for members in self.members), default=-1) + 1
        self._number = np.full(size + 1, -1)  # by id; the last entry is for all ids beyond
        for number, members in enumerate(self.members):
            self._number[members] = number

    def of(self, ids: np.ndarray) -> np.ndarray:
        """The number of each id's group, -1 for none. (T,) -> (T,)"""
        return self._number[np.minimum(ids, len(self._number) - 1)]


def switchout_ids(ids: np.ndarray, *, distance: int, groups: Groups, generator: np.random.Generator) -> np.ndarray:
    """Switch `distance` tokens, each for another one of its group, all equally likely.

    Wang et al. 2018 (arXiv 1808.07512), Section 3.2: positions without replacement, substitutes uniform.

    Args:
        ids: (T,) token ids.
        groups: which ids may stand for each other; those in no group (special tokens) stay and are not counted.
    Returns:
        (T,) ids, of which min(distance, tokens in a group) differ from the given ones.
    """
    group_of = groups.of(ids)
    positions = np.flatnonzero(group_of >= 0)
    chosen = generator.choice(positions, min(distance, len(positions)), replace=False)
    switched = ids.copy()
    for position in chosen:
        group = groups.members[group_of[position]]
        # Drawn among the others: the place of the original is skipped.
        drawn = int(generator.integers(len(group) - 1))
        switched[position] = group[drawn + int(drawn >= np.searchsorted(group, ids[position]))]
    return switched


@dataclass(frozen=True, kw_only=True)
class SwitchOut:
    """Token ids switched, each written into the text in the place of the token it replaces.

    Source: Wang et al. 2018, "SwitchOut" (arXiv 1808.07512). It departs from the paper where text asks for it: a token
    that begins a word is switched for one that begins a word, a continuation for a continuation. Read again, six short
    reviews of ten have exactly the switched ids; in the others pieces that meet are read as one. `rate` is
    the form that UDA's Yelp experiments use, `tau` the paper's own.
    """

    tokenizer: str = "minilm-l6"
    """The encoder whose tokens are switched: a hub id, a folder or the packaged one."""

    rate: float | None = 0.15
    """Share of the tokens to switch, in (0, 1], at least one; None where tau is given."""

    tau: float | None = None
    """Temperature of the number of switched tokens, p(d) ~ exp(-d / tau); None where rate is given."""

    seed: int = 0

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.tau is None):
            raise SettingsError("give SwitchOut one of rate and tau")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a share of the tokens above 0, at most 1")
        if self.tau is not None and not 0 < self.tau <= 1000:
            raise SettingsError(f"tau={self.tau}: give a number above 0, at most 1000")

    def settings(self) -> dict[str, Any]:
        amount = {"rate": self.rate} if self.tau is None else {"tau": self.tau}
        settings = {"method": "switchout", "version": VERSION, "unit": "text", "seed": self.seed}
        return settings | amount | {"tokenizer": _vocabulary(self.tokenizer).digest}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError where the tokenizer cannot be opened."""
        vocabulary = _vocabulary(self.tokenizer)
        key = fingerprint(self.settings())
        encoded = vocabulary.tokenizer(
            list(sources), add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [
            self._switch(
                source, np.asarray(ids, dtype=np.int64), offsets, vocabulary, keyed_generator(key, source, sample)
            )
            for source, sample, ids, offsets in zip(
                sources, samples, encoded["input_ids"], encoded["offset_mapping"], strict=True
            )
        ]

    def _switch(
        self,
        source: str,
        ids: np.ndarray,
        offsets: list[tuple[int, int]],
        vocabulary: "_Vocabulary",
        generator: np.random.Generator,
    ) -> Paraphrase:
        if self.tau is not None:
            distance = sample_distance(len(ids), tau=self.tau, generator=generator)
        else:
            distance = max(1, round((self.rate or 0.0) * len(ids)))
        switched = switchout_ids(ids, distance=distance, groups=vocabulary.groups, generator=generator)
        parts, last = [], 0
        places = np.flatnonzero(switched != ids)
        for place in places:
            start, end = offsets[place]
            parts += [source[last:start], vocabulary.texts[switched[place]]]
            last = end
        text = "".join([*parts, source[last:]])
        scores = {"change_rate": change_rate(source, text), "token_rate": len(places) / max(1, len(ids))}
        return Paraphrase(text, "unchanged" if text == source else "ok", scores=scores)


class _Vocabulary(NamedTuple):
    tokenizer: Any
    texts: dict[int, str]
    """How a token is written into a text, by id; without those that cannot be."""
    groups: Groups
    """Tokens that begin a word, and those that go on with one."""
    digest: str


@cache
def _vocabulary(name: str) -> _Vocabulary:
    from text_uda.model import load_tokenizer

    tokenizer = load_tokenizer(name)
    if not tokenizer.is_fast:
        raise SettingsError(f"the tokenizer of {name!r} does not say where its tokens stand; choose a fast one")
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    # WordPiece marks what continues a word; byte-level BPE and sentencepiece mark what begins one.
    marks_continuation = any(token.startswith("##") for token in tokens if token)
    texts: dict[int, str] = {}
    beginning: list[int] = []
    continuing: list[int] = []
    for index, token in enumerate(tokens):
        if token is None or index in tokenizer.all_special_ids or token.startswith(("[unused", "<")):
            continue
        continues = token.startswith("##") if marks_continuation else not token.startswith(("Ġ", "▁"))
        text = token[2:] if marks_continuation and continues else token
        text = text if marks_continuation else tokenizer.convert_tokens_to_string([token]).strip()
        if text and not any(character.isspace() or character == "\ufffd" for character in text):
            texts[index] = text
            (continuing if continues else beginning).append(index)
    digest = hashlib.blake2b(_serialised(tokenizer), digest_size=8).hexdigest()
    return _Vocabulary(tokenizer, texts, Groups([beginning, continuing]), digest)


def _serialised(tokenizer: Any) -> bytes:
    """Everything that decides how a fast tokenizer reads a text."""
    return tokenizer.backend_tokenizer.to_str().encode("utf-8")
