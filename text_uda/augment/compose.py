"""Augmentations put together: one after another, one of several, one now and then. What comes of it is a job again.

They know of their operations what every job of the cache has, `settings()` and the call, so that those which work on
many texts at once (back-translation, a masked language model) are given many.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from text_uda.paraphrasing.documents import put_together
from text_uda.text.sentences import change_rate, split_sentences
from translation_cache import Job, Paraphrase, fingerprint

VERSION = 1  # of the algorithm: a change of what it makes is a new number


class Composition:
    """What is put together passes on where to compute and how much at once."""

    @property
    def parts(self) -> tuple[Job, ...]:
        raise NotImplementedError

    @property
    def of_originals(self) -> bool:
        """Whether it can be given nothing but the texts of the data, for a cache holds paraphrases of no others."""
        return any(map(is_of_originals, self.parts))

    @property
    def max_samples(self) -> int | None:
        """How many different samples of a text there can be. What draws among its operations says no number."""
        return None

    @property
    def batch_size(self) -> int | None:
        """Texts that it is best given at once: as many as the one of its operations that wants most."""
        return max((size for part in self.parts if (size := getattr(part, "batch_size", None))), default=None)

    @property
    def uses_gpu(self) -> bool:
        return any(getattr(part, "uses_gpu", False) for part in self.parts)

    def start_worker(self, worker: int, workers: int) -> None:
        """Said once to each process that makes paraphrases, and so to each operation."""
        for part in self.parts:
            if (start_worker := getattr(part, "start_worker", None)) is not None:
                start_worker(worker, workers)


@dataclass(frozen=True, kw_only=True)
class Compose(Composition):
    """Operations one after another: each is given what the one before it made.

    One that cannot change a text, or whose paraphrase is rejected, passes on what it was given; the score
    `passed_on_rate` says for how many of the operations that was so (0 to 1). What comes out as it went in is
    `unchanged`.
    """

    operations: tuple[Job, ...]
    """In order; what reads a cache can only be the first."""

    def __post_init__(self) -> None:
        check_operations(self.operations)
        if any(map(is_of_originals, self.operations[1:])):
            raise SettingsError("a cache holds paraphrases of the texts themselves: let what reads it come first")

    @property
    def parts(self) -> tuple[Job, ...]:
        return self.operations

    @property
    def max_samples(self) -> int | None:
        """Sample k is made of sample k modulo its own number of each operation: the least common multiple."""
        limits = [limit for limit in map(_max_samples, self.operations) if limit is not None]
        return math.lcm(*limits) if len(limits) == len(self.operations) else None

    def settings(self) -> dict[str, Any]:
        operations = [operation.settings() for operation in self.operations]
        return {"method": "compose", "version": VERSION, "unit": "text", "operations": operations}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        return in_turn([(operation, range(len(sources))) for operation in self.operations], sources, samples)


@dataclass(frozen=True, kw_only=True)
class OneOf(Composition):
    """One operation, drawn anew for each sample of each text; what it makes is handed on as it is, rejections too."""

    operations: tuple[Job, ...]

    weights: tuple[float, ...] | None = None
    """How likely each is to be drawn, in proportion; None draws all alike."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations(self.operations)
        weights = self.weights
        if weights is None:
            return
        if len(weights) != len(self.operations):
            raise SettingsError(f"weights: give one for each of the {len(self.operations)} operations")
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
            raise SettingsError(f"weights={weights}: give numbers from 0 on, one of them above 0")

    @property
    def parts(self) -> tuple[Job, ...]:
        return self.operations

    def settings(self) -> dict[str, Any]:
        named = {"method": "one-of", "version": VERSION, "unit": "text", "seed": self.seed}
        operations = [operation.settings() for operation in self.operations]
        return named | {"operations": operations, "weights": None if self.weights is None else list(self.weights)}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        up_to = list(accumulate(self.weights or [1.0] * len(self.operations)))
        rows_of: list[list[int]] = [[] for _ in self.operations]
        for row, (source, sample) in enumerate(zip(sources, samples, strict=True)):
            rows_of[key.draws(source, sample).weighted(up_to)].append(row)
        made: dict[int, Paraphrase] = {}
        for operation, rows in zip(self.operations, rows_of, strict=True):
            given = [sources[row] for row in rows], [samples[row] for row in rows]
            made |= zip(rows, apply(operation, *given), strict=True)
        return [made[row] for row in range(len(sources))]


@dataclass(frozen=True, kw_only=True)
class Sometimes(Composition):
    """An operation with a probability; else the text is `unchanged`, which in `Compose` passes it on."""

    operation: Job

    probability: float = 0.5
    """In [0, 1], of each sample of each text by itself."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations((self.operation,))
        if not 0 <= self.probability <= 1:
            raise SettingsError(f"probability={self.probability}: give a number from 0 to 1")

    @property
    def parts(self) -> tuple[Job, ...]:
        return (self.operation,)

    def settings(self) -> dict[str, Any]:
        named = {"method": "sometimes", "version": VERSION, "unit": "text", "seed": self.seed}
        return named | {"operation": self.operation.settings(), "probability": self.probability}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        made = [Paraphrase(source, "unchanged", scores={"change_rate": 0.0}) for source in sources]
        rows = [
            row
            for row, (source, sample) in enumerate(zip(sources, samples, strict=True))
            if key.draws(source, sample).uniform() < self.probability
        ]
        given = [sources[row] for row in rows], [samples[row] for row in rows]
        for row, paraphrase in zip(rows, apply(self.operation, *given), strict=True):
            made[row] = paraphrase
        return made


# --- what the compositions share --------------------------------------------------------------------------------------


def check_operations(operations: Sequence[Job]) -> None:
    """Raises SettingsError where they are not a tuple of augmentations."""
    if not isinstance(operations, tuple) or not operations:
        raise SettingsError("operations: give a tuple of augmentations, at least one")
    for operation in operations:
        if isinstance(operation, type) or not isinstance(operation, Job):
            name = operation.__name__ if isinstance(operation, type) else repr(operation)
            raise SettingsError(f"operations: {name:.80} is no augmentation; give one that is made, such as Synonym()")


def is_of_originals(operation: Job) -> bool:
    return getattr(operation, "of_originals", False)


def _max_samples(operation: Job) -> int | None:
    return getattr(operation, "max_samples", None)


def in_turn(
    stages: Iterable[tuple[Job, Sequence[int]]], sources: Sequence[str], samples: Sequence[int]
) -> list[Paraphrase]:
    """What the operations make of each source, one after another.

    Args:
        stages: each operation, and the rows (places in `sources`) that it is for.
    """
    texts = list(sources)
    pivots: list[str | None] = [None] * len(texts)
    tried, passed_on = [0] * len(texts), [0] * len(texts)
    for operation, rows in stages:
        made = apply(operation, [texts[row] for row in rows], [samples[row] for row in rows])
        for row, paraphrase in zip(rows, made, strict=True):
            tried[row] += 1
            if paraphrase.status == "ok" and paraphrase.text is not None:
                texts[row], pivots[row] = paraphrase.text, paraphrase.pivot or pivots[row]
            else:
                passed_on[row] += 1
    whole = []
    for row, (source, text) in enumerate(zip(sources, texts, strict=True)):
        scores = {"change_rate": change_rate(source, text), "passed_on_rate": passed_on[row] / max(1, tried[row])}
        if text == source:
            whole.append(Paraphrase(source, "unchanged", scores=scores))
        else:
            whole.append(Paraphrase(text, "ok", pivots[row], scores))
    return whole


def apply(operation: Job, texts: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
    """What an operation makes of whole texts, in one call; one that works by sentences is given their sentences.

    A sample beyond those that the operation has of a text (its `max_samples`) begins again at the first.
    """
    if (most := _max_samples(operation)) is not None:
        samples = [sample % most for sample in samples]
    rows = list(zip(texts, samples, strict=True))
    if operation.settings()["unit"] != "sentence":
        made = _made(operation, rows)
        return [made[row] for row in rows]
    pieces = {text: split_sentences(text) for text in texts}
    made = _made(operation, [(sentence, sample) for text, sample in rows for sentence in pieces[text].sentences])
    return [
        put_together(pieces[text], [made[sentence, sample] for sentence in pieces[text].sentences])
        for text, sample in rows
    ]


def _made(operation: Job, rows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Paraphrase]:
    """Each row made once, the samples of a text together in ascending order, as a job is promised."""
    samples_of: dict[str, set[int]] = {}
    for text, sample in rows:
        samples_of.setdefault(text, set()).add(sample)
    asked = [(text, sample) for text, found in samples_of.items() for sample in sorted(found)]
    if not asked:
        return {}
    return dict(zip(asked, operation([text for text, _ in asked], [sample for _, sample in asked]), strict=True))
