"""RandAugment for text: a few random operations for each sample, all at one magnitude."""

from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from text_uda.augment.compose import Composition, check_operations, in_turn
from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from translation_cache import Job, Paraphrase, fingerprint


@dataclass(frozen=True, kw_only=True)
class RandAugment(Composition):
    """Applies N random ones of K operations, drawn uniformly without replacement, at one magnitude M:

        x^ = o_N(... o_1(x; M) ...; M)

    Source: Cubuk et al. 2019, "RandAugment" (arXiv 1909.13719), Section 3: N -> number, M -> magnitude, the K
    transformations -> operations. UDA (Xie et al. 2019, arXiv 1904.12848) uses it for images; this is a form for text,
    since the paper has none. Departures from the paper:

    - Operations are drawn without replacement: a synonym of a synonym is a larger magnitude, not another operation.
    - They are applied in the order of `operations`, except that back-translation comes first: a cache holds paraphrases
      of original texts only, and a translator handles whole words best.
    - The identity is not an operation unless listed; an operation that cannot change the text passes it on.

    The magnitude scales the `rate` of an operation to 2 M rate, at most 1: 0.5 leaves each operation at its own rate.
    An operation without a rate (back-translation, SwitchOut by tau) stays as it is.
    """

    operations: tuple[Job, ...]
    """At most one of them can read a cache; to draw among several that do, put them in a OneOf."""

    number: int = 2
    """Operations per sample of a text."""

    magnitude: float = 0.5
    """In (0, 1]; at 0.5 each operation keeps its rate, at 1 the rate doubles."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations(self.operations)
        if not 1 <= self.number <= len(self.operations):
            raise SettingsError(f"number={self.number}: give 1 to {len(self.operations)}, the number of operations")
        if not 0 < self.magnitude <= 1:
            raise SettingsError(f"magnitude={self.magnitude}: give a number above 0, at most 1")
        if sum(operation.of_originals for operation in self.operations) > 1:
            raise SettingsError(
                "several operations read a cache, but only the first one gets original texts: put them in a OneOf"
            )

    @cached_property
    def parts(self) -> tuple[Job, ...]:
        """The operations at this magnitude."""
        return tuple(at_magnitude(operation, self.magnitude) for operation in self.operations)

    def settings(self) -> dict[str, Any]:
        fields = {"method": "randaugment", "version": 1, "unit": "text", "seed": self.seed}
        amount = {"number": self.number, "magnitude": self.magnitude}
        return fields | amount | {"operations": [operation.settings() for operation in self.parts]}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        rows_of: list[list[int]] = [[] for _ in self.parts]
        for row, (source, sample) in enumerate(zip(sources, samples, strict=True)):
            for drawn in key.draws(source, sample).distinct(len(self.parts), self.number):
                rows_of[drawn].append(row)
        order = sorted(range(len(self.parts)), key=lambda index: _rank(self.parts[index]))
        return in_turn([(self.parts[index], rows_of[index]) for index in order], sources, samples)


@runtime_checkable
class HasRate(Protocol):
    """An operation whose strength is a rate."""

    @property
    def rate(self) -> float | None: ...


def at_magnitude(operation: Job, magnitude: float) -> Job:
    """The operation at 2 magnitude times its rate, at most 1; itself if it is not a dataclass with a rate."""
    if not isinstance(operation, HasRate) or operation.rate is None or not is_dataclass(operation):
        return operation
    return replace(operation, rate=min(1.0, 2 * magnitude * operation.rate))


def _rank(operation: Job) -> int:
    """Position in the order of application: operations that read a cache, then those by sentence, then all others."""
    if operation.of_originals:
        return 0
    return 1 if operation.settings()["unit"] == "sentence" else 2
