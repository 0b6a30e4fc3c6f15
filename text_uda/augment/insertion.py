"""Random insertion: inserts synonyms of words of the text at random places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.lexicon import Candidates
from text_uda.augment.synonym import candidates_at, check_lexicon_language, versions_of
from text_uda.augment.word_edit import EditedText, WordEdit
from text_uda.augment.words import Edit, Word, apply_edits, is_negation, repair_articles
from text_uda.keyed_random import Draws


@dataclass(frozen=True, kw_only=True)
class Insertion(WordEdit):
    """Inserts a synonym of a random word at a random place, max(1, round(rate n)) times in a text of n words.

    The synonym follows a random editable word, never a negation. Words and places are uniform; the synonym is drawn as
    in `Synonym`.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random insertion; alpha -> rate. Departures from the
    paper, where the text would be damaged: the synonym has the inflection of its word and never stands inside an
    address; a word with an antonym is neither taken out of the scope of a negation nor inserted into one; articles are
    adapted.
    """

    method = "insertion"
    version = 2

    rate: float = 0.1
    """Words to insert per word of the text, in (0, 1]; at least one per text."""

    language: str = "en"
    """Of the texts, such as es or spa; sentences in another one stay. Not for `any`; other languages than English need
    their Open Multilingual WordNet."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lexicon_language(self.language)

    def settings(self) -> dict[str, Any]:
        return super().settings() | versions_of(self.texts_language)

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        affirmable = [word for word in words if word.editable and not is_negation(word.lowercase, self.texts_language)]
        all_ends = [word.end for word in affirmable]
        affirmed_ends = [word.end for word in affirmable if not word.negated]
        insertable: list[Candidates] = []
        for index, word in enumerate(words):
            candidates = candidates_at(words, index, self.texts_language)
            if candidates is not None and word.lowercase not in self.kept_words:
                insertable.append(candidates)
        if not insertable:
            return EditedText(text, 0.0)
        edits = []
        for _ in range(max(1, round(self.rate * len(words)))):
            candidates = insertable[draws.below(len(insertable))]
            synonym = candidates.forms[draws.weighted(candidates.cumulative_weights)]
            ends = affirmed_ends if candidates.has_antonym else all_ends
            end = ends[draws.below(len(ends))]
            edits.append(Edit(end, end, " " + synonym))
        new_text = apply_edits(text, sorted(edits, key=lambda edit: edit.start))
        if self.texts_language == "en":
            new_text = repair_articles(new_text, words)
        return EditedText(new_text, len(edits) / (len(words) + len(edits)))
