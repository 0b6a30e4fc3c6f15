"""Four corpora of texts with human ratings, from an archive on the package index, which we may not distribute.

Hutto & Gilbert 2014, "VADER" (ICWSM): sentences of movie reviews, of product reviews and of news, and tweets, each with
15 to 99 ratings of its sentiment in [-4, 4], most with 15 to 29.
"""

import io
import tarfile
import zipfile
from dataclasses import dataclass
from math import isclose
from typing import Literal

from text_uda.data.package_file import PackageFile

ARCHIVE = PackageFile(
    package="vaderSentiment==0.5",
    file="vaderSentiment-0.5.zip",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    content="these rated texts",
)
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
    with zipfile.ZipFile(ARCHIVE.path()) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(_INNER))) as inner:
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
