"""The folder for downloads and other files that are created once: archives of data sets, WordNet in NLTK's layout."""

import os
from pathlib import Path


def home() -> Path:
    """$TEXT_UDA_HOME, else text_uda in the user's cache folder ($XDG_CACHE_HOME or ~/.cache). It may not exist yet."""
    if folder := os.environ.get("TEXT_UDA_HOME"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "text_uda"
