"""What a translation engine is, however it works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Translation:
    text: str
    status: str = "ok"
    """`ok`, `truncated` at the length cap, `empty` where there was nothing to translate, or `failed`."""
    scores: dict[str, float] = field(default_factory=dict)
    """Such as log_probability, the mean over the tokens."""


@runtime_checkable
class Translator(Protocol):
    """One direction. A pure function of (settings, sentence, draw): the sentences around one change nothing.

    Where an engine cannot promise that (it says so), it is a function of all sentences and draws of the call.
    """

    def settings(self) -> dict[str, Any]:
        """Everything that decides the output, fit for JSON."""
        ...

    @property
    def draws(self) -> int | None:
        """How many different draws of a sentence there are: 1 is deterministic, None is without limit."""
        ...

    @property
    def block(self) -> int:
        """How many translations it is best asked for at once."""
        ...

    def __call__(self, sentences: Sequence[str], draws: Sequence[int]) -> list[Translation]:
        """One translation for each (sentence, draw). A sentence that stands there several times is read once."""
        ...
