"""Candidates to replace a word of another language than English: it shares its frequent synset, by the Open
Multilingual WordNet; the frequency of a synset is that of its English words in the texts that WordNet's authors tagged.

Only a form that is a lemma is replaced, by a lemma with the same last letter, which agrees more often in gender.
Capitals stay, and with them the nouns of German.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from text_uda.augment.lexicon import Candidates, shared_lexicon
from text_uda.augment.words import Word, negations_of
from text_uda.text.open_wordnet import Sense, open_wordnet

_MIN_SHARED_SENSE = 0.5  # as in `lexicon`


def candidates_in(language: str, words: Sequence[Word], index: int) -> Candidates | None:
    """The synonyms that can replace a word, None if there are none.

    A word with an antonym has none after a negation of the clause, nor in a language whose negations are not listed.

    Raises:
        MissingPartError: there is no WordNet, or none of the language.
    """
    word = words[index]
    if not word.editable or word.text != word.lowercase:
        return None
    candidates = _candidates(language, word.text)
    if candidates is None or (candidates.has_antonym and (word.negated or not negations_of(language))):
        return None
    return candidates


@lru_cache(maxsize=1 << 16)
def _candidates(language: str, word: str) -> Candidates | None:
    wordnet = open_wordnet(language)
    senses = wordnet.senses.get(word, ())
    if not senses:
        return None
    part_of_speech = max(senses, key=_uses)[0]
    of_part = [sense for sense in senses if sense[0] == part_of_speech]
    opposed = {other for sense in of_part for antonym in _antonyms(sense) for other in wordnet.words.get(antonym, ())}
    weights: dict[str, float] = {}
    for synonym in dict.fromkeys(other for sense in of_part for other in wordnet.words[sense]):
        if synonym == word or not synonym.islower() or synonym[-1] != word[-1] or synonym in opposed:
            continue
        shared = [sense for sense in of_part if sense in wordnet.senses[synonym]]
        uses = sum(map(_uses, shared))
        shares = (uses / sum(map(_uses, wordnet.senses[either])) for either in (word, synonym))
        if next(shares) * next(shares) > _MIN_SHARED_SENSE:
            weights[synonym] = uses
    if not weights:
        return None
    forms = tuple(sorted(weights))
    cumulative = tuple(accumulate(weights[form] for form in forms))
    return Candidates(part_of_speech, forms, cumulative, any(map(_antonyms, of_part)), {}, {}, frozenset())


@lru_cache(maxsize=1 << 16)
def _uses(sense: Sense) -> float:
    """How often the tagged texts use the English words of a synset in this sense, + 1/2."""
    wordnet, (part, offset) = shared_lexicon().wordnet, sense
    uses = 0
    for name in wordnet.synset(part, offset).words:
        counts = dict(zip(wordnet.senses(name.lower(), part), wordnet.counts(name.lower(), part), strict=True))
        uses += counts.get(offset, 0)
    return uses + 0.5


def _antonyms(sense: Sense) -> list[Sense]:
    """The opposite synsets, and for an adjective those of the synsets that it is similar to."""
    wordnet, (part, offset) = shared_lexicon().wordnet, sense
    similar = (offset, *wordnet.synset(part, offset).similar)
    return [(part, antonym) for one in similar for antonym in wordnet.synset(part, one).antonyms]
