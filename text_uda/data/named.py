"""The data sets with a short name, and the sets of several tasks."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from text_uda.data import films, wordnet_glosses
from text_uda.data.corpus import Corpus
from text_uda.data.hub import KNOWN
from text_uda.data.rated_snippets import NAMES, load_quintiles, load_sentiment
from text_uda.data.rated_tasks import RatedLabel, load_labels, load_pooled
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.errors import DataError, listed

LABEL_COLUMNS: dict[str, tuple[str, ...]] = {"rated-labels": get_args(RatedLabel)}
"""The labels of embedded data sets that have several; without a name it is the first."""

EMBEDDED: dict[str, tuple[str, Callable[..., Corpus]]] = {
    "movie-snippets": ("movie reviews by sentiment, 2 classes; no hub needed", partial(load_sentiment, "movies")),
    "movie-snippets-5": ("movie reviews by sentiment, 5 classes; no hub needed", load_quintiles),
    "product-snippets": ("product reviews by sentiment, 2 classes; no hub needed", partial(load_sentiment, "products")),
    "tweet-snippets": ("tweets by sentiment, 2 classes; no hub needed", partial(load_sentiment, "tweets")),
    "news-snippets": ("news by sentiment, 2 classes; no hub needed", partial(load_sentiment, "news")),
    "rated-texts": ("the four above by sentiment: one data set, or 4 tasks; no hub needed", load_pooled),
    "rated-labels": ("their texts by valence, disagreement and source: 3 tasks; no hub needed", load_labels),
    "wordnet-14": (
        "WordNet definitions of nouns, 14 classes; no hub needed",
        partial(wordnet_glosses.load_glosses, "wordnet-14"),
    ),
    "wordnet-6": (
        "WordNet definitions of nouns, 6 classes; no hub needed",
        partial(wordnet_glosses.load_glosses, "wordnet-6"),
    ),
    "films": ("titles of films by their rating, 2 classes; no hub needed", films.load_films),
}
"""By name: a line, and what loads it; with several labels, it takes the name of one, and with columns these."""

COLUMNS: dict[str, OtherColumns] = {
    "wordnet-14": wordnet_glosses.COLUMNS,
    "wordnet-6": wordnet_glosses.COLUMNS,
    "films": films.COLUMNS,
}
"""The columns beside the text, of the embedded data sets that have some."""

TASKS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "rated-texts": {task: {"source": name} for task, name in NAMES.items()},
    **{
        name: {label: {"source": name, "label_column": label} for label in labels}
        for name, labels in LABEL_COLUMNS.items()
    },
}
"""The sets of several tasks: by task, the arguments of `load`."""


def load_embedded(name: str, label_columns: tuple[str, ...] = (), others: OtherColumns = NO_COLUMNS) -> Corpus:
    """A data set without a hub; of one with several labels, by the first of `label_columns` that it has.

    Raises:
        DataError: it has several labels, and none of these names, or it lacks one of the other columns, or that has
            another kind.
        MissingPartError: its source is not on this machine and cannot be downloaded.
    """
    if name in COLUMNS:
        if absent := [column for column in others.names if column not in COLUMNS[name].names]:
            raise DataError(
                f"{name} has no column {' and no '.join(map(repr, absent))} beside its text; it has:"
                f" {', '.join(f'{column} ({kind})' for column, kind in COLUMNS[name])}"
            )
        return EMBEDDED[name][1](others=others)
    if others:
        raise DataError(
            f"{name} has no columns beside the text and its label: leave out {listed(others.names)}"
            f" (data sets with columns: {', '.join(COLUMNS)})"
        )
    labels = LABEL_COLUMNS.get(name)
    if labels is None:
        return EMBEDDED[name][1]()
    label = next((column for column in label_columns if column in labels), None if label_columns else labels[0])
    if label is None:
        names = " or ".join(map(repr, label_columns))
        raise DataError(f"{name} has the labels {', '.join(labels)}, and not {names}; name one of them")
    return EMBEDDED[name][1](label)


def known() -> dict[str, str]:
    """The data sets with a short name, each with a one-line description."""
    embedded = {name: description for name, (description, _) in EMBEDDED.items()}
    return embedded | {name: f"{data.description} ({data.id})" for name, data in KNOWN.items()}


def hint(name: str) -> str:
    """What to write in place of an unknown name."""
    near = get_close_matches(name, known(), n=1)
    return f"did you mean {near[0]}?" if near else f"known data sets: {', '.join(known())}"
