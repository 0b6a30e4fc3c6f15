"""The interface of a translation engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Translation:
    text: str
    status: str = "ok"
    """`ok`, `truncated` at the length cap, `empty` for an empty sentence, or `failed`."""
    scores: dict[str, float] = field(default_factory=dict)
    """For example log_probability, the mean over the tokens."""


@runtime_checkable
class Translator(Protocol):
    """One direction. A pure function of (settings, sentence, draw), independent of the other sentences of a call.

    An engine that cannot guarantee this documents it; it is then a function of all sentences and draws of the call.
    """

    def settings(self) -> dict[str, Any]:
        """Everything that decides the output, as JSON values."""
        ...

    @property
    def draws(self) -> int | None:
        """The number of different draws per sentence: 1 is deterministic, None is unlimited."""
        ...

    @property
    def block(self) -> int:
        """The best number of sentences per call."""
        ...

    def __call__(self, sentences: Sequence[str], draws: Sequence[int]) -> list[Translation]:
        """One translation for each (sentence, draw). A repeated sentence is encoded once."""
        ...
