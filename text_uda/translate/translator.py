"""What a translation engine is, however it works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Translation:
    text: str
    status: str = "ok"
    """`ok`, `truncated` at the length cap, or `failed`."""
    scores: dict[str, float] = field(default_factory=dict)
    """Such as log_probability, the mean over the tokens."""


@runtime_checkable
class Translator(Protocol):
    """One direction. A pure function of (settings, sentence, sample): the sentences around one change nothing."""

    def settings(self) -> dict[str, Any]:
        """Everything that decides the output, fit for JSON."""
        ...

    @property
    def deterministic(self) -> bool:
        """Is every sample of a sentence the same?"""
        ...

    def __call__(self, sentences: Sequence[str], sample: int) -> list[Translation]:
        """One translation for each sentence."""
        ...
