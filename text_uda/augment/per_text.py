"""Augmentations that change one text at a time: what they have in common as jobs of the cache."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from text_uda.keyed import Draws, Key
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
