"""The confident unlabeled rows, as a file to hand on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from text_uda import TrainSettings, load, pseudo_label, split, train
from text_uda.cli import main
from text_uda.data.files import read_labeled
from text_uda.errors import DataError, SettingsError
from text_uda.objectives import Supervised
from text_uda.runs.intervals import wilson_interval
from text_uda.runs.kept_predictions import dev_lines, errors_above
from text_uda.runs.prediction import predict
from text_uda.runs.seen_texts import seen_in_training

CLASSES = ("bad", "good")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    rows = [f"a {word} film number {number},{word}" for number in range(30) for word in CLASSES]
    (folder / "data.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, precision="fp32")
    train(
        split(load(folder / "data.csv"), labels=8, seed=0),
        objectives=(Supervised(),),
        settings=settings,
        out=folder / "run",
    )
    return folder / "run"


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    lines = [
        f"{number},a {'good' if number % 3 else 'bad'} film {number},{'good' if number < 4 else ''}"
        for number in range(24)
    ]
    path.write_text("id,text,label\n" + "\n".join(lines) + "\n99, ,\n")
    return path


@pytest.fixture
def command(trained: Path) -> Callable[..., Result]:
    def call(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["pseudo-label", str(trained), *map(str, words)])
        assert result.exit_code == code, result.output
        return result

    return call


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_confident_rows_keep_their_columns_and_get_label_and_probability(trained, tickets, tmp_path):
    own = {row["id"]: row for row in _predicted(trained, tickets)}
    threshold = float(np.median([row["probability"] for row in own.values()]))
    record = pseudo_label(trained, tickets, tmp_path / "out.jsonl", threshold=threshold)
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == [id for id, row in own.items() if row["probability"] >= threshold]
    assert all(row["label"] == own[row["id"]]["label"] for row in rows) and list(rows[0]) == [
        "id",
        "text",
        "label",
        "probability",
    ]
    assert 0 < len(rows) < 20 and record["rows"] == len(rows) == sum(record["per_class"].values())
    assert (record["unlabeled_rows"], record["labeled_rows"], record["blank_rows"]) == (21, 4, 1)
    assert [label for _, _, label in read_labeled(tmp_path / "out.jsonl", text_column=None, label_column=None)] == [
        row["label"] for row in rows
    ]


def _predicted(run: Path, tickets: Path) -> list[dict]:
    lines = [line.split(",") for line in tickets.read_text().splitlines()[1:]]
    rows = [{"id": id, "text": text} for id, text, label in lines if not label and text.strip()]
    return [row | answer for row, answer in zip(rows, predict(run, [row["text"] for row in rows]), strict=True)]


def test_the_most_probable_rows_of_each_class_in_their_order(trained, tickets, tmp_path):
    record = pseudo_label(trained, tickets, tmp_path / "out.jsonl", threshold=0, per_class=3)
    expected: list[dict] = []
    predictions = _predicted(trained, tickets)
    for name in CLASSES:
        rows = [row for row in predictions if row["label"] == name]
        expected += sorted(rows, key=lambda row: -float(f"{row['probability']:.6g}"))[:3]
    assert {row["id"] for row in read(tmp_path / "out.jsonl")} == {row["id"] for row in expected}
    ids = [int(row["id"]) for row in read(tmp_path / "out.jsonl")]
    assert ids == sorted(ids) and max(record["per_class"].values()) <= 3


def test_the_command_says_counts_and_the_expected_error(command, trained, tickets, tmp_path):
    said = command(tickets, "--out", tmp_path / "out.csv", "--threshold", 0.5).stdout
    dev = [json.loads(line) for line in (trained / "dev_predictions.jsonl").read_text().splitlines()]
    wrong = sum(row["label"] != row["predicted"] for row in dev)
    assert f"{wrong:,} of the {len(dev)} development rows above the threshold are wrong" in said
    assert "not calibrated" in said and "4 rows have a label already" in said and "20 of 21 unlabeled rows" in said
    said = command(tickets, "--out", tmp_path / "out.csv", "--threshold", 1).stdout
    assert "no row is probable enough" in said and "expected error is unknown" in said
    assert (tmp_path / "out.csv").read_text() == "id,text,label,probability\n"


def test_a_file_without_labels_is_unlabeled_as_a_whole(trained, tmp_path):
    (tmp_path / "texts.csv").write_text("text\na good film\na bad film\n")
    assert pseudo_label(trained, tmp_path / "texts.csv", tmp_path / "out.csv", threshold=0)["rows"] == 2


def test_a_row_is_warned_of_once(trained, tickets, tmp_path, caplog):
    tickets.write_text(tickets.read_text() + "id,text,label\n77,a last film,\n")
    record = pseudo_label(trained, tickets, tmp_path / "out.parquet", threshold=0)
    assert (record["unlabeled_rows"], record["labeled_rows"]) == (22, 4)
    assert [line.message for line in caplog.records if "the header occurs again" in line.message] == [
        f"{tickets}, row 27: the header occurs again; the row is left out"
    ]


def test_a_run_without_development_rows_says_so(trained, tickets, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "dev_predictions.jsonl").write_text("")
    words = ["pseudo-label", str(tmp_path / "run"), str(tickets), "--out", str(tmp_path / "out.csv"), "--threshold"]
    said = CliRunner().invoke(main, [*words, "0"]).stdout
    assert "the run kept no development predictions" in said and "of 0" not in said
    assert pseudo_label(tmp_path / "run", tickets, tmp_path / "out.csv", threshold=0)["dev"] is None


def test_errors(command, trained, tickets, tmp_path):
    out = tmp_path / "out.csv"
    (tmp_path / "full.csv").write_text("text,label\na film,good\n")
    with pytest.raises(DataError, match="every row has a label in 'label'"):
        pseudo_label(trained, tmp_path / "full.csv", out)
    with pytest.raises(DataError, match="is the input"):
        pseudo_label(trained, tickets, tickets)
    with pytest.raises(SettingsError, match="threshold=2"):
        pseudo_label(trained, tickets, out, threshold=2)
    with pytest.raises(SettingsError, match="per_class=0"):
        pseudo_label(trained, tickets, out, per_class=0)
    command(tickets, code=2)
    assert not out.exists()


def test_seen_texts_are_the_texts_of_the_split(trained):
    data = split(load(trained.parent / "data.csv"), labels=8, seed=0)
    seen = seen_in_training(trained, [*data.labeled.texts, *data.dev.texts, *data.unlabeled, *data.test.texts])
    assert seen is not None and not seen["unlabeled"].any()
    assert seen["labeled"].tolist() == [True] * 8 + [False] * (len(seen["labeled"]) - 8)
    assert seen["dev"].sum() == len(data.dev) and seen["dev"][8 : 8 + len(data.dev)].all()


def test_errors_above_a_threshold():
    from text_uda.data import Rows

    rows = Rows(("a", "b", "c"), (0, 1, 1))
    lines = dev_lines(rows, CLASSES, np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], dtype=np.float32)).splitlines()
    assert (
        errors_above(lines, 0.5) == (1, 3) and errors_above(lines, 0.75) == (0, 2) and errors_above(lines, 1) == (0, 0)
    )
    assert dev_lines(rows, CLASSES, None) == ""


def test_wilson_interval_by_the_formula_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for errors, rows in ((0, 10), (3, 10), (10, 10), (70, 2000)):
        low, high = stats.binomtest(errors, rows).proportion_ci(method="wilson")
        assert wilson_interval(errors, rows) == pytest.approx((100 * low, 100 * high), abs=1e-4)


def test_of_a_data_set_by_name_the_texts_whose_labels_the_run_did_not_use(trained, tmp_path, monkeypatch):
    corpus = load(trained.parent / "data.csv")
    monkeypatch.setattr("text_uda.runs.pseudo_labels.load", lambda name, **_columns: corpus)
    record = pseudo_label(trained, "someone/reviews", tmp_path / "out.jsonl", threshold=0)
    data = split(corpus, labels=8, seed=0)
    assert sorted(row["text"] for row in read(tmp_path / "out.jsonl")) == sorted(data.unlabeled)
    assert record["labeled_rows"] == len(data.labeled) + len(data.dev)
