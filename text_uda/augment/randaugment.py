"""RandAugment for text: a few operations drawn anew for each sample, one magnitude for all."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from text_uda.augment.compose import Composition, check_operations, in_turn, is_of_originals
from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from translation_cache import Job, Paraphrase, fingerprint

VERSION = 1  # of the algorithm: a change of what it makes is a new number


@dataclass(frozen=True, kw_only=True)
class RandAugment(Composition):
    """N of K operations, all sets of N equally likely, at one magnitude M:

        x^ = o_N(... o_1(x; M) ...; M)

    Source: Cubuk et al. 2019, "RandAugment" (arXiv 1909.13719), Section 3: N -> number, M -> magnitude, the K
    transformations -> operations. UDA (Xie et al. 2019, arXiv 1904.12848) takes it for images; this is its form for
    text, as the paper has none. It departs from the paper

    - in drawing without replacement: a second synonym of a synonym is a larger magnitude, and no other operation;
    - in applying those drawn in the order of `operations`, but for back-translation, which comes first: a cache holds
      paraphrases of originals alone, and a translator reads whole words best;
    - in having no identity among the operations unless it is given; one that cannot change the text leaves it.

    Magnitude scales what an operation has as its `rate`: the rate becomes 2 M rate, at most 1. So 0.5 leaves each
    operation as it was given, and it is each operation's own rate that says what is much for it. What has no rate
    (back-translation, SwitchOut by tau) is taken as it is.
    """

    operations: tuple[Job, ...]
    """At most one of them may read a cache; to draw among several that do, put them into a OneOf."""

    number: int = 2
    """Operations drawn for each sample of each text."""

    magnitude: float = 0.5
    """In (0, 1]: 0.5 is each operation's own rate, 1 twice that."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations(self.operations)
        if not 1 <= self.number <= len(self.operations):
            raise SettingsError(
                f"number={self.number}: give 1 to {len(self.operations)}, for so many operations there are"
            )
        if not 0 < self.magnitude <= 1:
            raise SettingsError(f"magnitude={self.magnitude}: give a number above 0, at most 1")
        if sum(map(is_of_originals, self.operations)) > 1:
            raise SettingsError(
                "several operations read a cache, and one of them would be given what another made: put them in a OneOf"
            )

    @cached_property
    def parts(self) -> tuple[Job, ...]:
        """The operations at this magnitude."""
        return tuple(at_magnitude(operation, self.magnitude) for operation in self.operations)

    def settings(self) -> dict[str, Any]:
        named = {"method": "randaugment", "version": VERSION, "unit": "text", "seed": self.seed}
        amount = {"number": self.number, "magnitude": self.magnitude}
        return named | amount | {"operations": [operation.settings() for operation in self.parts]}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        rows_of: list[list[int]] = [[] for _ in self.parts]
        for row, (source, sample) in enumerate(zip(sources, samples, strict=True)):
            for drawn in key.draws(source, sample).distinct(len(self.parts), self.number):
                rows_of[drawn].append(row)
        order = sorted(range(len(self.parts)), key=lambda number: _place(self.parts[number]))
        return in_turn([(self.parts[number], rows_of[number]) for number in order], sources, samples)


def at_magnitude(operation: Job, magnitude: float) -> Job:
    """The operation with 2 magnitude times its rate, at most 1; itself where it has no rate."""
    if not is_dataclass(operation) or "rate" not in {field.name for field in fields(operation)}:
        return operation
    rate: float | None = getattr(operation, "rate")  # noqa: B009  pyright knows of no rate
    return operation if rate is None else replace(operation, rate=min(1.0, 2 * magnitude * rate))


def _place(operation: Job) -> int:
    """What reads a cache stands before what translates, and that before all others, which keep their order."""
    if is_of_originals(operation):
        return 0
    return 1 if operation.settings()["unit"] == "sentence" else 2
