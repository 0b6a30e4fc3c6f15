"""The contract between the cache and what makes paraphrases: a job turns (source, sample) into a paraphrase."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from translation_cache.errors import CacheError

OK = "ok"

Batch = tuple[list[str], list[int]]  # (sources, samples) of equal length


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """A paraphrase, or the reason why there is none."""

    text: str | None
    """None if nothing was generated. A rejected text is kept, so that filters can change later."""

    status: str = OK
    """`ok`, or why it is rejected: unchanged, source-language (the source is in another language than the method's),
    empty, truncated, language, length-ratio, repetition, protected, numbers, negation, duplicate, failed; of a language
    model also refused, chatter (words about the answer), no-answer, malformed, invalid-request."""

    pivot: str | None = None
    """The text in the pivot language, for back-translation."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Finite numbers by name, such as change_rate."""

    def __post_init__(self) -> None:
        if self.status == OK and self.text is None:
            raise ValueError("a paraphrase with status ok needs a text")


class Job(ABC):
    """Makes paraphrases; a pure function of (settings, source, sample), in any order, batch, process or machine.

    A subclass defines `settings` and `__call__`. The other members have defaults; they decide where and in which
    portions the job runs, never what it makes.
    """

    batch_size: int | None = None
    """The number of rows per call at which the job is fastest; None leaves the choice to the caller."""

    max_samples: int | None = None
    """The number of different samples that a source can have; None is unlimited."""

    of_originals: bool = False
    """Whether the job only accepts texts of the data set, because it reads their paraphrases from a cache."""

    commit_every_s: float = 20.0
    """`fill` commits the finished rows after this time; shorter for rows that cost money."""

    uses_gpu: bool = False
    """Whether a Ray actor that runs the job gets a share of the cluster's GPUs."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that decides the output, as JSON values: method, algorithm version, model, decoding, seed."""

    @abstractmethod
    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """One paraphrase for each row (source, sample).

        Args:
            sources, samples: of equal length. The samples of one source are adjacent and ascending, so that the job
                can share work between them.
        """

    def stream(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, list[Paraphrase]]]:
        """The rows of the batches with their paraphrases, each row once, in any order and portions.

        An empty portion lets the caller commit the finished rows while the job waits.

        A job that waits for another machine overrides it, to work on several sources at once.
        """
        for sources, samples in batches:
            yield (sources, samples), self(sources, samples)

    def start_worker(self, worker: int, workers: int) -> None:  # noqa: B027  doing nothing is the default
        """Prepare one of several local processes for the job.

        Called once per process before the first paraphrase; not for a single process, and not on Ray.

        Args:
            worker: number of the process, from 0.
            workers: number of processes.
        """


def check_job(job: object) -> None:
    """Raise CacheError unless `job` is an instance of a subclass of `Job`."""
    if not isinstance(job, Job):
        raise CacheError(
            f"{job!r:.80} is not a Job: derive its class from translation_cache.Job, which has defaults for "
            "everything but settings() and __call__, and pass an instance"
        )
