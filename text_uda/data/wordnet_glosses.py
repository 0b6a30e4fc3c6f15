"""WordNet's definitions of nouns, labeled by lexicographer class: many classes, few labels, a large unlabeled pool."""

from collections import Counter, defaultdict

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test
from text_uda.keyed_random import keyed_seed
from text_uda.text.wordnet import glosses

_CLASSES = {
    "wordnet-14": "artifact person plant animal act communication state location attribute substance cognition group "
    "food body",
    "wordnet-6": "person plant animal location food body",
}
ROWS = 1800  # of each class: the size of the smallest of the fourteen
_FEWEST_WORDS = 4


def load_glosses(name: str) -> Corpus:
    """1,800 labeled definitions of each class of `name`; the other definitions of these classes are unlabeled.

    Raises:
        MissingPartError: WordNet is not installed.
    """
    classes = tuple(_CLASSES[name].split())
    by_class: dict[str, set[str]] = defaultdict(set)
    for file, _lemma, gloss in glosses():
        kind = file.removeprefix("noun.")
        if kind in classes and len(gloss.split()) >= _FEWEST_WORDS:
            by_class[kind].add(gloss)
    classes_of = Counter(text for definitions in by_class.values() for text in definitions)
    texts: list[str] = []
    labels: list[int] = []
    unlabeled: list[str] = []
    for number, kind in enumerate(classes):
        unambiguous = [text for text in by_class[kind] if classes_of[text] == 1]
        ordered = sorted(unambiguous, key=lambda text: keyed_seed("gloss", text))
        texts += ordered[:ROWS]
        labels += [number] * len(ordered[:ROWS])
        unlabeled += ordered[ROWS:]
    train, test = hold_out_test(Rows(tuple(texts), tuple(labels)))
    words = f"definitions of English nouns by lexicographer class, {len(classes)} classes (WordNet)"
    return Corpus(name, words, classes, train, test, tuple(unlabeled))
