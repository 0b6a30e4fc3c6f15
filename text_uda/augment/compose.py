"""Compositions of augmentations: all in turn, one of several, or one with a probability. A composition is a job too.

Each operation gets all its texts in one call, which back-translation and masked language models need to be fast.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from text_uda.paraphrasing.documents import join_paraphrases, language_of
from text_uda.text.sentences import change_rate, split_sentences
from translation_cache import Job, Paraphrase, fingerprint

_VERSION = 1  # of the algorithms; a change of the output needs a new version


class Composition(Job):
    """Derives from its operations where it runs and in which portions."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Job, ...]:
        """The operations, as they are called."""

    @property
    def of_originals(self) -> bool:
        return any(part.of_originals for part in self.parts)

    @property
    def batch_size(self) -> int | None:
        """The largest batch size of the operations."""
        return max((part.batch_size for part in self.parts if part.batch_size), default=None)

    @property
    def uses_gpu(self) -> bool:
        return any(part.uses_gpu for part in self.parts)

    def start_worker(self, worker: int, workers: int) -> None:
        for part in self.parts:
            part.start_worker(worker, workers)


@dataclass(frozen=True, kw_only=True)
class Compose(Composition):
    """Operations in turn, each on the output of the previous one.

    An operation that cannot change a text, or whose paraphrase is rejected, passes its input on; the score
    `passed_on_rate` is the share of such operations, 0 to 1. A text that ends as it began is `unchanged`.
    """

    operations: tuple[Job, ...]
    """In order; only the first can read a cache."""

    def __post_init__(self) -> None:
        check_operations(self.operations)
        if any(operation.of_originals for operation in self.operations[1:]):
            raise SettingsError(
                "a cache holds paraphrases of the original texts: put the operation that reads it first"
            )

    @property
    def parts(self) -> tuple[Job, ...]:
        return self.operations

    @property
    def max_samples(self) -> int | None:
        """The least common multiple: sample k combines sample k modulo `max_samples` of each operation."""
        limits = [operation.max_samples for operation in self.operations if operation.max_samples is not None]
        return math.lcm(*limits) if len(limits) == len(self.operations) else None

    def settings(self) -> dict[str, Any]:
        operations = [operation.settings() for operation in self.operations]
        return {"method": "compose", "version": _VERSION, "unit": "text", "operations": operations}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        return in_turn([(operation, range(len(sources))) for operation in self.operations], sources, samples)


@dataclass(frozen=True, kw_only=True)
class OneOf(Composition):
    """One operation, drawn for each sample of each text; its paraphrase stays as it is, rejections included."""

    operations: tuple[Job, ...]

    weights: tuple[float, ...] | None = None
    """Relative probabilities of the operations; None is uniform."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations(self.operations)
        weights = self.weights
        if weights is None:
            return
        if len(weights) != len(self.operations):
            raise SettingsError(f"weights: give one for each of the {len(self.operations)} operations")
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
            raise SettingsError(f"weights={weights}: give numbers of at least 0, one of them above 0")

    @property
    def parts(self) -> tuple[Job, ...]:
        return self.operations

    def settings(self) -> dict[str, Any]:
        fields = {"method": "one-of", "version": _VERSION, "unit": "text", "seed": self.seed}
        operations = [operation.settings() for operation in self.operations]
        return fields | {"operations": operations, "weights": None if self.weights is None else list(self.weights)}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        cumulative = list(accumulate(self.weights or [1.0] * len(self.operations)))
        rows_of: list[list[int]] = [[] for _ in self.operations]
        for row, (source, sample) in enumerate(zip(sources, samples, strict=True)):
            rows_of[key.draws(source, sample).weighted(cumulative)].append(row)
        paraphrases: dict[int, Paraphrase] = {}
        for operation, rows in zip(self.operations, rows_of, strict=True):
            drawn = apply(operation, [sources[row] for row in rows], [samples[row] for row in rows])
            paraphrases |= zip(rows, drawn, strict=True)
        return [paraphrases[row] for row in range(len(sources))]


@dataclass(frozen=True, kw_only=True)
class Sometimes(Composition):
    """An operation with a probability; otherwise the text is `unchanged`, which `Compose` passes on."""

    operation: Job

    probability: float = 0.5
    """In [0, 1], independent for each sample of each text."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_operations((self.operation,))
        if not 0 <= self.probability <= 1:
            raise SettingsError(f"probability={self.probability}: give a number from 0 to 1")

    @property
    def parts(self) -> tuple[Job, ...]:
        return (self.operation,)

    def settings(self) -> dict[str, Any]:
        fields = {"method": "sometimes", "version": _VERSION, "unit": "text", "seed": self.seed}
        return fields | {"operation": self.operation.settings(), "probability": self.probability}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        key = Key(fingerprint(self.settings()))
        paraphrases = [Paraphrase(source, "unchanged", scores={"change_rate": 0.0}) for source in sources]
        rows = [
            row
            for row, (source, sample) in enumerate(zip(sources, samples, strict=True))
            if key.draws(source, sample).uniform() < self.probability
        ]
        changed = apply(self.operation, [sources[row] for row in rows], [samples[row] for row in rows])
        for row, paraphrase in zip(rows, changed, strict=True):
            paraphrases[row] = paraphrase
        return paraphrases


# --- applying operations ----------------------------------------------------------------------------------------------


def check_operations(operations: Sequence[Job]) -> None:
    """Raise SettingsError unless they are a tuple of at least one augmentation."""
    if not isinstance(operations, tuple) or not operations:
        raise SettingsError("operations: give a tuple of augmentations, at least one")
    for operation in operations:
        if isinstance(operation, type) or not isinstance(operation, Job):
            name = operation.__name__ if isinstance(operation, type) else repr(operation)
            raise SettingsError(
                f"operations: {name:.80} is not an augmentation; give an instance, such as Synonym(), or one of a "
                "class derived from translation_cache.Job"
            )


def in_turn(
    stages: Iterable[tuple[Job, Sequence[int]]], sources: Sequence[str], samples: Sequence[int]
) -> list[Paraphrase]:
    """Apply the operations to each source in turn.

    Args:
        stages: each operation with the rows (indices of `sources`) that it applies to.
    """
    texts = list(sources)
    pivots: list[str | None] = [None] * len(texts)
    applied, passed_on, foreign = [0] * len(texts), [0] * len(texts), [0] * len(texts)
    for operation, rows in stages:
        paraphrases = apply(operation, [texts[row] for row in rows], [samples[row] for row in rows])
        for row, paraphrase in zip(rows, paraphrases, strict=True):
            applied[row] += 1
            if paraphrase.status == "ok" and paraphrase.text is not None:
                texts[row], pivots[row] = paraphrase.text, paraphrase.pivot or pivots[row]
            else:
                passed_on[row] += 1
                foreign[row] += paraphrase.status == "source-language"
    results = []
    for row, (source, text) in enumerate(zip(sources, texts, strict=True)):
        scores = {"change_rate": change_rate(source, text), "passed_on_rate": passed_on[row] / max(1, applied[row])}
        if text == source:
            reason = "source-language" if foreign[row] else "unchanged"
            results.append(Paraphrase(source, reason, scores=scores))
        else:
            results.append(Paraphrase(text, "ok", pivots[row], scores))
    return results


def apply(operation: Job, texts: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
    """Apply an operation to whole texts, or to their sentences if that is its unit, in one call.

    Sample numbers wrap around at the operation's `max_samples`.
    """
    if operation.max_samples is not None:
        samples = [sample % operation.max_samples for sample in samples]
    rows = list(zip(texts, samples, strict=True))
    if operation.settings()["unit"] != "sentence":
        paraphrases = _call_once(operation, rows)
        return [paraphrases[row] for row in rows]
    pieces = {text: split_sentences(text) for text in texts}
    sentence_rows = [(sentence, sample) for text, sample in rows for sentence in pieces[text].sentences]
    paraphrases = _call_once(operation, sentence_rows)
    return [
        join_paraphrases(
            pieces[text],
            [paraphrases[sentence, sample] for sentence in pieces[text].sentences],
            language=language_of(operation),
        )
        for text, sample in rows
    ]


def _call_once(operation: Job, rows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Paraphrase]:
    """The paraphrase of each distinct row, from one call; samples of a text are adjacent and ascending, see `Job`."""
    samples_of: dict[str, set[int]] = {}
    for text, sample in rows:
        samples_of.setdefault(text, set()).add(sample)
    distinct = [(text, sample) for text, samples in samples_of.items() for sample in sorted(samples)]
    if not distinct:
        return {}
    paraphrases = operation([text for text, _ in distinct], [sample for _, sample in distinct])
    return dict(zip(distinct, paraphrases, strict=True))
