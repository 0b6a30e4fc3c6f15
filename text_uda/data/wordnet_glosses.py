"""WordNet's definitions of nouns, labeled by lexicographer class: many classes, few labels, a large unlabeled pool.

A definition has other columns, those of its synset: how many lemmas it has, how many of them have a capital letter, and
how many pointers of each type it has. None of them is the lexicographer class, nor a name of another synset.
"""

from collections import Counter, defaultdict

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.keyed_random import keyed_seed
from text_uda.text.wordnet import NounSynset, noun_synsets

_CLASSES = {
    "wordnet-14": "artifact person plant animal act communication state location attribute substance cognition group "
    "food body",
    "wordnet-6": "person plant animal location food body",
}
ROWS = 1800  # of each class: the size of the smallest of the fourteen
_FEWEST_WORDS = 4

_POINTERS = {
    **{"hypernyms": "@", "hyponyms": "~", "instance_of": "@i", "instances": "~i"},
    **{"member_of": "#m", "substance_of": "#s", "part_of": "#p", "members": "%m", "substances": "%s", "parts": "%p"},
    **{"attributes": "=", "derived": "+", "antonyms": "!"},
    **{"topics": ";c", "regions": ";r", "usages": ";u"},
}
COLUMNS = OtherColumns(numeric=("lemmas", "capitals", *_POINTERS))


def load_glosses(name: str, others: OtherColumns = NO_COLUMNS) -> Corpus:
    """1,800 labeled definitions of each class of `name`; the other definitions of these classes are unlabeled.

    A definition that several synsets of a class share is one row, with the columns of the first, so that the rows are
    the same with columns as without.

    Raises:
        MissingPartError: WordNet is not installed.
        DataError: there is no such column, or it has another kind.
    """
    classes = tuple(_CLASSES[name].split())
    by_class: dict[str, dict[str, str]] = defaultdict(dict)  # class -> definition -> the same with its columns
    with_columns = others.reader(name, COLUMNS.names, lambda number: f"{name}, synset {number}")
    for number, synset in enumerate(noun_synsets(), start=1):
        kind, text = synset.file.removeprefix("noun."), synset.definition
        if kind in classes and len(text.split()) >= _FEWEST_WORDS and text not in by_class[kind]:
            by_class[kind][text] = with_columns(number, _columns(synset) if others else {}, text)
    classes_of = Counter(text for definitions in by_class.values() for text in definitions)
    texts: list[str] = []
    labels: list[int] = []
    unlabeled: list[str] = []
    for number, kind in enumerate(classes):
        unambiguous = [text for text in by_class[kind] if classes_of[text] == 1]
        ordered = [by_class[kind][text] for text in sorted(unambiguous, key=lambda text: keyed_seed("gloss", text))]
        texts += ordered[:ROWS]
        labels += [number] * len(ordered[:ROWS])
        unlabeled += ordered[ROWS:]
    train, test = hold_out_test(Rows(tuple(texts), tuple(labels)))
    words = f"definitions of English nouns by lexicographer class, {len(classes)} classes (WordNet)"
    return Corpus(name, words, classes, train, test, tuple(unlabeled))


def _columns(synset: NounSynset) -> dict[str, int]:
    pointers = Counter(synset.pointers)
    capitals = sum(any(letter.isupper() for letter in lemma) for lemma in synset.lemmas)
    counts = {column: pointers[symbol] for column, symbol in _POINTERS.items()}
    return {"lemmas": len(synset.lemmas), "capitals": capitals, **counts}
