"""Four data sets of texts with human ratings, by their sentiment, from `rating_archive`.

Whole reviews and whole articles are test rows: the sentences of one are about one thing, often in the same words. On
the training side, a split can draw labeled and development rows from one review.
"""

from collections.abc import Sequence

import numpy as np

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test
from text_uda.data.rating_archive import RatedText, Ratings, read_ratings

SENTIMENT = ("negative", "positive")
_QUINTILES = ("very negative", "negative", "neutral", "positive", "very positive")
_WORDS: dict[Ratings, str] = {
    "movies": "sentences of movie reviews",
    "products": "sentences of product reviews",
    "tweets": "tweets",
    "news": "sentences of newspaper editorials",
}
NAMES: dict[Ratings, str] = {
    "movies": "movie-snippets",
    "products": "product-snippets",
    "tweets": "tweet-snippets",
    "news": "news-snippets",
}


def load_sentiment(source: Ratings) -> Corpus:
    """Two classes, by the sign of the mean rating; without the texts whose mean is 0."""
    rated = [text for text in read_ratings(source) if text.rating != 0]
    words = f"{len(rated):,} {_WORDS[source]}, by the sign of the mean of their ratings (Hutto & Gilbert 2014)"
    return _corpus(NAMES[source], words, SENTIMENT, rated, [int(text.rating > 0) for text in rated])


def load_quintiles() -> Corpus:
    """Sentences of movie reviews in five classes of equal size, by the mean rating."""
    rated = read_ratings("movies")
    ratings = [text.rating for text in rated]
    labels = np.searchsorted(np.quantile(ratings, [0.2, 0.4, 0.6, 0.8]), ratings, side="right").tolist()
    words = f"{len(rated):,} {_WORDS['movies']}, in quintiles of the mean of their ratings (Hutto & Gilbert 2014)"
    return _corpus("movie-snippets-5", words, _QUINTILES, rated, labels)


def _corpus(
    name: str, words: str, classes: tuple[str, ...], rated: Sequence[RatedText], labels: Sequence[int]
) -> Corpus:
    rows = Rows(tuple(text.text for text in rated), tuple(labels))
    train, test = hold_out_test(rows, [text.document for text in rated])
    return Corpus(name, words, classes, train, test)
