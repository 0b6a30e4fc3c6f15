"""Fill the cache with paraphrases of texts, and read them. Cache rows hold texts or sentences; callers see texts."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from text_uda.data.loading import texts_of
from text_uda.data.texts import take_texts
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.paraphrasing.documents import Documents, join_paraphrases, language_of
from text_uda.paraphrasing.filters import DISSIMILAR, Filters
from text_uda.text.sentences import Pieces
from translation_cache import Cache, FillReport, Job, Paraphrase, check_job, count_others, fill, join, missing
from translation_cache.filling import Engine

if TYPE_CHECKING:
    from text_uda.paraphrasing.similarity import Similarity

OnProgress = Callable[[int, int], None]  # (done, total), in rows of the cache
Location = str | os.PathLike[str]
_DEFAULT_BATCH_SIZE = 1024


def paraphrase(
    texts: Any,
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
    """Fill the cache with the paraphrases of the texts that it lacks.

    Args:
        texts: a list of texts, a pandas Series or DataFrame, a `datasets.Dataset`, a Corpus; see `texts_of`.
        augmentation: if its unit is the sentence, each distinct sentence is paraphrased once.
        cache: a cache, its folder, or its URI on an object store (s3://bucket/folder).
        samples: paraphrases per text.
        engine: `local` processes, or `ray`: actors of a Ray cluster.
        workers: number of processes or actors.
        batch_size: rows per call of the augmentation, where a row is a sample of a text or sentence; samples of one
            stay together. None takes the augmentation's `batch_size`, or 1024 if it has none.
        shard: (i, n), 1 <= i <= n: process only the i-th of n parts of the texts, split by a hash of the text.
    Returns:
        The numbers of rows requested, present, made and rejected.
    Raises:
        SettingsError: more samples than the augmentation's `max_samples`, or no such shard.
        CacheError: `augmentation` is not a Job, the cache cannot be written, or a worker died.
    """
    _check(augmentation, samples)
    texts = texts_of(texts)
    if shard is not None:
        index, shards = shard
        if not 1 <= index <= shards:
            raise SettingsError(f"shard={shard}: give (i, n) with i from 1 to n")
        in_shard = (keyed_seed("shard", text) % shards == index - 1 for text in texts)
        texts = take_texts(texts, np.flatnonzero(np.fromiter(in_shard, dtype=bool, count=len(texts))))
    if batch_size is None:
        batch_size = _DEFAULT_BATCH_SIZE if augmentation.batch_size is None else augmentation.batch_size
    return fill(
        _open(cache),
        augmentation,
        Documents(texts, by_sentence=_by_sentence(augmentation)).units,
        samples=samples,
        engine=engine,
        workers=workers,
        batch_size=batch_size,
        progress=progress,
    )


def missing_paraphrases(texts: Any, augmentation: Job, cache: Cache | Location, *, samples: int = 1) -> int:
    """The number of rows (texts or sentences, times samples) that `paraphrase` would make."""
    units = Documents(texts_of(texts), by_sentence=_by_sentence(augmentation)).units
    return len(missing(_open(cache), augmentation.settings(), units, samples=samples).rows)


def count_other_sources(texts: Any, augmentation: Job, cache: Cache | Location) -> int:
    """The number of sources (texts or sentences) with a row in the cache that are not of these texts."""
    units = Documents(texts_of(texts), by_sentence=_by_sentence(augmentation)).units
    return count_others(_open(cache), augmentation.settings(), units)


def read_paraphrases(
    texts: Any,
    augmentation: Job,
    cache: Cache | Location,
    *,
    samples: int = 1,
    filters: Filters | None = None,
) -> Iterator[list[Paraphrase]]:
    """For each text its samples; sentences are joined with the original white space and symbols between them.

    With sentences as units, a text is `ok` if one of its sentences is. The other sentences stay as they were; the score
    fallback_rate is their share, 0 to 1, and change_rate covers all words of the text. A sample equal to a lower one of
    the same text or sentence is a `duplicate`. Time is linear in the texts and in the cache; texts and paraphrases stay
    on disk.

    Args:
        filters: filters to apply on reading; None keeps the statuses in the cache. With `min_similarity`, the score
            `similarity` of a unit is that of its paraphrase; it is computed once and kept beside the cache.
    Raises:
        SettingsError: the cache lacks some of them; the message names the differing setting.
        CacheError: `augmentation` is not a Job.
    """
    _check(augmentation, samples)
    cache, settings = _open(cache), augmentation.settings()
    by_sentence = _by_sentence(augmentation)
    documents = Documents(texts_of(texts), by_sentence=by_sentence)
    columns = ("paraphrase", "status", "pivot", *(("source",) if filters else ()))
    rows = join(cache, settings, documents.units, samples=samples, columns=columns, scores=("change_rate",))
    if rows["status"].null_count:
        raise SettingsError(
            f"not every text has its {settings['method']} paraphrases: {cache.explain(settings)}. Run `text-uda "
            f"paraphrase DATA --method {settings['method']} --cache {cache}` with the same data and settings first"
        )
    join_units = partial(join_paraphrases, language=language_of(augmentation)) if by_sentence else _only_unit
    similarity = _similarity(cache, rows, filters)
    return _read_documents(documents, rows, filters, similarity, samples=samples, join_units=join_units)


def _read_documents(
    documents: Documents,
    rows: pa.Table,
    filters: Filters | None,
    similarity: "Similarity | None",
    *,
    samples: int,
    join_units: Callable[[Pieces, list[Paraphrase]], Paraphrase],
) -> Iterator[list[Paraphrase]]:
    for starts, documents_pieces in documents.blocks():
        block = rows.slice(starts[0] * samples, (starts[-1] - starts[0]) * samples)
        paraphrases = _read_units(block, filters, similarity, samples)  # the samples of a unit are adjacent
        edges = ((starts - starts[0]) * samples).tolist()
        for pieces, (first, last) in zip(documents_pieces, pairwise(edges), strict=True):
            yield [join_units(pieces, paraphrases[first + sample : last : samples]) for sample in range(samples)]


def _read_units(
    rows: pa.Table, filters: Filters | None, similarity: "Similarity | None", samples: int
) -> list[Paraphrase]:
    """The paraphrase of each row. Marks duplicates again, because an engine whose output depends on the batch may have
    written some in separate calls."""
    paraphrases: list[Paraphrase] = []
    for paraphrase in _judged(rows, filters, similarity):
        lower_samples = paraphrases[len(paraphrases) - len(paraphrases) % samples :]
        if paraphrase.status == "ok" and any(
            lower.status == "ok" and lower.text == paraphrase.text for lower in lower_samples
        ):
            paraphrase = replace(paraphrase, status="duplicate")
        paraphrases.append(paraphrase)
    return paraphrases


def _judged(rows: pa.Table, filters: Filters | None, similarity: "Similarity | None") -> list[Paraphrase]:
    """The paraphrase of each row, with its status under the filters."""
    records = rows.to_pylist()
    paraphrases = []
    for row in records:
        scores = {} if row["change_rate"] is None else {"change_rate": row["change_rate"]}
        paraphrase = Paraphrase(row["paraphrase"], row["status"], row["pivot"], scores)
        if filters is not None and (status := filters(row["source"], paraphrase)) != paraphrase.status:
            paraphrase = replace(paraphrase, status=status)
        paraphrases.append(paraphrase)
    if similarity is None or filters is None or filters.min_similarity is None:
        return paraphrases
    usable = [index for index, paraphrase in enumerate(paraphrases) if paraphrase.status == "ok"]
    similarities = similarity.of([(records[index]["source"], paraphrases[index].text or "") for index in usable])
    rejected = filters.too_dissimilar(similarities)
    for index, value, is_rejected in zip(usable, similarities.tolist(), rejected, strict=True):
        scores = paraphrases[index].scores | {"similarity": value}
        status = DISSIMILAR if is_rejected else "ok"
        paraphrases[index] = replace(paraphrases[index], status=status, scores=scores)
    return paraphrases


def _similarity(cache: Cache, rows: pa.Table, filters: Filters | None) -> "Similarity | None":
    """What judges the similarity under these filters, with that of all rows computed."""
    if filters is None or filters.min_similarity is None:
        return None
    from text_uda.paraphrasing.similarity import Similarity, pairs_of

    similarity = Similarity(cache, *([] if filters.similarity_encoder is None else [filters.similarity_encoder]))
    similarity.compute(pairs_of(rows, ("ok", *filters.accept)))
    return similarity


def _only_unit(pieces: Pieces, of_units: Sequence[Paraphrase]) -> Paraphrase:
    return of_units[0] if pieces.sentences else Paraphrase(None, "empty")


def _check(augmentation: Job, samples: int) -> None:
    check_job(augmentation)
    if samples < 1:
        raise SettingsError(f"samples={samples}: give 1 or more")
    limit = augmentation.max_samples
    if limit is not None and samples > limit:
        raise SettingsError(
            f"{augmentation.settings()['method']} has at most {limit} different samples of a text, not {samples}: "
            "ask for fewer, sample (a marian translator with a temperature), or name more pivots"
        )


def _by_sentence(augmentation: Job) -> bool:
    return augmentation.settings()["unit"] == "sentence"


def _open(cache: Cache | Location) -> Cache:
    return cache if isinstance(cache, Cache) else Cache(cache)


def mark_dissimilar(table: pa.Table, similarity: "Similarity", filters: Filters) -> pa.Array:
    """The status of each row of a table of source, paraphrase and status: `dissimilar` if `ok` and below the bound."""
    from text_uda.paraphrasing.similarity import pairs_of

    is_usable = (table["status"].to_numpy() == "ok") & table["paraphrase"].is_valid().to_numpy()
    values = [similarity.of(pairs) for pairs in pairs_of(table)]
    below = np.zeros(len(table), dtype=bool)
    below[is_usable] = filters.too_dissimilar(np.concatenate([np.empty(0), *values]))
    return pc.if_else(pa.array(below), DISSIMILAR, table["status"])  # pyright: ignore[reportAttributeAccessIssue]
