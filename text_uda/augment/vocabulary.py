"""The vocabulary of a tokenizer: which tokens may stand for each other, on ids and in a text."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from text_uda.augment.words import Edit, edited
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws, Key
from text_uda.text.sentences import change_rate
from translation_cache import Paraphrase, fingerprint

if (
    TYPE_CHECKING
):  # only the training step needs torch, which takes seconds to import; a worker that makes texts does not
    import torch
    from torch import Tensor

# Entries of a vocabulary that stand in no text, though its tokenizer does not call them special.
_PLACEHOLDER = re.compile(r"\[unused\d+\]|<[^<>\s]+>|madeupword\d{4}")


class Groups:
    """Which tokens may stand for each other: sorted ids, none in two groups. Special tokens are in none."""

    def __init__(self, groups: Sequence[Sequence[int]], *, never_drawn: Sequence[int] = ()) -> None:
        """
        Args:
            never_drawn: ids switched for any one of the first group while nothing is switched for them, such as the
                one of all unknown words.
        """
        members = [np.array(sorted(group), dtype=np.int64) for group in groups if len(group) > 1]
        size = 1 + max((int(group[-1]) for group in members), default=-1)
        size = max(size, *(index + 1 for index in never_drawn), 0)
        # By id; the last entry is for all ids beyond. An id's group starts at `start`, and it stands at `place` in it.
        self.start, self.place, self.options = np.zeros((3, size + 1), dtype=np.int64)
        start = 0
        for group in members:
            self.start[group], self.place[group], self.options[group] = start, np.arange(len(group)), len(group) - 1
            start += len(group)
        self.members = np.concatenate([*members, np.zeros(1, dtype=np.int64)])  # not empty, so that 0 is a place
        if members:
            unknown = np.array(never_drawn, dtype=np.int64)
            self.place[unknown] = self.options[unknown] = len(members[0])
        parts: tuple[Any, ...] = (self.start, self.place, self.options, self.members)
        self._views = [memoryview(part) for part in parts]  # their numbers are Python's at once
        self._on_device: dict[Any, OnDevice] = {}

    def switchable(self, ids: Sequence[int]) -> list[int]:
        """Places of the ids that have another one in their group."""
        _, _, options, _ = self._views
        last = len(options) - 1
        return [place for place, index in enumerate(ids) if options[min(index, last)]]

    def other(self, index: int, draws: Draws) -> int:
        """Another one of the id's group, all equally likely; it has to be switchable."""
        start, place, options, members = self._views
        drawn = draws.below(options[index])
        return members[start[index] + drawn + (drawn >= place[index])]  # the place of the original is skipped

    def on(self, device: "torch.device") -> "OnDevice":
        """The same for tensors of ids; kept, so that a step copies nothing."""
        if device not in self._on_device:
            import torch

            assert len(self.start) <= 1 << _FIELD, "a vocabulary of two million tokens"
            by_id = self.start << 2 * _FIELD | self.place << _FIELD | self.options
            self._on_device[device] = OnDevice(*(torch.from_numpy(part).to(device) for part in (by_id, self.members)))
        return self._on_device[device]


_FIELD = 21  # bits of each of three numbers in one: looking up an id takes most of the time of a switch


class OnDevice(NamedTuple):
    """Groups as tensors."""

    by_id: "Tensor"  # (V,): start, place and options in one number
    members: "Tensor"

    def of(self, ids: "Tensor") -> "Places":
        """(B, T) -> (B, T) each."""
        found = self.by_id.take(ids.clamp_max(len(self.by_id) - 1))
        field = (1 << _FIELD) - 1
        return Places(found >> 2 * _FIELD, found >> _FIELD & field, found & field)

    def others(self, places: "Places", bits: "Tensor") -> "Tensor":
        """For each id another one of its group, by `random_bits`; anything where it has none. (B, T) -> (B, T)"""
        drawn = bits % places.options.clamp_min(1)
        drawn += drawn >= places.place  # the place of the original is skipped
        return self.members.take(drawn.add_(places.start).clamp_max_(len(self.members) - 1))


class Places(NamedTuple):
    """Where the ids of a batch stand among their groups, (B, T) each."""

    start: "Tensor"
    place: "Tensor"
    options: "Tensor"

    @property
    def switchable(self) -> "Tensor":
        """Whether an id has another one in its group. (B, T) bool"""
        return self.options > 0


BITS = 62


def random_bits(shape: "torch.Size", generator: "torch.Generator") -> "Tensor":
    """Uniform in 0..2^62 - 1, so many that two things can be read from one number, which of them say nothing about
    each other: how it compares with others (whether a token is switched), and a remainder (for which). A float32
    would also prefer some of 250,000 ids by 1.5%. (B, T) int64
    """
    import torch

    return torch.randint(2**BITS, tuple(shape), generator=generator, device=generator.device)


class Vocabulary(NamedTuple):
    tokenizer: Any
    texts: dict[int, str]
    """How a token is written into a text, by id; without those that cannot be."""
    groups: Groups
    """For texts: tokens that begin a word, and those that go on with one."""
    whole: Groups
    """For ids: all that are not special, in one group."""
    digest: str


@cache
def vocabulary(name: str) -> Vocabulary:
    """That of an encoder: a hub id, a folder or the packaged one.

    Raises:
        SettingsError: there is no such tokenizer, or it does not say where its tokens stand.
    """
    from text_uda.model.pretrained import load_tokenizer

    tokenizer = load_tokenizer(name)
    if not tokenizer.is_fast:
        raise SettingsError(f"the tokenizer of {name!r} does not say where its tokens stand; choose a fast one")
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    # WordPiece marks what continues a word; byte-level BPE and sentencepiece mark what begins one.
    marks_continuation = any(token.startswith("##") for token in tokens if token)
    texts: dict[int, str] = {}
    beginning, continuing, whole = list[int](), list[int](), list[int]()
    for index, token in enumerate(tokens):
        if token is None or index in special or _PLACEHOLDER.fullmatch(token):
            continue
        whole.append(index)
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
        Groups([whole], never_drawn=[] if unknown in (None, tokenizer.pad_token_id) else [unknown]),
        hashlib.blake2b(_serialised(tokenizer), digest_size=8).hexdigest(),
    )


def _serialised(tokenizer: Any) -> bytes:
    """Everything that decides how a fast tokenizer reads a text."""
    return tokenizer.backend_tokenizer.to_str().encode("utf-8")


Switch = Callable[[Sequence[int], Draws], Mapping[int, int]]


def per_tokens(
    switch: Switch, own: Vocabulary, settings: Mapping[str, Any], sources: Sequence[str], samples: Sequence[int]
) -> list[Paraphrase]:
    """Each source with other tokens, by draws whose key is (settings, source, sample). As `per_text`, for tokens.

    Args:
        switch: says for the ids of a text which places, in order, get which id.
    """
    key = Key(fingerprint(settings))
    encoded = own.tokenizer(list(sources), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids_of, offsets_of = encoded["input_ids"], encoded["offset_mapping"]
    made = []
    for source, sample, ids, offsets in zip(sources, samples, ids_of, offsets_of, strict=True):
        switched = switch(ids, key.draws(source, sample))
        ends = [start for start, _ in offsets[1:]] + [len(source)]  # where the next token begins
        edits = [_written(source, offsets[place], ends[place], own.texts[index]) for place, index in switched.items()]
        text = edited(source, edits)
        scores = {"change_rate": change_rate(source, text), "token_rate": len(switched) / max(1, len(ids))}
        made.append(Paraphrase(text, "unchanged" if text == source else "ok", scores=scores))
    return made


def _written(source: str, span: tuple[int, int], following: int, new: str) -> Edit:
    """Some tokenizers count the space before a word as its own, which stays; some leave out the accent on its last
    letter, which goes with it. Others have a token for such a mark, and what is `following` is left to that."""
    start, end = span
    while start < end and source[start].isspace():
        start += 1
    while end < following and unicodedata.category(source[end]).startswith("M"):
        end += 1
    return Edit(start, end, new)
