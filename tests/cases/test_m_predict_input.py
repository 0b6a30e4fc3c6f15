"""Case M: what `predict` reads: JSON lines are not classified as their source, no row is lost."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from text_uda import TrainSettings, load, split, train
from text_uda.cli import main
from text_uda.data.text_table import TextTable
from text_uda.objectives import Supervised

JSON_LINES = '{"id": 7, "text": "great film\\nbut long"}\n{"id": 8, "text": "awful room"}\n'
CLASSES = ("bad", "good")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    rows = [f"{number},a {word} film number {number},{word}" for number in range(30) for word in CLASSES]
    (folder / "data.csv").write_text("id,text,label\n" + "\n".join(rows) + "\n")
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, precision="fp32")
    data = split(load(folder / "data.csv"), labels=8, seed=0)
    train(data, objectives=(Supervised(),), settings=settings, out=folder / "run")
    return folder / "run"


@pytest.fixture
def predict(trained: Path) -> Callable[..., Result]:
    def call(*words: object, input: bytes | str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["predict", str(trained), *map(str, words)], input=input)
        assert result.exit_code == code, result.output
        return result

    return call


def answers(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_lines_on_standard_input_keep_ids_and_line_breaks(predict):
    result = predict(input=JSON_LINES)
    rows = answers(result)
    assert [(row["id"], row["text"]) for row in rows] == [(7, "great film\nbut long"), (8, "awful room")]
    assert all(row["label"] in CLASSES and set(row["probabilities"]) == set(CLASSES) for row in rows)
    assert "line 1 is a JSON object" in result.stderr and "'text'" in result.stderr


def test_the_answer_is_of_the_text_not_of_its_json(predict):
    plain = answers(predict(input="awful room\n"))
    assert answers(predict(input=JSON_LINES))[1]["probability"] == pytest.approx(plain[0]["probability"], abs=1e-5)


def test_a_text_that_begins_with_a_brace_stays_a_text(predict):
    result = predict(input="{sic} a good film\na bad one\n")
    assert len(answers(result)) == 2 and "is no JSON object" in result.stderr


def test_the_header_of_a_table_on_standard_input_is_pointed_out(predict):
    assert "looks like the header of a table" in predict(input="id,text\n1,a good film\n").stderr
    assert "<stdin>" not in predict(input="text, and more of it, on a film!\n").stderr


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        ('{"body_of_it": "a film"}\n', (), "which field is the text? body_of_it"),
        ('{"text": "a film"}\nnot json\n', (), "line 2: not a JSON object"),
        ('{"text": "a film"}\n{"text": 5}\n', (), "line 2: 'text' is 5, not a text"),
        ('{"text": "a film"}\n{"text": "b", "label": "x"}\n', (), "line 2: the field 'label', which line 1 lacks"),
        ("a film\n", ("--text-column", "text"), "line 1 is not a JSON object"),
    ],
)
def test_bad_json_lines_are_named_after_the_answers_before_them(predict, lines, words, said):
    result = predict(*words, input=lines, code=2)
    assert said in result.stderr
    assert len(answers(result)) == lines.count("\n") - 1


def test_fields_named_as_the_answer_are_not_overwritten(predict):
    (row,) = answers(predict("--text-column", "words", input='{"words": "a film", "label": "mine"}\n'))
    assert row["label"] == "mine" and row["predicted_label"] in CLASSES


def test_a_blank_line_is_answered_and_counted(predict):
    result = predict(input="good\n\nbad\n  \n")
    rows = answers(result)
    assert [row["label"] is None for row in rows] == [False, True, False, True]
    assert rows[1]["probability"] is None and "2 texts are blank (the first: <stdin>, line 2)" in result.stderr


TABLE = [
    {"id": "7", "text": "great film\nbut long", "note": 'a "quoted", one'},
    {"id": "8", "text": "  ", "note": ""},
    {"id": "9", "text": "a\rb\tc", "note": "é"},
    {"id": "10", "text": "awful room", "note": "x"},
]


def write(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL
            )
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("source", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("target", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_gets_its_predictions_beside_its_columns(predict, tmp_path, source, target):
    file, out = write(tmp_path / f"in.{source}", TABLE), tmp_path / f"out.{target}"
    result = predict(file, "--out", out)
    rows = read(out)
    new = ["label", "probability", "probability_bad", "probability_good"]
    assert [list(row) for row in rows] == [["id", "text", "note", *new]] * 4
    assert [{key: row[key] for key in TABLE[0]} for row in rows] == TABLE
    assert [row["label"] or None for row in rows][1] is None and {rows[0]["label"], rows[3]["label"]} <= set(CLASSES)
    assert float(rows[0]["probability_bad"]) + float(rows[0]["probability_good"]) == pytest.approx(1, abs=1e-5)
    assert "1 rows have a blank text" in result.stdout and "4 rows" in result.stdout


def test_parquet_keeps_its_types_and_json_lines_theirs(predict, tmp_path):
    rows = [{"id": 1, "text": "a film", "tags": ["x"], "rate": 0.5, "ok": True}, {"id": 2, "text": "b", "tags": []}]
    schema = pa.schema([("id", pa.int16()), ("text", pa.large_string()), ("tags", pa.list_(pa.string()))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "in.parquet")
    predict(tmp_path / "in.parquet", "--out", tmp_path / "out.parquet")
    assert pq.read_schema(tmp_path / "out.parquet").names[:3] == schema.names
    assert [pq.read_schema(tmp_path / "out.parquet").field(name).type for name in schema.names] == schema.types
    predict(write(tmp_path / "in.jsonl", rows), "--out", tmp_path / "typed.parquet")
    assert [row["rate"] for row in pq.read_table(tmp_path / "typed.parquet").to_pylist()] == [0.5, None]
    mixed = write(tmp_path / "mixed.jsonl", [{"id": 1, "text": "a"}, {"id": "x", "text": "b"}])
    predict(mixed, "--out", tmp_path / "mixed.parquet")
    assert [row["id"] for row in pq.read_table(tmp_path / "mixed.parquet").to_pylist()] == ["1", "x"]


def test_columns_named_as_the_predictions_are_kept(predict, tmp_path):
    file = write(tmp_path / "in.csv", [{"text": "a film", "label": "mine"}])
    result = predict(file, "--out", tmp_path / "out.csv")
    (row,) = read(tmp_path / "out.csv")
    assert row["label"] == "mine" and row["predicted_label"] in CLASSES and "predicted_label" in result.stdout
    predict(tmp_path / "out.csv", "--out", tmp_path / "again.csv")
    assert list(read(tmp_path / "again.csv")[0])[:7] == [*row, "predicted_2_label"]


def test_a_file_without_out_is_answered_by_lines_in_its_order(predict, tmp_path):
    result = predict(write(tmp_path / "in.csv", TABLE))
    assert [row["id"] for row in answers(result)] == ["7", "8", "9", "10"]
    assert [row["label"] is None for row in answers(result)] == [False, True, False, False]
    assert "1 text is blank, and has the label null" in result.stderr and "row" in result.stderr


def test_a_compressed_file_is_written(predict, tmp_path):
    predict(write(tmp_path / "in.csv", TABLE), "--out", tmp_path / "out.jsonl.gz")
    predict(tmp_path / "out.jsonl.gz", "--out", tmp_path / "out.csv")
    assert [row["id"] for row in read(tmp_path / "out.csv")] == ["7", "8", "9", "10"]


def test_an_output_is_whole_or_absent_and_never_the_input(predict, tmp_path):
    file = write(tmp_path / "in.jsonl", [*TABLE, {"id": "11", "text": 5}])
    assert "row 5: 'text' is 5" in predict(file, "--out", tmp_path / "out.csv", code=2).stderr
    assert not (tmp_path / "out.csv").exists()
    before = file.read_bytes()
    assert "is the input" in predict(file, "--out", file, code=2).stderr and file.read_bytes() == before
    assert "has to end in" in predict(file, "--out", tmp_path / "out.xlsx", code=2).stderr
    assert "--out needs a FILE" in predict("--out", tmp_path / "out.csv", input="a film\n", code=2).stderr


def test_rows_are_classified_in_chunks(predict, tmp_path, monkeypatch):
    rows = [{"id": str(number), "text": "a good film " * (number % 7 + 1)} for number in range(50)]
    whole = [row["probability"] for row in answers(predict(write(tmp_path / "in.csv", rows)))]
    monkeypatch.setattr("text_uda.data.text_table.CHUNK_ROWS", 8)
    assert len(list(TextTable.open(tmp_path / "in.csv", None).chunks())) == 7
    assert [row["probability"] for row in answers(predict(tmp_path / "in.csv"))] == pytest.approx(whole, abs=1e-5)


def test_transformers_alone_gives_the_same_labels(predict, trained, tmp_path):
    from transformers import pipeline

    rows = [{"text": text} for text in ("a good film", "a bad film", "something else, and long " * 20)]
    expected = pipeline("text-classification", model=str(trained / "model"), device="cpu")(
        [row["text"] for row in rows], truncation=True
    )
    predict(write(tmp_path / "in.csv", rows), "--out", tmp_path / "out.jsonl")
    for row, own in zip(read(tmp_path / "out.jsonl"), expected, strict=True):
        assert row["label"] == own["label"] and row["probability"] == pytest.approx(own["score"], abs=1e-4)


def test_what_is_no_run_is_told_before_anything_is_loaded(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    for folder, words in (
        (tmp_path / "empty", "is not a run directory; give a folder that `text-uda train --out` wrote"),
        (tmp_path / "model", "is not a run directory"),
        (trained / "model", f"is the model of a run; give the run, {trained}"),
    ):
        for verb in (["predict"], ["pseudo-label", "x.csv", "--out", "y.csv"]):
            result = CliRunner().invoke(main, [verb[0], str(folder), *verb[1:]], input="a text\n")
            assert result.exit_code == 2 and words in result.stderr, result.stderr


def test_a_csv_with_semicolons_gives_one(predict, tmp_path):
    (tmp_path / "in.csv").write_text("id;text\n1;great, really\n2;awful\n")
    predict(tmp_path / "in.csv", "--out", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "id;text;label;probability;probability_bad;probability_good"
    assert lines[1].startswith("1;great, really;")
