"""The data sets with a short name."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from text_uda.data.corpus import Corpus
from text_uda.data.hub import KNOWN
from text_uda.data.movie_snippets import load_quintiles, load_sentiment
from text_uda.data.wordnet_glosses import load_glosses

EMBEDDED: dict[str, tuple[str, Callable[[], Corpus]]] = {
    "movie-snippets": ("movie reviews by sentiment, 2 classes; no hub needed", load_sentiment),
    "movie-snippets-5": ("movie reviews by sentiment, 5 classes; no hub needed", load_quintiles),
    "wordnet-14": ("WordNet definitions of nouns, 14 classes; no hub needed", partial(load_glosses, "wordnet-14")),
    "wordnet-6": ("WordNet definitions of nouns, 6 classes; no hub needed", partial(load_glosses, "wordnet-6")),
}


def known() -> dict[str, str]:
    """The data sets with a short name, each with a one-line description."""
    embedded = {name: description for name, (description, _) in EMBEDDED.items()}
    return embedded | {name: f"{data.description} ({data.id})" for name, data in KNOWN.items()}


def hint(name: str) -> str:
    """What to write in place of an unknown name."""
    near = get_close_matches(name, known(), n=1)
    return f"did you mean {near[0]}?" if near else f"known data sets: {', '.join(known())}"
