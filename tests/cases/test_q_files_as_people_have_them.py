"""Case Q: compressed files, folders, patterns, other delimiters, no header, other encodings: read, or named."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

from text_uda.data import load
from text_uda.data.files import read_labeled, read_texts
from text_uda.data.tables import open_table
from text_uda.errors import DataError

ROWS = [
    (f"The film number {n} was {'great' if n % 2 else 'bad'}, naïve", "good" if n % 2 else "bad") for n in range(40)
]


def csv_text(rows=ROWS, *, delimiter: str = ";", header: bool = True) -> str:
    lines = [("text", "label"), *rows] if header else rows
    return "".join(f"{text}{delimiter}{label}\n" for text, label in lines)


TSV = csv_text(delimiter="\t").encode()


def rows_of(path: Path) -> list[tuple[str, str]]:
    return [(text, label) for _, text, label in read_labeled(path, text_column=None, label_column=None)]


def archive(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


PACKED = {
    "a.tsv.gz": gzip.compress(TSV, mtime=0),
    "A.TSV.GZ": gzip.compress(TSV[:100], mtime=0) + gzip.compress(TSV[100:], mtime=0),
    "a.tsv.bz2": bz2.compress(TSV),
    "a.tsv.xz": lzma.compress(TSV),
    "a.tsv.zst": pa.compress(TSV, "zstd", asbytes=True),
    "a.tsv.zip": archive(**{"a.tsv": TSV, "__MACOSX/._a.tsv": b"x"}),
    "a.zip": archive(**{"inner.tsv": TSV}),
    "without-ending.tsv": gzip.compress(TSV, mtime=0),
}


@pytest.mark.parametrize("name", PACKED)
def test_compressed_files(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(PACKED[name])
    assert rows_of(tmp_path / name) == ROWS
    corpus = load(tmp_path / name)
    assert corpus.name.lower() == name.split(".")[0].lower() and len(corpus.train) + len(corpus.test) == 40


@pytest.mark.parametrize("name", ["a.tsv.gz", "a.tsv.bz2", "a.tsv.xz", "a.tsv.zst", "a.tsv.zip"])
def test_an_incomplete_compressed_file(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(PACKED[name][:-30])
    with pytest.raises(DataError, match=f"{name}: the .* file is damaged or incomplete"):
        rows_of(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", archive(**{"a.csv": b"x", "b.csv": b"x"}), "zip archive of 2 files"),
        ("a.csv", archive(**{"xl/workbook.xml": b"x"}), "is a spreadsheet; save the sheet as csv"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "is a spreadsheet, .* save the sheet as csv"),
        ("a.ods", b"PK", "is a spreadsheet, .* save the sheet as csv"),
        ("a.gz", gzip.compress(TSV, mtime=0), "file name has to end in one of"),
        ("a.parquet.gz", gzip.compress(TSV, mtime=0), "a packed Parquet file"),
        ("a.csv", csv_text().encode("utf-16")[:-1], "begins like UTF-16 and is not"),
        ("a.csv", csv_text().encode("latin1"), "row 2: byte 0xef is not UTF-8.*iconv -f latin1"),
        ("a.csv", "text,label\n“so”,good\n".encode("cp1252"), "row 2: byte 0x93 .*iconv -f windows-1252"),
        ("a.csv", csv_text().encode() + b"caf\xe9;good\n", "row 42: byte 0xe9 .* earlier rows are"),
        ("a.csv", csv_text().encode() + b"too;many;fields\n", "row 42: 3 fields where the header has 2.*a semicolon"),
        (
            "a.json",
            json.dumps({"text": ["a"], "label": ["b"]}).encode(),
            "one JSON object with text, label, not a list",
        ),
        ("a.json", json.dumps({"data": []}, indent=1).encode(), "one JSON object over several lines"),
        ("a.json", json.dumps([{"text": "a", "label": 1}] * 9)[:-9].encode(), "row 9: not JSON"),
        ("a.json", b'[{"text": "a"}] x', "more after the array"),
        ("a.json", b"[1]", "row 1: not an object"),
        ("a.json", b"[]", "is empty"),
        ("a.csv", b"text;x\n", "has a header and no rows|which column"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        rows_of(tmp_path / name)


def test_a_spreadsheet_that_is_not_there_is_no_unknown_data_set():
    with pytest.raises(DataError, match=r"tickets\.xlsx is a spreadsheet.*save the sheet as csv"):
        load("tickets.xlsx")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings_that_a_file_shows(tmp_path: Path, encoding: str):
    (tmp_path / "a.tsv").write_bytes(csv_text(delimiter="\t").encode(encoding))
    assert rows_of(tmp_path / "a.tsv") == ROWS
    (tmp_path / "a.jsonl").write_bytes(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS).encode(encoding)
    )
    assert rows_of(tmp_path / "a.jsonl") == ROWS


@pytest.mark.parametrize(("end", "name"), [("\r\n", "a.TSV"), ("\r", "a.tsv")])
def test_line_ends(tmp_path: Path, end: str, name: str):
    (tmp_path / name).write_bytes(TSV.replace(b"\n", end.encode()))
    assert rows_of(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("name", "delimiter", "word"),
    [("a.csv", ";", "semicolon"), ("a.csv", "|", "vertical bar"), ("a.csv", "\t", "tab"), ("a.tsv", ";", "semicolon")],
)
def test_other_delimiters(tmp_path: Path, caplog, name: str, delimiter: str, word: str):
    (tmp_path / name).write_text(csv_text(delimiter=delimiter), "utf-8")
    assert rows_of(tmp_path / name) == ROWS
    assert f"{name}: the columns are separated by a {word} (not by a " in caplog.text
    (tmp_path / name).write_text(f"sep={delimiter}\n{csv_text(delimiter=delimiter)}", "utf-8")
    assert rows_of(tmp_path / name) == ROWS


def test_usual_delimiters_are_not_mentioned(tmp_path: Path, caplog):
    (tmp_path / "a.csv").write_text(
        "text,label\n" + "".join(f'"{text}; {n}",{n % 2}\n' for n, (text, _) in enumerate(ROWS))
    )
    assert rows_of(tmp_path / "a.csv")[1] == (f"{ROWS[1][0]}; 1", "1") and not caplog.records


@pytest.mark.parametrize(
    "line", ['"{label}","{text}"', '"{label}","the title {n}","{text}"', "{n},{label},{text}"], ids=["2", "3", "ids"]
)
def test_a_file_without_header(tmp_path: Path, caplog, line: str):
    texts = [text.replace(",", " -") for text, _ in ROWS]
    lines = (line.format(label=n % 2 + 1, text=text, n=n) for n, text in enumerate(texts))
    (tmp_path / "a.csv").write_text("\n".join(lines), "utf-8")
    assert rows_of(tmp_path / "a.csv") == [(text, str(n % 2 + 1)) for n, text in enumerate(texts)]
    assert "a.csv: row 1 is read as data" in caplog.text


def test_a_header_of_other_words(tmp_path: Path, caplog):
    (tmp_path / "a.csv").write_text(csv_text([("Rezension", "Urteil"), *ROWS], header=False), "utf-8")
    read = read_labeled(tmp_path / "a.csv", text_column="Rezension", label_column="Urteil")
    assert [(text, label) for _, text, label in read] == ROWS
    with pytest.raises(DataError, match=r"It has: Rezension, Urteil.*or write a header"):
        rows_of(tmp_path / "a.csv")


def test_a_single_column_without_header_says_that_its_first_row_is_lost(tmp_path: Path, caplog):
    (tmp_path / "a.csv").write_text("I saw this film.\nIt was good.\n")
    assert list(read_texts(tmp_path / "a.csv", text_column=None)) == ["It was good."]
    assert "row 1 ('I saw this film.') is read as the name of the column, not as a text" in caplog.text


def test_files_joined_with_their_headers(tmp_path: Path, caplog):
    (tmp_path / "a.tsv").write_bytes(TSV + TSV)
    assert rows_of(tmp_path / "a.tsv") == [*ROWS, *ROWS]
    assert "a.tsv, row 42: the header occurs again; the row is left out" in caplog.text


def test_brackets_in_a_name(tmp_path: Path):
    """A browser saves a second download so."""
    (tmp_path / "reviews[1].tsv").write_bytes(TSV)
    corpus = load(tmp_path / "reviews[1].tsv")
    assert corpus.name == "reviews[1]" and len(corpus.train) + len(corpus.test) == 40


def test_columns_that_differ_by_case(tmp_path: Path):
    (tmp_path / "a.csv").write_text("Text,TEXT,label\nfine,dull,good\n")
    with pytest.raises(DataError, match=r"which column is the text\? It has: Text, TEXT, label"):
        rows_of(tmp_path / "a.csv")


def test_empty_columns_of_a_spreadsheet(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label,,\nfine,good,,\ndull,bad,,\n")
    assert rows_of(tmp_path / "a.csv") == [("fine", "good"), ("dull", "bad")]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_an_array_of_objects(tmp_path: Path, name: str, indent: int | None):
    (tmp_path / name).write_text(json.dumps([{"text": text, "label": label} for text, label in ROWS], indent=indent))
    assert rows_of(tmp_path / name) == ROWS


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "2.tsv").write_bytes(csv_text(ROWS[20:], delimiter="\t").encode())
    (folder / "1.tsv.gz").write_bytes(gzip.compress(csv_text(ROWS[:20], delimiter="\t").encode()))
    (folder / "readme.md").write_text("x")
    return folder


@pytest.mark.parametrize("pattern", ["reviews", "reviews/*.tsv*"])
def test_a_folder_and_a_pattern_are_one_table(tmp_path: Path, caplog, pattern: str):
    folder = folder_of(tmp_path)
    assert rows_of(tmp_path / pattern) == ROWS
    assert "2 files are read as one table, from 1.tsv.gz to 2.tsv" in caplog.text
    assert load(tmp_path / pattern).name == "reviews"
    (folder / "2.tsv").write_text("label\ttext\ngood\tfine\nbad\t\n")
    with pytest.raises(DataError, match=r"2\.tsv, row 3: the text .* is empty"):
        rows_of(tmp_path / pattern)
    (folder / "2.tsv").write_text("stars\ttext\n1\tfine\n")
    with pytest.raises(DataError, match=r"2\.tsv has other columns than .*1\.tsv\.gz \(not in both: label, stars\)"):
        rows_of(tmp_path / pattern)


def test_folders_that_are_no_table(tmp_path: Path):
    (tmp_path / "pos").mkdir()
    with pytest.raises(DataError, match=r"is a folder without a file in \.csv.*it holds pos"):
        load(tmp_path)
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text(csv_text(), "utf-8")
    with pytest.raises(DataError, match=r"files of several splits.*--test"):
        load(tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        load(f"{tmp_path}/*.nothing")


def test_a_folder_that_datasets_saved(tmp_path: Path):
    rows = Dataset.from_list([{"text": text, "label": label} for text, label in ROWS])
    rows.save_to_disk(tmp_path / "one")
    DatasetDict(train=rows, test=rows.select(range(5))).save_to_disk(tmp_path / "two")
    assert rows_of(tmp_path / "one") == ROWS and rows_of(tmp_path / "two" / "train") == ROWS
    assert load(tmp_path / "two").test.texts == tuple(text for text, _ in ROWS[:5])


def test_rows_are_counted(tmp_path: Path):
    from click.testing import CliRunner

    from text_uda.cli import main

    held = load_tsv(tmp_path).test
    extra = [*[ROWS[0]] * 3, ("fine", "good")]
    (tmp_path / "a.tsv").write_text(csv_text([*ROWS, *extra], delimiter="\t"), "utf-8")
    (tmp_path / "test.tsv").write_text(csv_text([(f"{ROWS[1][0]}!", "good")], delimiter="\t"), "utf-8")
    assert len(held)
    output = CliRunner().invoke(main, ["data", str(tmp_path / "a.tsv"), "--test", str(tmp_path / "test.tsv")]).output
    assert "45 labeled rows read: 40 for training, 1 for test, 4 unused" in output
    assert "unused     4 rows: 3 repeat a training text, 1 equal a test or development text but for case" in output


def load_tsv(tmp_path: Path):
    (tmp_path / "a.tsv").write_bytes(TSV)
    return load(tmp_path / "a.tsv")


def written(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_the_only_named_column_is_read(tmp_path: Path):
    path = written(tmp_path / "a.csv", ",,text\n1,x,fine\n2,y,dull\n")
    assert list(load(path).unlabeled) == ["fine", "dull"]
    assert list(open_table(written(tmp_path / "b.csv", ",text,\n,fine,\n")).records()) == [(2, {"text": "fine"})]


def test_columns_without_a_name_stay_if_they_hold_something(tmp_path: Path, caplog):
    table = open_table(written(tmp_path / "a.csv", "id,text,,,\n1,fine,n1,m1,\n2,dull,,m2,\n"))
    assert [fields for _, fields in table.records()] == [
        {"id": "1", "text": "fine", "column 3": "n1", "column 4": "m1"},
        {"id": "2", "text": "dull", "column 3": "", "column 4": "m2"},
    ]
    assert "columns without a name that are not blank are called column 3, column 4" in caplog.text


def test_rows_are_counted_as_a_spreadsheet_counts_them(tmp_path: Path):
    """A text with line breaks is in one row; a blank line counts."""
    rows = ['"a\nb\nc",good', "fine,bad", '"two\nlines",good', "", " ,bad", "x,good", ",bad", "y,good"]
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"data\.csv, row 6: the text \('text'\) is empty or blank; so are 2 of 7 rows"):
        load(path)
    path.write_text("text,label\n" + '"a\nb",good\n' * 3 + "fine,zzz\n")
    with pytest.raises(DataError, match=r"data\.csv, row 5: label 'zzz' is not one of the classes"):
        list(read_labeled(path, text_column=None, label_column=None, classes=["good"]))


def test_a_column_that_is_mostly_blank_is_asked_about(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + ",good\n" * 3 + "fine,bad\n")
    with pytest.raises(DataError, match=r"so are 3 of 4 rows: is it the right --text-column\?"):
        load(path)
