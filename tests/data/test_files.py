"""A user's own files: read as they are, or refused with one line that names file, row and mend."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from text_uda.data import arrow_records, delimited, json_records, load, plain_text, texts
from text_uda.data.files import read_labeled, read_texts
from text_uda.data.tables import open_table
from text_uda.errors import DataError

ROWS = [('a fine, "quoted" text', "good"), ("tab\tand\nline", "bad"), ("naïve 🙂", "good")]


@pytest.fixture(autouse=True, params=["at once", "in blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these tests holds too for a file of many blocks, whose texts lie in a mapped file."""
    if request.param == "in blocks":
        for module in (plain_text, arrow_records):
            monkeypatch.setattr(module, "_BLOCK_BYTES", 7)
        for module in (delimited, arrow_records):
            monkeypatch.setattr(module, "_BLOCK_ROWS", 2)
        monkeypatch.setattr(json_records, "_BLOCK_CHARACTERS", 7)
        monkeypatch.setattr(texts, "IN_MEMORY", 10)
        monkeypatch.setattr(texts, "_BLOCK_TEXTS", 3)


def write(path: Path, rows=ROWS) -> Path:
    """The same rows in each format."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows), "utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"text": [t for t, _ in rows], "label": [y for _, y in rows]}), path)
    else:
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL)
            writer.writerows([("text", "label"), *rows])
    return path


def rows_of(path: Path, **options) -> list[tuple[str, str]]:
    read = read_labeled(path, text_column=options.get("text"), label_column=options.get("label"))
    return [(text, label) for _, text, label in read]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str):
    assert rows_of(write(tmp_path / f"a{ending}")) == ROWS


def test_a_tsv_with_bare_quotes(tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"never" again\tbad\nthe "best"\tgood\n')
    assert rows_of(path) == [('"never" again', "bad"), ('the "best"', "good")]


@pytest.mark.parametrize(
    ("labels", "expected"), [([2, 10], ["2", "10"]), ([1.0, 2.0], ["1", "2"]), ([True, False], ["True", "False"])]
)
def test_labels_are_their_text(tmp_path: Path, labels, expected):
    assert [y for _, y in rows_of(write(tmp_path / "a.jsonl", [("t1", labels[0]), ("t2", labels[1])]))] == expected


@pytest.mark.parametrize("header", ["Review,Stars", "sentence,class", " text , label ", "id,content,rating"])
def test_clear_names_are_found(tmp_path: Path, header: str):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n" + ("7," if header.startswith("id") else "") + "fine,good\n")
    assert rows_of(path) == [("fine", "good")]


def test_windows_files(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefftext,label\r\nfine,good\r\n\r\n".encode())
    assert rows_of(path) == [("fine", "good")]


BAD = {
    "a.csv": [
        ("", "is empty"),
        ("text,label\n", "no rows"),
        ("text,label\nfine\n", "row 2: 1 fields where the header has 2"),
        ("text,label\na,b,c\n", "row 2: 3 fields where the header has 2.*quote texts that hold a comma"),
        ("text,label\n ,good\n", "row 2: the text .* is empty or blank"),
        ("text,label\nfine,\n", "row 2: no label"),
        ('text,label\n"never closed,good\nfine,bad\n', "row 2: unexpected end of data.*quotes"),
        (
            'text,label\n"two\nlines",good\n\nfine,good\n"never closed,bad\n',
            r"row 5 \(line 6\): unexpected end of data",
        ),
        ("text,label\na,b\na,b\na,b\na,b\na\0,b\n", "row 6: a NUL"),
        ("text,text\na,b\n", "'text' occurs twice"),
        ("x,y\na,b\n", "which column is the text.*x, y.*--text-column"),
        ("text,label\nfine,good\nnul\0,bad\n", "row 3: a NUL"),
    ],
    "a.jsonl": [
        ('{"text": "a"\n', "row 1: not JSON"),
        ('{"text": "a", "label": 1}\n[]\n', "row 2: not an object"),
        ('{"text": 5, "label": 1}\n', "row 1: 'text' is 5, not a text"),
        ('{"text": null, "label": 1}\n', "row 1: the text"),
        ('{"text": "a", "label": [1]}\n', "row 1: no label"),
        ('{"text": "a", "label": 1}\n{"label": 1}\n', "row 2: the text"),
        ('{"text": "\\ud800 a", "label": 1}\n', "row 1: the text holds half a surrogate pair"),
    ],
    "a.parquet": [("PAR1 not really", "cannot be read as Parquet")],
    "a.xlsx": [("anything", "is a spreadsheet, .* save the sheet as csv")],
    "a.md": [("anything", "has to end in one of .csv")],
}


@pytest.mark.parametrize(("name", "content", "said"), [(name, *case) for name, cases in BAD.items() for case in cases])
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str, content: str, said: str):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=said) as error:
        rows_of(path)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_bytes_that_are_no_utf8(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n1,a\n2,a\n3,a\n\n4,a\nna\xefve,bad\n")
    with pytest.raises(DataError, match=r"a\.csv, row 7: byte 0xef is not UTF-8.*iconv"):
        rows_of(path)


def test_a_column_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match=r"no column 'review'; it has: text, label"):
        rows_of(write(tmp_path / "a.csv"), text="review")


@pytest.mark.parametrize("path", ["nowhere.csv", "folder.csv"])
def test_a_file_that_cannot_be_read(tmp_path: Path, path: str):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=path):
        rows_of(tmp_path / path)


def test_a_text_may_be_very_long(tmp_path: Path):
    long = "word " * 200_000
    assert rows_of(write(tmp_path / "a.csv", [(long, "good")]))[0][0] == long


def test_texts_alone(tmp_path: Path):
    path = tmp_path / "more.csv"
    path.write_text("anything\nfirst\nsecond\n")
    assert list(read_texts(path, text_column=None)) == ["first", "second"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_rows_come_as_they_are_read(tmp_path: Path, ending: str):
    """What is wrong far down is found when it is reached, so nothing has to be held until then."""
    rows = read_texts(write(tmp_path / f"a{ending}", [*ROWS, (" ", "blank")]), text_column=None)
    assert [next(rows) for _ in ROWS] == [text for text, _ in ROWS]
    number = 5 if ending in (".csv", ".tsv") else 4  # after a header; a text of two lines is one row
    with pytest.raises(DataError, match=f"row {number}: the text .* is empty or blank"):
        next(rows)


def test_a_column_that_only_later_rows_have(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"review": "fine"}\n\n{"text": "better", "review": "worse"}\n')
    with pytest.raises(DataError, match="row 1: the text"):
        list(read_texts(path, text_column=None))
    assert list(read_texts(path, text_column="review")) == ["fine", "worse"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_a_file_of_nothing_but_a_byte_order_mark(tmp_path: Path, ending: str):
    path = tmp_path / f"a{ending}"
    path.write_bytes("\ufeff\n".encode())
    with pytest.raises(DataError, match="is empty"):
        rows_of(path)


def many(tmp_path: Path, name: str = "a.csv", extra=()) -> Path:
    return write(tmp_path / name, [*((f"text number {n}", str(n % 3)) for n in range(60)), *extra])


def test_a_file_as_a_data_set(tmp_path: Path):
    corpus = load(many(tmp_path))
    assert corpus.name == "a" and corpus.classes == ("0", "1", "2")
    assert len(corpus.train) + len(corpus.test) == 60 and 5 <= len(corpus.test) <= 20
    assert not {*corpus.train.texts} & {*corpus.test.texts}


def test_numbers_are_ordered_as_numbers(tmp_path: Path):
    rows = [(f"text {n}", str(label)) for n, label in enumerate([10, 9, 2, -1] * 20)]
    assert load(write(tmp_path / "a.csv", rows)).classes == ("-1", "2", "9", "10")


def test_a_test_file_and_unlabeled_texts(tmp_path: Path):
    test = write(tmp_path / "test.csv", [("Text  number 3!", "0"), ("another", "1")])
    more = write(tmp_path / "more.jsonl", [("unheard of", ""), ("text number 5", "")])
    corpus = load(many(tmp_path), test=test, unlabeled=more)
    assert corpus.test.texts == ("Text  number 3!", "another")
    assert len(corpus.train) == 59 and "text number 3" not in corpus.train.texts, "but for punctuation the same text"
    assert corpus.unlabeled == ("unheard of",)
    assert len(corpus.unused) == 1


def test_a_test_file_keeps_its_rows(tmp_path: Path, caplog):
    rows = [("new", "0"), ("new", "0"), ("new", "1"), ("text number 3", "0")]
    corpus = load(many(tmp_path), test=write(tmp_path / "test.csv", rows))
    assert corpus.test.texts == ("new", "new", "new", "text number 3") and corpus.test.labels == (0, 0, 1, 0)
    assert (
        "1 rows have the text of an earlier row with another label (the first is row 4); all rows count" in caplog.text
    )


def test_a_file_too_small_for_a_test_side_needs_a_test_file(tmp_path: Path):
    """One text a class: none of them is held out, and none has to be where a test file is given."""
    path = write(tmp_path / "a.csv", [("fine", "good"), ("dull", "bad")])
    with pytest.raises(DataError, match="2 rows are too few for a training and a test side; add rows, or a --test"):
        load(path)
    corpus = load(path, test=write(tmp_path / "test.csv", [("superb", "good")]))
    assert sorted(corpus.train.texts) == ["dull", "fine"] and corpus.test.texts == ("superb",)


def test_unlabeled_near_copies_of_test_rows_are_left_out(tmp_path: Path, caplog):
    held = load(many(tmp_path)).test.texts[0]
    more = write(
        tmp_path / "more.jsonl", [(f"{held.upper()}!", ""), (held, ""), ("unheard of", ""), ("unheard of", "")]
    )
    corpus = load(many(tmp_path), unlabeled=more)
    assert corpus.unlabeled == ("unheard of",)
    assert "a: dropped 2 unlabeled texts that equal a test row" in caplog.text and len(caplog.records) == 1


def test_a_file_of_development_rows(tmp_path: Path, caplog):
    whole = load(many(tmp_path))
    train, held = whole.train.texts[0], whole.test.texts[0]
    rows = [(f"{train}!", "0"), ("new", "1"), ("new", "1"), (held.title(), "2")]
    corpus = load(many(tmp_path), dev=write(tmp_path / "dev.csv", rows))
    assert corpus.dev is not None and corpus.dev.texts == (f"{train}!", "new", "new") and corpus.test == whole.test
    assert train not in corpus.train.texts and corpus.unused.texts == (train,)
    assert "dev.csv: dropped 1 development rows (the first is row 5) with the text of a test row" in caplog.text
    with pytest.raises(DataError, match=r"dev\.csv: all of its texts are test rows"):
        load(many(tmp_path), dev=write(tmp_path / "dev.csv", rows[3:]))
    with pytest.raises(DataError, match=r"dev\.csv, row 2: label '7' is not one of the classes"):
        load(many(tmp_path), dev=write(tmp_path / "dev.csv", [("fine", "7")]))


def test_a_label_outside_the_set(tmp_path: Path):
    test = write(tmp_path / "test.csv", [("fine", "0"), ("superb", "7")])
    with pytest.raises(DataError, match=r"test\.csv, row 3: label '7' is not one of the classes \(0, 1, 2\)"):
        load(many(tmp_path), test=test)


def test_a_text_that_stands_twice_counts_once(tmp_path: Path, caplog):
    whole = load(many(tmp_path))
    trained, held = whole.train.texts[0], whole.test.texts[0]
    label, other = (str(label) for label in (whole.train.labels[0], (whole.train.labels[0] + 1) % 3))
    extra = [(trained, label), (trained, other), (held, str(whole.test.labels[0])), ("text 3", "0")]
    corpus = load(many(tmp_path, extra=extra))
    assert {*corpus.train.texts} | {*corpus.test.texts} == {*whole.train.texts, *whole.test.texts, "text 3"}
    assert corpus.train.texts.count(trained) == 1 and corpus.unused.texts == (trained, trained)
    assert corpus.test.texts.count(held) == 2, "test rows count as they stand"
    assert (
        "have the text of an earlier row with another label (the first is row 63); training uses the first"
        in caplog.text
    )
    assert len(corpus.train) + len(corpus.test) + len(corpus.unused) == 64


def test_one_class_is_no_task(tmp_path: Path):
    with pytest.raises(DataError, match="every row has the label 'good'"):
        load(write(tmp_path / "a.csv", [("a", "good"), ("b", "good")]))


def test_texts_for_labels(tmp_path: Path):
    rows = [(f"text {n}", f"label {n}") for n in range(200)]
    with pytest.raises(DataError, match="200 different labels in 200 rows"):
        load(write(tmp_path / "a.csv", rows))


def test_limit(tmp_path: Path):
    more = write(tmp_path / "more.csv", [(f"more {n}", "") for n in range(50)])
    corpus = load(many(tmp_path), limit=20)
    assert len(corpus.train) == 20 and len(corpus.test) <= 20 and corpus == load(many(tmp_path), limit=20)
    corpus = load(many(tmp_path), unlabeled=more, limit=70)
    assert len(corpus.train) + len(corpus.unlabeled) == 70


@pytest.mark.parametrize(
    ("name", "said"), [("movie-snipets", "did you mean movie-snippets"), ("xyz", "known data sets: ")]
)
def test_a_name_that_is_none(name: str, said: str):
    with pytest.raises(DataError, match=said):
        load(name)


def test_a_table_names_the_files_that_it_reads(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("text,label\ngood,1\n")
    files = (tmp_path / "a.csv", tmp_path / "b.csv")
    assert open_table(tmp_path).files == open_table(tmp_path / "*.csv").files == files
    assert open_table(files[0]).files == files[:1]


@pytest.mark.parametrize("column", ["text", "label"])
def test_parquet_with_other_bytes_than_utf8_names_the_row(tmp_path: Path, column: str):
    path = tmp_path / "a.parquet"
    values = {name: [b"caf\xc3\xa9", b"x"] * 700 for name in ("text", "label")}
    values[column][1299] = b"caf\xe9"
    pq.write_table(pa.table([other_bytes(content) for content in values.values()], names=list(values)), path)
    with pytest.raises(DataError, match=rf"a\.parquet, row 1300: '{column}' is not UTF-8 \(byte 0xe9\); decode"):
        load(path)


def other_bytes(content: list[bytes]) -> pa.Array:
    """A column of texts whose bytes nobody checked."""
    return pa.array(content, pa.binary()).view(pa.string())


def test_a_saved_data_set_with_other_bytes_than_utf8_names_the_rows(tmp_path: Path):
    import datasets

    table = pa.table({"text": other_bytes([b"caf\xc3\xa9", b"x"] * 9 + [b"caf\xe9", b"y"]), "label": ["a", "b"] * 10})
    datasets.Dataset(datasets.table.InMemoryTable(table)).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"saved, row 19: 'text' is not UTF-8 \(byte 0xe9\); decode"):
        load(tmp_path / "saved")


def test_a_parquet_file_with_a_column_name_that_is_no_utf8_is_named(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", "two"], "label": ["a", "b"]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"\x04text", b"\x04\xf4ext"))
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet \('utf-8' codec"):
        load(str(path))


def test_a_reason_as_long_as_a_file_is_cut(tmp_path: Path):
    path = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": ["one", "two"], "label": ["a", "b"]}).save_to_disk(path)
    state = json.loads((path / "state.json").read_text())
    state["_data_files"][0]["filename"] = "x" * 50_000
    (path / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="File name too long") as raised:
        load(str(path))
    assert len(str(raised.value)) < 600 + len(str(tmp_path))
