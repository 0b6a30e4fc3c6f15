"""Random insertion: synonyms of words of the text, put in anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.lexicon import context_of, entries, versions
from text_uda.augment.per_text import Changed, check_protect, check_rate, per_text, protected
from text_uda.augment.synonym import in_phrase
from text_uda.augment.words import NEGATIONS, Edit, edited, with_articles_of, words
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number


@dataclass(frozen=True, kw_only=True)
class Insertion:
    """A synonym of a random word put in at a random place, max(1, round(rate n)) times in a text of n words.

    It comes after a random plain word that is no negation. Words and places are drawn evenly, a synonym as in
    `Synonym`.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random insertion; alpha -> rate. It departs from the
    paper where the text would be damaged: the synonym has the form of its word, never stands inside of an address, and
    what has an opposite is neither taken out of the scope of a negation nor put into one; articles are mended.
    """

    rate: float = 0.1
    """Words to put in for each word there is, in (0, 1]; at least one a text."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; each form by itself, in any case."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)

    def settings(self) -> dict[str, Any]:
        """Raises MissingPartError where there is no WordNet."""
        named = {"method": "insertion", "version": VERSION, "unit": "text", **versions()}
        return named | {"rate": self.rate, "seed": self.seed, "protect": sorted(protected(self.protect))}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises MissingPartError where there is no WordNet."""
        kept = protected(self.protect)

        def longer(text: str, draws: Draws) -> Changed:
            found = words(text)
            anywhere = [word.end for word in found if word.plain and word.lower not in NEGATIONS]
            affirmed = [word.end for word in found if word.plain and word.lower not in NEGATIONS and not word.negated]
            known = []
            for place, word in enumerate(found):
                entry = entries(word.lower).get(context_of(word.before)) if word.plain else None
                if (
                    entry is not None
                    and word.lower not in kept
                    and not (entry.polar and word.negated)
                    and not in_phrase(found, place, entry)
                ):
                    known.append(entry)
            if not known:
                return Changed(text, 0.0)
            edits = []
            for _ in range(max(1, round(self.rate * len(found)))):
                entry = known[draws.below(len(known))]
                new = entry.forms[draws.weighted(entry.up_to)]
                places = affirmed if entry.polar else anywhere
                end = places[draws.below(len(places))]
                edits.append(Edit(end, end, " " + new))
            made = edited(text, sorted(edits, key=lambda edit: edit.start))
            return Changed(with_articles_of(made, found), len(edits) / (len(found) + len(edits)))

        return per_text(longer, self.settings(), sources, samples)
