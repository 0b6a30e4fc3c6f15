"""Texts split into the units that are paraphrased, sentences or whole texts; kept on disk, not in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from text_uda.text.language import ANY, text_is_in
from text_uda.text.sentences import Pieces, split_sentences
from translation_cache import CacheError, Job, Paraphrase, mapped_table

_BLOCK = 4096  # texts in memory at one time
_STRINGS = pa.list_(pa.large_string())
_SCHEMA = pa.schema({"sentences": _STRINGS, "separators": _STRINGS})


class Documents:
    """Texts in pieces, in a temporary file that is deleted with this object. Time and size are linear in the texts.

    Args:
        by_sentence: the units are sentences; otherwise each text that is not blank is one unit.
    Raises:
        CacheError: a text holds half a surrogate pair, or the disk is full.
    """

    def __init__(self, texts: Sequence[str], *, by_sentence: bool) -> None:
        split = split_sentences if by_sentence else _whole_text
        self._table = mapped_table(_SCHEMA, (_to_table(map(split, block)) for block in _blocks(texts)))
        units = [chunk.flatten() for chunk in self._table["sentences"].chunks]
        self.units = pa.chunked_array(units, pa.large_string())
        """All units of all texts, in order."""

    def blocks(self) -> Iterator[tuple[np.ndarray, list[Pieces]]]:
        """The texts in order, in blocks of n: (n + 1,) offsets of their first units among all units, and their pieces.

        The last offset is the end of the last text.
        """
        first = 0
        for batch in self._table.to_batches():
            lengths = np.asarray(batch["sentences"].value_lengths())
            starts = first + np.concatenate([[0], np.cumsum(lengths)])
            first = int(starts[-1])
            rows = zip(batch["sentences"].to_pylist(), batch["separators"].to_pylist(), strict=True)
            yield starts, [Pieces(tuple(sentences), tuple(separators)) for sentences, separators in rows]


def _whole_text(text: str) -> Pieces:
    return Pieces((text,), ("", "")) if text.strip() else Pieces((), (text,))


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BLOCK):
        yield texts[start : start + _BLOCK]


def _to_table(documents: Iterator[Pieces]) -> pa.Table:
    block = list(documents)
    try:
        columns = [[list(pieces.sentences) for pieces in block], [list(pieces.separators) for pieces in block]]
        return pa.table([pa.array(column, _STRINGS) for column in columns], schema=_SCHEMA)
    except UnicodeEncodeError as error:
        raise CacheError(
            f"a text holds half a surrogate pair, which no file can hold ({error.object!r:.80}); decode it first"
        ) from error


def join_paraphrases(pieces: Pieces, of_sentences: Sequence[Paraphrase], *, language: str = ANY) -> Paraphrase:
    """The paraphrase of a text from the paraphrases of its sentences; a sentence without a usable one stays as it is.

    A text with a sentence in another language, and none that is clearly in `language`, is `source-language`: its short
    sentences, which are not judged alone, are in that language too.

    The score fallback_rate is the share of sentences that stay; change_rate averages over the words of the text;
    similarity, where sentences have it, is the least of those that are used.
    """
    usable = np.array([sentence.status == "ok" for sentence in of_sentences], dtype=bool)
    if not usable.any():
        reasons = Counter(sentence.status for sentence in of_sentences).most_common(1)
        return Paraphrase(None, reasons[0][0] if reasons else "empty")
    is_foreign = [sentence.status == "source-language" for sentence in of_sentences]
    judged = (sentence for sentence, foreign in zip(pieces.sentences, is_foreign, strict=True) if not foreign)
    if any(is_foreign) and not any(text_is_in(language, sentence) for sentence in judged):
        return Paraphrase(None, "source-language")
    new = [sentence.text if ok else None for sentence, ok in zip(of_sentences, usable, strict=True)]
    text = pieces.join([part or source for part, source in zip(new, pieces.sentences, strict=True)])
    words = np.array([len(sentence.split()) for sentence in pieces.sentences])
    rates = np.array([sentence.scores.get("change_rate", 0.0) for sentence in of_sentences])
    scores = {"change_rate": float((rates * words)[usable].sum() / words.sum()), "fallback_rate": 1 - usable.mean()}
    similarities = [sentence.scores.get("similarity") for sentence, ok in zip(of_sentences, usable, strict=True) if ok]
    known = [value for value in similarities if value is not None]
    if len(known) == len(similarities):
        scores["similarity"] = min(known)
    pivots = [sentence.pivot for sentence in of_sentences if sentence.pivot]
    return Paraphrase(text, "ok", " ".join(pivots) or None, scores)


def language_of(augmentation: Job) -> str:
    """The language of the texts that an augmentation changes, `any` if it names none."""
    return getattr(augmentation, "texts_language", ANY)
