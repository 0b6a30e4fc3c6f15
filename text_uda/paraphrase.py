"""From texts to paraphrases and back: what is cached is a text or its sentences, what is read is always a text."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.keyed import keyed_seed
from text_uda.text import Pieces, split_sentences
from translation_cache import Cache, FillReport, Job, Paraphrase, fill

OnProgress = Callable[[int, int], None]  # (done, total), in rows of the cache


def paraphrase(
    texts: Sequence[str],
    augmentation: Job,
    cache: Cache | str | Path,
    *,
    samples: int = 1,
    workers: int = 1,
    batch_size: int = 1024,
    shard: tuple[int, int] | None = None,
    progress: OnProgress | None = None,
) -> FillReport:
    """Fill the cache with paraphrases of the texts; what is there already is not made again.

    Args:
        augmentation: where its unit is the sentence, each sentence is made once, in however many texts it stands.
        samples: paraphrases of each text.
        workers: processes.
        batch_size: texts or sentences that the augmentation is given at once.
        shard: (i, n), i from 1: only the i-th of n shares of the texts, told by a hash of the text.
    Returns:
        what was requested, present, made and rejected, in rows of the cache (texts or sentences).
    Raises:
        SettingsError: several samples of an augmentation that has only one.
        CacheError: the cache is damaged, or cannot be written.
    """
    _check_samples(augmentation, samples)
    if shard is not None:
        index, shares = shard
        texts = [text for text in texts if keyed_seed("shard", text) % shares == index - 1]
    if _by_sentence(augmentation):
        sources = [sentence for text in texts for sentence in split_sentences(text).sentences]
    else:
        sources = [text for text in texts if text.strip()]
    return fill(
        _opened(cache),
        augmentation,
        sources,
        samples=samples,
        workers=workers,
        batch_size=batch_size,
        progress=progress,
    )


def read_paraphrases(
    texts: Sequence[str], augmentation: Job, cache: Cache | str | Path, *, samples: int = 1
) -> list[list[Paraphrase]]:
    """For each text its samples, sentences put together again with everything that stood between them.

    A text whose augmentation works by sentences is `ok` when one of them is; the others stay as they were, and the
    score fallback_rate says how many (0 to 1). Its change_rate is that of all its words.

    Raises:
        SettingsError: some were never made with these settings; it says what is different.
    """
    _check_samples(augmentation, samples)
    cache = _opened(cache)
    settings = augmentation.settings()
    if not _by_sentence(augmentation):
        found = cache.lookup(settings, texts, samples=samples)
        return [[_made(each, cache, augmentation) for each in row] for row in found]
    taken_apart = [split_sentences(text) for text in texts]
    sentences = list(dict.fromkeys(sentence for pieces in taken_apart for sentence in pieces.sentences))
    found = cache.lookup(settings, sentences, samples=samples)
    made = {
        sentence: [_made(each, cache, augmentation) for each in row]
        for sentence, row in zip(sentences, found, strict=True)
    }
    return [
        [_document(pieces, [made[sentence][sample] for sentence in pieces.sentences]) for sample in range(samples)]
        for pieces in taken_apart
    ]


def _document(pieces: Pieces, made: Sequence[Paraphrase]) -> Paraphrase:
    """One paraphrase of a text from those of its sentences."""
    usable = [each.status == "ok" for each in made]
    if not any(usable):
        reasons = Counter(each.status for each in made).most_common(1)
        return Paraphrase(None, reasons[0][0] if reasons else "empty")
    parts = [each.text if ok else None for each, ok in zip(made, usable, strict=True)]
    text = pieces.join([part or source for part, source in zip(parts, pieces.sentences, strict=True)])
    words = [len(sentence.split()) for sentence in pieces.sentences]
    changed = sum(
        each.scores.get("change_rate", 0.0) * count for each, count, ok in zip(made, words, usable, strict=True) if ok
    )
    scores = {"change_rate": changed / sum(words), "fallback_rate": 1 - sum(usable) / len(usable)}
    pivots = [each.pivot for each in made if each.pivot]
    return Paraphrase(text, "ok", " ".join(pivots) or None, scores)


def _made(found: Paraphrase | None, cache: Cache, augmentation: Job) -> Paraphrase:
    if found is not None:
        return found
    settings = augmentation.settings()
    raise SettingsError(
        f"not every text has its {settings['method']} paraphrases: {cache.explain(settings)}. "
        "Run `text-uda paraphrase` with the same data, method and settings first"
    )


def _check_samples(augmentation: Job, samples: int) -> None:
    if samples < 1:
        raise SettingsError(f"samples={samples}: give 1 or more")
    if samples > 1 and getattr(augmentation, "deterministic", False):
        raise SettingsError(
            f"{augmentation.settings()['method']} is deterministic here, so all samples would be the same: "
            "ask for one, or sample (a marian translator with a temperature)"
        )


def _by_sentence(augmentation: Job) -> bool:
    return augmentation.settings()["unit"] == "sentence"


def _opened(cache: Cache | str | Path) -> Cache:
    return cache if isinstance(cache, Cache) else Cache(cache)
