"""Memory grows with a row, not with the file; messages stay readable whatever the number of names in them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_uda.data import delimited, json_records, plain_text
from text_uda.data.files import read_labeled
from text_uda.data.tables import open_table
from text_uda.errors import DataError, listed


@pytest.fixture(autouse=True)
def small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a row had at most 10,000 bytes, and a block 1,000."""
    for module in (plain_text, delimited, json_records):
        monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    monkeypatch.setattr(plain_text, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(json_records, "_BLOCK_CHARACTERS", 1000)


def refusal(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        list(open_table(path).records())
    return str(refused.value)


@pytest.mark.parametrize("last", ["", 'the end",good\n'])
def test_an_unclosed_quote_is_named_before_the_file_is_read(tmp_path, monkeypatch, last):
    read: list[str] = []
    original = plain_text.PlainText.open

    def counted(text: plain_text.PlainText):
        file = original(text)

        class Lines:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __iter__(self) -> Iterator[str]:
                for line in file:
                    read.append(line)
                    yield line

            def read(self, count: int) -> str:
                return file.read(count)

        return Lines()

    monkeypatch.setattr(plain_text.PlainText, "open", counted)
    rows = [f"the text of row {n},{'good' if n % 2 else 'bad'}\n" for n in range(20_000)]
    rows[500] = f'"{rows[500]}'
    message = refusal(tmp_path / "open.csv", "text,label\n" + "".join(rows) + last)
    assert "row 502: a field of more than" in message and "a quote that is not closed" in message
    assert len(read) < len(rows), "all passes together read less than the file"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt"])
def test_a_line_that_is_too_long_is_named(tmp_path, suffix):
    long = "word " * 3000
    lines = (
        [json.dumps({"text": text}) for text in ("one", long, "two")] if suffix == "jsonl" else ["text", long, "two"]
    )
    message = refusal(tmp_path / f"long.{suffix}", "\n".join(lines) + "\n")
    assert "row 2: a line of more than" in message and len(message) < 300


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_many_short_lines_are_no_long_line(tmp_path, end):
    path = tmp_path / "short.csv"
    path.write_bytes(("text,label\n" + "a text,good\n" * 3000).replace("\n", end).encode())
    assert len(list(open_table(path).records())) == 3000


def test_a_row_of_an_array_without_end_is_named(tmp_path):
    rows = [json.dumps({"text": f"text {n}"}) for n in range(2000)]
    rows[3] = '{"text": "text 3'
    message = refusal(tmp_path / "open.json", "[" + ",\n".join(rows) + "]")
    assert "row 4: " in message
    rows[3] = '{"text": [' + "[1], " * 5000
    assert "row 4: no end within" in refusal(tmp_path / "open.json", "[" + ",\n".join(rows) + "]")


def test_a_header_of_many_columns(tmp_path, monkeypatch):
    names = [f"column-{n}" for n in range(40_000)]
    path = tmp_path / "wide.csv"
    monkeypatch.setattr(plain_text, "MOST_BYTES", 1 << 24)
    row = ",".join(["a text"] * len(names)) + "\n"
    message = refusal(path, ",".join([*names, names[-1]]) + "\n" + row)
    assert "column 'column-39999' occurs twice" in message
    path.write_text(",".join(names) + "\n" + row * 50, encoding="utf-8")
    table = open_table(path)
    blocks = delimited.row_blocks(plain_text.check_plain_text(path), delimited._Dialect(",", False), "quoted")
    assert max(len(block) * len(names) for block in blocks) <= delimited._MOST_CELLS
    assert len(table.columns) == 40_000
    with pytest.raises(DataError, match="and 39,980 more") as refused:
        list(read_labeled(table, text_column="other", label_column="column-1"))
    assert len(str(refused.value)) < 600


def test_a_label_beside_very_many_classes(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("text,label\na text,none of them\n", encoding="utf-8")
    classes = [f"class {n}" for n in range(100_000)]
    with pytest.raises(DataError, match="and 99,980 more") as refused:
        list(read_labeled(path, text_column=None, label_column=None, classes=classes))
    assert len(str(refused.value)) < 600


def test_names_are_cut():
    assert listed([]) == "none" and listed(["a", "b"]) == "a, b"
    assert listed(["a" * 100], most=3) == "a" * 60 + "…"
    assert listed(range(5), most=3) == "0, 1, 2 and 2 more"
