"""The vocabulary of a tokenizer: which tokens can replace each other, as ids and in a text."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws

# Torch takes seconds to import; the training step needs it, a worker that makes texts does not.
if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Entries of a vocabulary that occur in no text, although its tokenizer does not call them special.
_PLACEHOLDER = re.compile(r"\[unused\d+\]|<[^<>\s]+>|madeupword\d{4}")


class Groups:
    """Disjoint groups of token ids; the ids of a group can replace each other. Special tokens are in no group."""

    def __init__(self, groups: Sequence[Sequence[int]], *, never_drawn: Sequence[int] = ()) -> None:
        """
        Args:
            never_drawn: ids that an id of the first group can replace but that replace none, such as the id of
                unknown words.
        """
        members = [np.array(sorted(group), dtype=np.int64) for group in groups if len(group) > 1]
        size = 1 + max((int(group[-1]) for group in members), default=-1)
        size = max(size, *(index + 1 for index in never_drawn), 0)
        # Indexed by id; the last entry serves all larger ids. The group of an id begins at `start` of `members`, the id
        # is at `place` of its group, and `options` other ids can replace it.
        self.start, self.place, self.options = np.zeros((3, size + 1), dtype=np.int64)
        start = 0
        for group in members:
            self.start[group], self.place[group], self.options[group] = start, np.arange(len(group)), len(group) - 1
            start += len(group)
        self.members = np.concatenate([*members, np.zeros(1, dtype=np.int64)])  # never empty, so that index 0 exists
        if members:
            unknown = np.array(never_drawn, dtype=np.int64)
            self.place[unknown] = self.options[unknown] = len(members[0])
        parts: tuple[Any, ...] = (self.start, self.place, self.options, self.members)
        self._views = [memoryview(part) for part in parts]  # indexing them gives Python ints
        self._on_device: dict[Any, OnDevice] = {}

    def switchable(self, ids: Sequence[int]) -> list[int]:
        """Positions of the ids that another id can replace."""
        _, _, options, _ = self._views
        last = len(options) - 1
        return [position for position, token in enumerate(ids) if options[min(token, last)]]

    def other(self, token: int, draws: Draws) -> int:
        """Another id of the group of a switchable id, drawn uniformly."""
        start, place, options, members = self._views
        drawn = draws.below(options[token])
        return members[start[token] + drawn + (drawn >= place[token])]  # skips the token itself

    def on(self, device: "torch.device") -> "OnDevice":
        """The groups as tensors, cached per device."""
        if device not in self._on_device:
            import torch

            assert len(self.start) <= 1 << _FIELD, "a vocabulary of two million tokens"
            by_id = self.start << 2 * _FIELD | self.place << _FIELD | self.options
            self._on_device[device] = OnDevice(*(torch.from_numpy(part).to(device) for part in (by_id, self.members)))
        return self._on_device[device]


_FIELD = 21  # bits of each of three numbers packed into one, because looking up an id dominates the time of a switch


class OnDevice(NamedTuple):
    """Groups as tensors."""

    by_id: "Tensor"  # (V,): start, place and options in one number
    members: "Tensor"

    def of(self, ids: "Tensor") -> "Members":
        """(B, T) -> (B, T) each."""
        packed = self.by_id.take(ids.clamp_max(len(self.by_id) - 1))
        field = (1 << _FIELD) - 1
        return Members(packed >> 2 * _FIELD, packed >> _FIELD & field, packed & field)

    def others(self, members: "Members", bits: "Tensor") -> "Tensor":
        """For each id another one of its group, by `random_bits`; undefined if there is none. (B, T) -> (B, T)"""
        drawn = bits % members.options.clamp_min(1)
        drawn += drawn >= members.place  # skips the token itself
        return self.members.take(drawn.add_(members.start).clamp_max_(len(self.members) - 1))


class Members(NamedTuple):
    """The ids of a batch as members of their groups (see `Groups`), (B, T) each."""

    start: "Tensor"
    place: "Tensor"
    options: "Tensor"

    @property
    def switchable(self) -> "Tensor":
        """Whether another id can replace it. (B, T) bool"""
        return self.options > 0


BITS = 62


def random_bits(shape: "torch.Size", generator: "torch.Generator") -> "Tensor":
    """Uniform in 0..2^62 - 1. (B, T) int64

    One number decides both whether a token is switched (its size) and for which (its remainder); with 62 bits the two
    are independent. A float32 would also prefer some of 250,000 ids by 1.5%.
    """
    import torch

    return torch.randint(2**BITS, tuple(shape), generator=generator, device=generator.device)


class Vocabulary(NamedTuple):
    tokenizer: Any
    texts: dict[int, str]
    """The spelling of a token in a text, by id; tokens that no text can hold are missing."""
    groups: Groups
    """For texts: the tokens that begin a word, and those that continue one."""
    all_tokens: Groups
    """For ids: one group of all tokens that are not special."""
    digest: str


@cache
def load_vocabulary(name: str) -> Vocabulary:
    """The vocabulary of an encoder: a hub id, a folder or the packaged one.

    Raises:
        SettingsError: there is no such tokenizer, or it does not report the offsets of its tokens.
    """
    from text_uda.model.pretrained import load_tokenizer

    tokenizer = load_tokenizer(name)
    if not tokenizer.is_fast:
        raise SettingsError(f"the tokenizer of {name!r} does not report token offsets; choose a fast one")
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    # WordPiece marks continuations of a word; byte-level BPE and sentencepiece mark beginnings.
    marks_continuation = any(token.startswith("##") for token in tokens if token)
    texts: dict[int, str] = {}
    beginning, continuing, all_tokens = list[int](), list[int](), list[int]()
    for index, token in enumerate(tokens):
        if token is None or index in special or _PLACEHOLDER.fullmatch(token):
            continue
        all_tokens.append(index)
        continues = token.startswith("##") if marks_continuation else not token.startswith(("Ġ", "▁"))
        text = token[2:] if marks_continuation and continues else token
        text = text if marks_continuation else tokenizer.convert_tokens_to_string([token]).strip()
        if text and not any(character.isspace() or character == "\ufffd" for character in text):
            texts[index] = text
            (continuing if continues else beginning).append(index)
    unknown: Any = tokenizer.unk_token_id  # GPT-2's is its pad token too
    return Vocabulary(
        tokenizer,
        texts,
        Groups([beginning, continuing]),
        Groups([all_tokens], never_drawn=[] if unknown in (None, tokenizer.pad_token_id) else [unknown]),
        hashlib.blake2b(_serialised(tokenizer), digest_size=8).hexdigest(),
    )


def _serialised(tokenizer: Any) -> bytes:
    """Everything that decides how a fast tokenizer splits a text."""
    return tokenizer.backend_tokenizer.to_str().encode("utf-8")
