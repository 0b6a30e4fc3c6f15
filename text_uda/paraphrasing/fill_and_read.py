"""From texts to the cache and back: what is cached is a text or its sentences, what is read is always a text."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from text_uda.data.texts import taken
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.paraphrasing.documents import Documents, put_together
from text_uda.paraphrasing.filters import Filters
from text_uda.text.sentences import Pieces
from translation_cache import Cache, FillReport, Job, Paraphrase, fill, join, missing
from translation_cache.filling import Engine

OnProgress = Callable[[int, int], None]  # (done, total), in rows of the cache
Location = str | os.PathLike[str]
_BATCH_SIZE = 1024  # where an augmentation names none


def paraphrase(
    texts: Sequence[str],
    augmentation: Job,
    cache: Cache | Location,
    *,
    samples: int = 1,
    engine: Engine = "local",
    workers: int = 1,
    batch_size: int | None = None,
    shard: tuple[int, int] | None = None,
    progress: OnProgress | None = None,
) -> FillReport:
    """Fill the cache with paraphrases of the texts; what is there already is not made again.

    Args:
        augmentation: where its unit is the sentence, each sentence is made once, in however many texts it stands.
        cache: a folder, or the URI of one on an object store (s3://bucket/folder).
        samples: paraphrases of each text.
        engine: `local` processes, or `ray`: the actors of a Ray cluster.
        workers: processes or actors.
        batch_size: rows that the augmentation is given at once: samples of texts or of sentences, those of one never
            apart. None takes what the augmentation names as its `batch_size`, else 1024.
        shard: (i, n), i from 1: only the i-th of n shares of the texts, told by a hash of the text.
    Returns:
        what was requested, present, made and rejected, in rows of the cache (texts or sentences).
    Raises:
        SettingsError: more samples than the augmentation has (its `max_samples`).
        CacheError: the cache cannot be written, or a worker died.
    """
    _check_samples(augmentation, samples)
    if shard is not None:
        index, shares = shard
        mine = (keyed_seed("shard", text) % shares == index - 1 for text in texts)
        texts = taken(texts, np.flatnonzero(np.fromiter(mine, dtype=bool, count=len(texts))))
    return fill(
        _opened(cache),
        augmentation,
        Documents(texts, by_sentence=_by_sentence(augmentation)).units,
        samples=samples,
        engine=engine,
        workers=workers,
        batch_size=_own_batch_size(augmentation) if batch_size is None else batch_size,
        progress=progress,
    )


def missing_paraphrases(texts: Sequence[str], augmentation: Job, cache: Cache | Location, *, samples: int = 1) -> int:
    """How many rows of the cache (texts or sentences, times samples) `paraphrase` would have to make."""
    units = Documents(texts, by_sentence=_by_sentence(augmentation)).units
    return len(missing(_opened(cache), augmentation.settings(), units, samples=samples).rows)


def read_paraphrases(
    texts: Sequence[str],
    augmentation: Job,
    cache: Cache | Location,
    *,
    samples: int = 1,
    filters: Filters | None = None,
) -> Iterator[list[Paraphrase]]:
    """For each text its samples, sentences put together again with everything that stood between them.

    A text whose augmentation works by sentences is `ok` when one of them is; the others stay as they were, and the
    score fallback_rate says how many (0 to 1). Its change_rate is that of all its words. A sample that says what a
    lower one of the same text or sentence does is a `duplicate`. Time is linear in the texts and in the cache; texts
    and paraphrases lie on disk, not in memory.

    Args:
        filters: judge anew what is usable; None takes what was judged when it was made.
    Raises:
        SettingsError: some were never made with these settings; it says what is different.
    """
    _check_samples(augmentation, samples)
    cache, settings = _opened(cache), augmentation.settings()
    documents = Documents(texts, by_sentence=_by_sentence(augmentation))
    columns = ("paraphrase", "status", "pivot", *(("source",) if filters else ()))
    made = join(cache, settings, documents.units, samples=samples, columns=columns, scores=("change_rate",))
    if made["status"].null_count:
        raise SettingsError(
            f"not every text has its {settings['method']} paraphrases: {cache.explain(settings)}. "
            "Run `text-uda paraphrase` with the same data, method and settings first"
        )
    return _documents(documents, made, filters, samples=samples, by_sentence=_by_sentence(augmentation))


def _documents(
    documents: Documents, made: pa.Table, filters: Filters | None, *, samples: int, by_sentence: bool
) -> Iterator[list[Paraphrase]]:
    of_pieces = put_together if by_sentence else _text
    for starts, pieces in documents.blocks():
        rows = made.slice(starts[0] * samples, (starts[-1] - starts[0]) * samples)
        of_units = _paraphrases(rows, filters, samples)  # the samples of a unit stand together
        edges = ((starts - starts[0]) * samples).tolist()
        for each, (first, last) in zip(pieces, pairwise(edges), strict=True):
            yield [of_pieces(each, of_units[first + sample : last : samples]) for sample in range(samples)]


def _paraphrases(rows: pa.Table, filters: Filters | None, samples: int) -> list[Paraphrase]:
    """Of a unit no two samples that are alike: an engine that is not the same in any batch does not see all of them."""
    found: list[Paraphrase] = []
    for row in rows.to_pylist():
        scores = {} if row["change_rate"] is None else {"change_rate": row["change_rate"]}
        made = Paraphrase(row["paraphrase"], row["status"], row["pivot"], scores)
        if filters is not None and (status := filters(row["source"], made)) != made.status:
            made = Paraphrase(made.text, status, made.pivot, scores)
        lower = found[len(found) - len(found) % samples :]
        if made.status == "ok" and any(each.status == "ok" and each.text == made.text for each in lower):
            made = Paraphrase(made.text, "duplicate", made.pivot, scores)
        found.append(made)
    return found


def _text(pieces: Pieces, made: Sequence[Paraphrase]) -> Paraphrase:
    return made[0] if pieces.sentences else Paraphrase(None, "empty")


def _check_samples(augmentation: Job, samples: int) -> None:
    if samples < 1:
        raise SettingsError(f"samples={samples}: give 1 or more")
    most = getattr(augmentation, "max_samples", None)
    if most is not None and samples > most:
        raise SettingsError(
            f"{augmentation.settings()['method']} has at most {most} different samples of a text here, not {samples}: "
            "ask for fewer, sample (a marian translator with a temperature), or name more pivots"
        )


def _own_batch_size(augmentation: Job) -> int:
    own: int | None = getattr(augmentation, "batch_size", None)
    return _BATCH_SIZE if own is None else own


def _by_sentence(augmentation: Job) -> bool:
    return augmentation.settings()["unit"] == "sentence"


def _opened(cache: Cache | Location) -> Cache:
    return cache if isinstance(cache, Cache) else Cache(cache)
