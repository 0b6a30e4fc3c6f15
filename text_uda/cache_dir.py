"""The folder for what is fetched or made once: a data set's archive, WordNet's files as NLTK wants them."""

import os
from pathlib import Path


def home() -> Path:
    """$TEXT_UDA_HOME, else text_uda in the user's cache folder ($XDG_CACHE_HOME or ~/.cache). It may not exist yet."""
    if own := os.environ.get("TEXT_UDA_HOME"):
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "text_uda"
