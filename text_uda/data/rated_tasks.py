"""The four rated corpora together: as one data set, and as texts that have several labels each."""

from typing import Literal, get_args

import numpy as np

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test, without_overlap
from text_uda.data.labeled_rows import deduplicate
from text_uda.data.rated_snippets import SENTIMENT, load_sentiment
from text_uda.data.rating_archive import Ratings, read_ratings

RatedLabel = Literal["valence", "disagreement", "source"]

SOURCES: tuple[Ratings, ...] = get_args(Ratings)
_CLASSES: dict[RatedLabel, tuple[str, ...]] = {
    "valence": SENTIMENT,
    "disagreement": ("low", "high"),
    "source": SOURCES,
}
_WORDS: dict[RatedLabel, str] = {
    "valence": "the sign of the mean of their ratings",
    "disagreement": "whether their ratings differ more than those of half of the texts of their source",
    "source": "where they come from",
}


def load_pooled() -> Corpus:
    """The rows of all four corpora by sentiment, as one data set. The test side is that of the four."""
    corpora = [load_sentiment(source) for source in SOURCES]
    test = Rows.joined(*(corpus.test for corpus in corpora))
    train, overlap = without_overlap(Rows.joined(*(corpus.train for corpus in corpora)), test)
    train, repeated = deduplicate(train)
    rows = len(train) + len(test)
    words = f"{rows:,} movie, product, tweet and news texts, by {_WORDS['valence']} (Hutto & Gilbert 2014)"
    return Corpus("rated-texts", words, SENTIMENT, train, test, unused=Rows.joined(repeated, overlap))


def load_labels(label: RatedLabel) -> Corpus:
    """The texts of all four corpora with one of their labels. All labels have the same sides.

    A mean rating of 0 is no valence, and unknown ratings are no disagreement: such training texts are unlabeled.
    """
    texts: dict[str, tuple[int, str, dict[RatedLabel, int | None]]] = {}
    for number, source in enumerate(SOURCES):
        rated = read_ratings(source)
        middle = np.median([text.deviation for text in rated if text.deviation is not None])
        for text in rated:
            labels: dict[RatedLabel, int | None] = {
                "valence": int(text.rating > 0) if text.rating else None,
                "disagreement": None if text.deviation is None else int(text.deviation > middle),
                "source": number,
            }
            texts.setdefault(text.text, (number, f"{source} {text.document}", labels))
    numbers = tuple(number for number, _, _ in texts.values())
    train, test = hold_out_test(Rows(tuple(texts), numbers), [document for _, document, _ in texts.values()])
    words = f"{len(texts):,} movie, product, tweet and news texts, by {_WORDS[label]} (Hutto & Gilbert 2014)"

    def labeled(side: Rows) -> Rows:
        label_of = {text: texts[text][2][label] for text in side.texts}
        pairs = [(text, number) for text, number in label_of.items() if number is not None]
        return Rows(tuple(text for text, _ in pairs), tuple(number for _, number in pairs))

    unlabeled = tuple(text for text in train.texts if texts[text][2][label] is None)
    return Corpus(f"rated-labels ({label})", words, _CLASSES[label], labeled(train), labeled(test), unlabeled)
