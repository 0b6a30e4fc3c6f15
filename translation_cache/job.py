"""What fills a cache: a job, which makes paraphrases and says by which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

OK = "ok"


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """One paraphrase, or the reason why there is none."""

    text: str | None
    """None where nothing was made; a rejected text is kept, so that a filter can be set anew."""

    status: str = OK
    """`ok`, or why it is rejected: unchanged, empty, truncated, language, length-ratio, repetition, protected, numbers,
    negation, duplicate, failed."""

    pivot: str | None = None
    """The text in the other language, where there is one."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Finite numbers by name, such as change_rate."""

    def __post_init__(self) -> None:
        if self.status == OK and self.text is None:
            raise ValueError("a paraphrase that is ok has a text")


@runtime_checkable
class Job(Protocol):
    """Makes paraphrases. A pure function of (settings, source, sample): in any order, batch or process the same.

    A job may have more, which decide where it computes and nothing of what it makes:

    - `start_worker(worker: int, workers: int)`: called once in each of several processes of this machine, with its
      number from 0, before the first paraphrase. Not where one process works alone, nor on Ray.
    - `uses_gpu: bool`: whether an actor of Ray is given a share of the cluster's GPUs. Absent is False.
    - `batch_size: int` and `max_samples: int | None`: rows that it is best given at once, and how many different
      samples of a source there can be; whoever calls `fill` reads them.
    """

    def settings(self) -> dict[str, Any]:
        """Everything that decides the output, fit for JSON: method, version of the algorithm, model, decoding, seed."""
        ...

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """One paraphrase for each row (source, sample).

        Args:
            sources, samples: of equal length. Where a call asks for several samples of a source, they stand together
                in ascending order, so that what they have in common need be made only once.
        """
        ...
