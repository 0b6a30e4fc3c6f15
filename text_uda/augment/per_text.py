"""Augmentations that change one text at a time: what they have in common as jobs of the cache."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws, Key
from translation_cache import Paraphrase, fingerprint


class Changed(NamedTuple):
    text: str
    rate: float
    """Share of the words (or tokens) that were changed, 0 to 1."""


Change = Callable[[str, Draws], Changed]


def per_text(
    change: Change, settings: Mapping[str, Any], sources: Sequence[str], samples: Sequence[int]
) -> list[Paraphrase]:
    """Each source changed, by draws whose key is (settings, source, sample).

    What comes out as it went in is `unchanged`: there was nothing to change, and the text is paired with nothing.
    """
    key = Key(fingerprint(settings))
    made = []
    for source, sample in zip(sources, samples, strict=True):
        text, rate = change(source, key.draws(source, sample))
        if text == source:
            made.append(Paraphrase(source, "unchanged", scores={"change_rate": 0.0}))
        else:
            made.append(Paraphrase(text, scores={"change_rate": rate}))
    return made


def check_rate(rate: float) -> None:
    """Raises SettingsError unless it is a share of the words."""
    if not 0 < rate <= 1:
        raise SettingsError(f"rate={rate}: give a share of the words above 0, at most 1")


def protected(words: tuple[str, ...]) -> frozenset[str]:
    """What `Word.lower` is looked for in."""
    return frozenset(word.lower() for word in words)


def check_protect(protect: object) -> None:
    """Raises SettingsError for one word in the place of several."""
    if not isinstance(protect, tuple):
        raise SettingsError(f"protect={protect!r}: give a tuple of words, such as ('good', 'bad')")
