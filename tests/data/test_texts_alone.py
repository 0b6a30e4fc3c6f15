"""Texts without labels: lines of a file or of standard input, files without a label column, rows without a label."""

import gzip
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from text_uda.cli import main
from text_uda.data import load, split
from text_uda.data.lines import decoded_lines
from text_uda.data.text_table import TextTable
from text_uda.errors import DataError


def run(*words: object, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=input)


def last(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_one_text_a_line(tmp_path: Path, ends: str, caplog):
    path = tmp_path / "texts.txt"
    path.write_bytes(ends.join(["\ufefffirst, one", "", 'the "second"\tone', "  ", "first, one"]).encode())
    corpus = load(path)
    assert corpus.name == "texts" and corpus.classes == () and not len(corpus.train) and not len(corpus.test)
    assert corpus.training_texts() == ("first, one", 'the "second"\tone')
    assert "3 texts, 1 repeated, no label column" in corpus.description
    assert "texts.txt: 2 blank lines are left out (the first is row 2)" in caplog.text


def test_packed_and_utf16_lines(tmp_path: Path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"eins\nzwei\n"))
    (tmp_path / "b.txt").write_bytes("eins\nzwölf\n".encode("utf-16"))
    assert load(tmp_path / "a.txt.gz").unlabeled == ("eins", "zwei") and load(tmp_path / "a.txt.gz").name == "a"
    assert load(tmp_path / "b.txt").unlabeled == ("eins", "zwölf")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"fine\nna\xefve\n", r"(row|line) 2: byte .*0xef.* is not UTF-8"),
        (b"fine\nn\0l\n", "(row|line) 2: a NUL"),
        (b'\n \n{"text": "a"}\n', "row 3: a JSON object, not a text"),
        (b'{"text": "a"}\n', "row 1: a JSON object, not a text; use a file whose name ends in .jsonl"),
    ],
)
def test_lines_that_are_no_texts(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.txt")
    result = run("data", "-", input=content)
    assert result.exit_code == 2 and re.search(message, result.stderr)


def test_standard_input_is_paraphrased(tmp_path: Path):
    words = ("paraphrase", "-", "--method", "aeda", "--cache", tmp_path / "cache", "--json")
    record = last(run(*words, input="one text here\n\nanother text\none text here\n"))
    assert (record["texts"], record["made"]) == (2, 2)


def test_a_file_without_a_label_column(tmp_path: Path):
    path = tmp_path / "tickets.csv"
    path.write_text("id,text,Kategorie\n1,it is broken,a\n2,it works,b\n3,who knows,a\n")
    result = run("data", path)
    assert (
        "no label column; columns: id, text, Kategorie" in result.stdout
        and "no test rows are held out" in result.stdout
    )
    said = run("paraphrase", path, "--method", "tfidf", "--cache", tmp_path / "cache")
    assert said.exit_code == 0 and "3 distinct texts without labels; no test rows are held out" in said.stdout
    refused = run("train", path, "--labels", 2, "--out", tmp_path / "run")
    assert refused.exit_code == 2 and "(--label-column), or give a file with labels as DATA" in refused.stderr
    assert "columns: id, text, Kategorie" in refused.stderr
    (tmp_path / "config.json").write_text('{"data": {"classes": ["a", "b"]}}')
    evaluated = run("evaluate", tmp_path, path)
    assert evaluated.exit_code == 2 and "has no column of labels; it has: id, text, Kategorie" in evaluated.stderr
    studied = run("ablate", "table2", "--data", path, "--out", tmp_path / "study")
    assert studied.exit_code == 2 and "has texts and no labels" in studied.stderr
    with pytest.raises(DataError, match="has texts and no labels"):
        split(load(path), labels=2, seed=0)


def test_text_column_alone(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\nfirst,x\nsecond,y\n")
    assert load(path, text_column="b").unlabeled == ("x", "y")
    path.write_text("anything\nfirst\nsecond\n")
    assert load(path, text_column="anything").unlabeled == ("first", "second")


@pytest.mark.parametrize("content", ["text,label\na b,pos\nc d,pos\n", "text,label\na b,pos\nc d,neg\n"])
def test_labels_that_make_no_task_do_not_stop_who_needs_texts(tmp_path: Path, content: str):
    path = tmp_path / "a.csv"
    path.write_text(content)
    result = run("paraphrase", path, "--method", "aeda", "--cache", tmp_path / "cache", "--json")
    assert last(result)["texts"] == 2 and "This verb needs no labels: it takes all texts" in result.stderr
    assert run("data", path).exit_code == 2


def test_rows_without_a_label_are_unlabeled(tmp_path: Path, caplog):
    rows = [f"text number {n},{'ab'[n % 2] if n < 60 else ('', ' ')[n % 2]}" for n in range(100)]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "\n".join([*rows, "text number 3!,"]) + "\n")
    corpus = load(path)
    assert len(corpus.train) + len(corpus.test) == 60
    assert {f"text number {n}" for n in range(60, 100)} <= {*corpus.unlabeled}
    assert "a.csv: 41 of 101 rows have no label (the first is row 62): they are unlabeled texts" in caplog.text
    held = {*corpus.test.texts}
    assert ("text number 3!" in corpus.unlabeled) == ("text number 3" not in held), (
        "no copy of a test row is trained on"
    )
    parts = split(corpus, labels=10, seed=0)
    assert {f"text number {n}" for n in range(60, 100)} <= {*parts.unlabeled}
    (tmp_path / "blank.csv").write_text("text,label\nfirst,\nsecond,\n")
    assert load(tmp_path / "blank.csv").unlabeled == ("first", "second")


@pytest.mark.parametrize("side", ["test", "dev"])
def test_test_and_development_rows_need_a_label(tmp_path: Path, side: str):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(20)))
    (tmp_path / "side.csv").write_text("text,label\nfirst,1\nsecond,\n")
    with pytest.raises(DataError, match=r"side\.csv, row 3: no label"):
        load(tmp_path / "a.csv", **{side: tmp_path / "side.csv"})


def test_what_is_paraphrased_is_explained(tmp_path: Path):
    path = tmp_path / "a.csv"
    rows = [f"it is number {n}.,{n % 2}" for n in range(20)]
    path.write_text("text,label\n" + "\n".join([*rows, rows[0], rows[1]]) + "\n")
    result = run("paraphrase", path, "--method", "aeda", "--cache", tmp_path / "cache")
    assert "a: 16 texts of the training side (16 with labels, 0 without; not 4 test rows" in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"a text\n", mtime=0), "is a gzip file, not lines of text; name the file itself"),
        ("a text\n".encode("utf-16"), "is UTF-16; convert it first"),
    ],
)
def test_standard_input_that_is_another_file(content: bytes, message: str):
    result = run("data", "-", input=content)
    assert result.exit_code == 2 and message in result.stderr


def test_standard_input_and_a_file_have_the_same_lines(tmp_path: Path):
    """A lone carriage return ends a line of both."""
    content = "\ufeffone text\r\nanother\rthe last".encode()
    (tmp_path / "a.txt").write_bytes(content)
    texts = ("one text", "another", "the last")
    assert load(tmp_path / "a.txt").unlabeled == tuple(decoded_lines(io.BytesIO(content), "<stdin>")) == texts


def test_a_text_file_that_is_missing_or_empty(tmp_path: Path):
    (tmp_path / "empty.txt").touch()
    for read in (lambda path: load(path), lambda path: load(["one text"], unlabeled=path)):
        with pytest.raises(DataError, match=r"missing\.txt cannot be read \(No such file"):
            read(tmp_path / "missing.txt")
        with pytest.raises(DataError, match=r"empty\.txt is empty; give one text a line"):
            read(tmp_path / "empty.txt")


def test_text_files_of_a_folder_and_a_pattern(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three\n")
    for source in (tmp_path, tmp_path / "*.txt"):
        assert load(source).unlabeled == ("one", "two", "three")
    assert len(TextTable.open(tmp_path / "a.txt", None).table.columns) == 1
    (tmp_path / "c.csv").write_text("text\nfour\n")  # beside a table, a .txt is its description
    assert load(tmp_path).unlabeled == ("four",)
