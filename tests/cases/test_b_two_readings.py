"""Case B: a file whose quotes can be read in two ways loses no row in silence."""

from pathlib import Path

import pytest

from text_uda.data import arrow_records, delimited, plain_text
from text_uda.data.files import read_labeled
from text_uda.errors import DataError

ROWS = [(f"The film number {n} was {'great' if n % 2 else 'bad'}", str(n % 2)) for n in range(40)]
SWALLOWED = [*ROWS[:9], ('"It is a mess from the start', "0"), *ROWS[9:11], ('but I loved it."', "1"), *ROWS[11:]]


@pytest.fixture(autouse=True, params=["at once", "in blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in blocks":
        monkeypatch.setattr(plain_text, "_BLOCK_BYTES", 7)
        for module in (delimited, arrow_records):
            monkeypatch.setattr(module, "_BLOCK_ROWS", 2)


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    delimiter = "," if path.suffix == ".csv" else "\t"
    path.write_text("".join(f"{text}{delimiter}{label}\n" for text, label in [("text", "label"), *rows]), "utf-8")
    return path


def rows_of(path: Path) -> list[tuple[str, str]]:
    return [(text, label) for _, text, label in read_labeled(path, text_column=None, label_column=None)]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_quotes_that_join_complete_rows_are_characters(tmp_path: Path, caplog, name: str):
    assert rows_of(write(tmp_path / name, SWALLOWED)) == SWALLOWED
    assert f"{name}: quotes are read as characters: a quote opens in row 11 and closes in row 14" in caplog.text


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_where_other_quotes_delimit_fields_it_is_an_error(tmp_path: Path, name: str):
    delimiter = "," if name == "a.csv" else "\t"
    rows = [*SWALLOWED, (f'"a real{delimiter} one\nof two lines"', "1")]
    with pytest.raises(DataError, match="rows 11 to 14: a quote opens in row 11 and closes in row 14"):
        rows_of(write(tmp_path / name, rows))


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_line_breaks_between_quotes_are_part_of_the_text(tmp_path: Path, caplog, name: str):
    delimiter = "," if name == "a.csv" else "\t"
    written = [(f'"{text}{delimiter} it is\n""so""{delimiter} they say"', label) for text, label in ROWS]
    expected = [(f'{text}{delimiter} it is\n"so"{delimiter} they say', label) for text, label in ROWS]
    assert rows_of(write(tmp_path / name, written)) == expected
    assert not caplog.records, "no line alone has one of the labels"


def test_a_doubtful_row_is_named(tmp_path: Path, caplog):
    """Three rows are too few to tell: a tsv keeps them, a csv joins them, and both say so."""
    rows = [('"It is', "0"), ("fine", "1"), ('and."', "1")]
    assert rows_of(write(tmp_path / "a.tsv", rows)) == rows
    assert "a quote opens in row 2 and closes in row 4" in caplog.text
    caplog.clear()
    assert rows_of(write(tmp_path / "a.csv", rows)) == [("It is,0\nfine,1\nand.", "1")]
    assert "rows 2 to 4 are read as one row" in caplog.text


def test_quotes_inside_of_a_field(tmp_path: Path):
    rows = [*ROWS, ('a 5" screen and a 7" one', "1")]
    assert rows_of(write(tmp_path / "a.csv", rows)) == rows
    assert rows_of(write(tmp_path / "a.tsv", rows)) == rows


def test_quotes_escaped_by_a_backslash(tmp_path: Path, caplog):
    rows = [*ROWS, (r'"He said \"no, never\" and a\\nbreak\n"', "1"), (r'"the end is \"so\""', "0")]
    read = rows_of(write(tmp_path / "a.csv", rows))
    assert read[-2:] == [(r'He said "no, never" and a\\nbreak\n', "1"), ('the end is "so"', "0")]
    assert r"\" in a quoted field is read as a quote (row 42" in caplog.text


def test_quotes_after_a_blank(tmp_path: Path, caplog):
    rows = [(f'"{text}, it is ""so"""', f' "{label}"') for text, label in ROWS]
    assert rows_of(write(tmp_path / "a.csv", rows)) == [(f'{text}, it is "so"', label) for text, label in ROWS]
    assert "blanks after a delimiter are dropped" in caplog.text
    caplog.clear()
    rows = [(f" {text}", label) for text, label in ROWS]
    assert rows_of(write(tmp_path / "a.csv", rows)) == rows and not caplog.records


def test_an_unbalanced_quote(tmp_path: Path, caplog):
    rows = [*ROWS[:20], ('"never closed', "1"), *ROWS[20:]]
    assert rows_of(write(tmp_path / "a.tsv", rows)) == rows
    assert "quotes are read as characters, because they do not delimit fields (row 22" in caplog.text
    with pytest.raises(DataError, match=r"a\.csv, row 22: unexpected end of data"):
        rows_of(write(tmp_path / "a.csv", rows))
