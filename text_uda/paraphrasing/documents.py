"""Many texts taken apart into what is paraphrased, sentences or whole texts; they lie on disk, not in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from text_uda.text.sentences import Pieces, split_sentences
from translation_cache import CacheError, Paraphrase, mapped_table

_BLOCK = 4096  # texts in memory at one time
_STRINGS = pa.list_(pa.large_string())
_SCHEMA = pa.schema({"sentences": _STRINGS, "separators": _STRINGS})


class Documents:
    """Texts in pieces. Reading them is linear in the texts, and so is the file, which goes with this object.

    Args:
        by_sentence: the units are sentences; else each text is one, if it is not blank.
    Raises:
        CacheError: a text holds half a surrogate pair; no space for the file.
    """

    def __init__(self, texts: Sequence[str], *, by_sentence: bool) -> None:
        take_apart = split_sentences if by_sentence else _whole
        self._table = mapped_table(_SCHEMA, (_rows(map(take_apart, block)) for block in _blocks(texts)))
        pieces = [chunk.flatten() for chunk in self._table["sentences"].chunks]
        self.units = pa.chunked_array(pieces, pa.large_string())
        """All units of all texts, in order."""

    def blocks(self) -> Iterator[tuple[np.ndarray, list[Pieces]]]:
        """The texts in order, some at a time: where the units of each begin among all (and where the last ends), and
        their pieces."""
        first = 0
        for batch in self._table.to_batches():
            lengths = np.asarray(batch["sentences"].value_lengths())
            starts = first + np.concatenate([[0], np.cumsum(lengths)])
            first = int(starts[-1])
            pairs = zip(batch["sentences"].to_pylist(), batch["separators"].to_pylist(), strict=True)
            yield starts, [Pieces(tuple(sentences), tuple(separators)) for sentences, separators in pairs]


def _whole(text: str) -> Pieces:
    return Pieces((text,), ("", "")) if text.strip() else Pieces((), (text,))


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BLOCK):
        yield texts[start : start + _BLOCK]


def _rows(pieces: Iterator[Pieces]) -> pa.Table:
    block = list(pieces)
    try:
        columns = [[list(each.sentences) for each in block], [list(each.separators) for each in block]]
        return pa.table([pa.array(column, _STRINGS) for column in columns], schema=_SCHEMA)
    except UnicodeEncodeError as error:
        raise CacheError(
            f"a text holds half a surrogate pair, which no file can hold ({error.object!r:.80}); decode it first"
        ) from error


def put_together(pieces: Pieces, made: Sequence[Paraphrase]) -> Paraphrase:
    """One paraphrase of a text from those of its sentences; a sentence that has none stays as it was."""
    usable = np.array([each.status == "ok" for each in made], dtype=bool)
    if not usable.any():
        reasons = Counter(each.status for each in made).most_common(1)
        return Paraphrase(None, reasons[0][0] if reasons else "empty")
    parts = [each.text if ok else None for each, ok in zip(made, usable, strict=True)]
    text = pieces.join([part or source for part, source in zip(parts, pieces.sentences, strict=True)])
    words = np.array([len(sentence.split()) for sentence in pieces.sentences])
    rates = np.array([each.scores.get("change_rate", 0.0) for each in made])
    scores = {"change_rate": float((rates * words)[usable].sum() / words.sum()), "fallback_rate": 1 - usable.mean()}
    pivots = [each.pivot for each in made if each.pivot]
    return Paraphrase(text, "ok", " ".join(pivots) or None, scores)
