"""Random deletion: leaves words out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from text_uda.augment.word_edit import EditedText, WordEdit, lower_case
from text_uda.augment.words import (
    LIMITING_WORDS,
    STOP_WORDS,
    Edit,
    Word,
    apply_edits,
    is_negation,
    negations_of,
    repair_articles,
)
from text_uda.keyed_random import Draws

_LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_OPENING = frozenset('([{"“„«¿¡')
_CLOSING = frozenset('.,;:!?…)]}"”»')


@dataclass(frozen=True, kw_only=True)
class Deletion(WordEdit):
    """Deletes each word independently with probability `rate`; a short text may stay as it is.

    The white space before a word goes with it, or the white space after it where there is none before or it holds a
    line end. A word with neither stays, as do line ends and a word between two punctuation marks.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random deletion; p -> rate. Departures from the paper,
    where the text would be damaged: negations, names, numbers, contractions, addresses, protected words and punctuation
    stay; a sentence keeps at least one word and its initial capital; articles are adapted; a text of stop words alone
    stays. A word that limits a negation (not only) stays, and so does the word after a negation.
    A capitalised first word may be deleted, also if it is a name: list such names in `protect`.
    """

    method = "deletion"
    version = 2

    rate: float = 0.1
    """Probability of each word to be deleted, in (0, 1]."""

    @cached_property
    def kept_words(self) -> frozenset[str]:
        return negations_of(self.texts_language) | lower_case(self.protect)

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        if all(word.lowercase in STOP_WORDS for word in words):
            return EditedText(text, 0.0)
        deletions: dict[int, Edit] = {}  # by index of the word
        deleted_to = 0
        for index, word in enumerate(words):
            limits_negation = word.negated and word.lowercase in LIMITING_WORDS
            follows_negation = is_negation(
                word.previous, self.texts_language
            )  # without this word the next one would be negated
            stays = not word.editable or word.lowercase in self.kept_words or limits_negation or follows_negation
            if stays or draws.uniform() >= self.rate:
                continue
            deletion = _delete_with_space(text, word, deleted_to)
            if deletion is not None:
                deletions[index] = deletion
                deleted_to = deletion.end
        capitals = [edit for sentence in _sentences(words) for edit in _keep_start(words, sentence, deletions, draws)]
        new_text = apply_edits(text, sorted([*deletions.values(), *capitals]))
        if self.texts_language == "en":
            new_text = repair_articles(new_text, words)
        return EditedText(new_text, len(deletions) / len(words))


def _delete_with_space(text: str, word: Word, deleted_to: int) -> Edit | None:
    """Delete the word with the white space on one side; None if neither side has any that can go.

    Args:
        deleted_to: the text before this offset is already deleted.
    """
    first, last = word.start, word.end
    while first > deleted_to and text[first - 1].isspace():
        first -= 1
    while last < len(text) and text[last].isspace():
        last += 1
    before, after = text[first : word.start], text[word.end : last]
    if (
        0 < first < word.start
        and not _LINE_END.search(before)
        and (after or last == len(text) or text[last] in _CLOSING)
    ):
        return Edit(first, word.end, "")
    starts_part = word.start == 0 or text[word.start - 1].isspace() or text[word.start - 1] in _OPENING
    if word.end < last < len(text) and not _LINE_END.search(after) and starts_part:
        return Edit(word.start, last, "")
    return None


def _sentences(words: Sequence[Word]) -> Iterator[range]:
    """The indices of the words of each sentence."""
    starts = [index for index, word in enumerate(words) if word.starts_sentence]
    return map(range, starts, [*starts[1:], len(words)])


def _keep_start(words: Sequence[Word], sentence: range, deletions: dict[int, Edit], draws: Draws) -> list[Edit]:
    """Move the capital of a deleted first word to the next word of the sentence.

    Takes deletions back: one random word if the whole sentence is deleted, and the first word if its capital cannot
    move because the next word is not editable.
    """
    if all(index in deletions for index in sentence):
        del deletions[sentence[draws.below(len(sentence))]]
    first = words[sentence[0]]
    if sentence[0] not in deletions or first.text[0].islower():
        return []
    new_first = words[next(index for index in sentence if index not in deletions)]
    if new_first.editable:
        return [Edit(new_first.start, new_first.start + 1, new_first.text[0].upper())]
    del deletions[sentence[0]]
    return []
