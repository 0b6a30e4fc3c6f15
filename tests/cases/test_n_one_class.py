"""Case N: what `evaluate` accepts: one class, other classes, rows without labels, rows that the run has seen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from text_uda import TrainSettings, load, split, train
from text_uda.cli import main
from text_uda.objectives import PiModel, Supervised

CLASSES = ("neg", "pos")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.jsonl"
    rows = [{"text": f"a {word} film number {number}", "label": word} for number in range(40) for word in CLASSES]
    return write(path, rows)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, precision="fp32")
    out = tmp_path_factory.mktemp("trained") / "run"
    train(split(load(data), labels=8, dev=6, seed=0), objectives=(Supervised(),), settings=settings, out=out)
    return out


@pytest.fixture
def evaluate(trained: Path) -> Callable[..., Result]:
    def call(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["evaluate", str(trained), *map(str, words)])
        assert result.exit_code == code, result.output
        return result

    return call


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def record(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("rows", ["all", "test"])
def test_one_class_is_enough(evaluate, tmp_path, rows):
    new = write(tmp_path / "new.jsonl", [{"text": f"a new film, {i}", "label": "pos"} for i in range(30)])
    words = evaluate(new, "--rows", rows).stdout
    assert "error" in words and ("all 30 labeled rows" in words) == (rows == "all")
    result = record(evaluate(new, "--rows", rows, "--json"))
    assert result["rows"] == (30 if rows == "all" else 6)
    assert sum(result["confusion"][0]) == 0 and 0 <= result["test_error"] <= 100
    low, high = result["test_error_interval"]
    assert low <= result["test_error"] <= high


def test_a_class_of_another_data_set_is_refused_with_its_row(evaluate, tmp_path):
    new = write(tmp_path / "new.jsonl", [{"text": "a", "label": "pos"}, {"text": "b", "label": "meh"}])
    said = evaluate(new, "--rows", "all", code=2).stderr
    assert "row 2" in said and "'meh'" in said and "neg, pos" in said


def test_rows_without_a_label_are_left_out_and_counted(evaluate, tmp_path):
    rows = [{"text": f"film {i}", "label": label} for i, label in enumerate(["pos", None, "neg", " ", ""])]
    new = write(tmp_path / "new.jsonl", rows)
    assert "3 rows have no label and are left out" in evaluate(new, "--rows", "all").stdout
    result = record(evaluate(new, "--rows", "all", "--json"))
    assert (result["rows"], result["unlabeled_rows"]) == (2, 3)
    nothing = write(tmp_path / "nothing.jsonl", [{"text": "a film", "label": None}])
    assert "text-uda predict" in evaluate(nothing, "--rows", "all", code=2).stderr
    damaged = write(tmp_path / "damaged.jsonl", [*rows, {"text": "a film", "label": float("nan")}])
    assert "row 6: no label in 'label' (it is NaN)" in evaluate(damaged, "--rows", "all", code=2).stderr


def test_a_file_without_labels_is_sent_to_predict(evaluate, tmp_path):
    new = write(tmp_path / "new.jsonl", [{"text": "a film", "id": 1}])
    assert "text-uda predict" in evaluate(new, "--rows", "all", code=2).stderr


def test_the_rows_are_named_and_the_ones_of_training_are_counted(evaluate, data, trained):
    words = evaluate(data).stdout
    assert f"the test fifth of {data}: 16 of 80 labeled rows; --rows all for every row" in words
    assert "seen in training" not in words
    words = evaluate(data, "--rows", "all").stdout
    assert "seen in training: 8 with their labels, 6 to select the weights; on new rows" in words
    assert record(evaluate(data, "--rows", "all", "--json"))["seen_rows"] == {"labeled": 8, "dev": 6, "unlabeled": 0}
    result = json.loads((trained / "result.json").read_text())
    same = record(evaluate(data, "--json"))
    assert same["test_error"] == result["test_error"] and same["last_test_error"] == result["last_test_error"]


def test_unlabeled_texts_count_as_seen_where_the_run_read_them(data, tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, precision="fp32")
    objectives = (Supervised(), PiModel())
    train(split(load(data), labels=8, dev=6, seed=0), objectives=objectives, settings=settings, out=tmp_path / "run")
    words = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run"), str(data), "--rows", "all"]).stdout
    assert "seen in training: 8 with their labels, 6 to select the weights, 50 without labels" in words
    (tmp_path / "run" / "seen_texts.npz").unlink()  # as an earlier version left it
    words = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run"), str(data), "--rows", "all"]).stdout
    assert "unknown whether the run has seen these rows" in words


def test_both_files_count_with_all_rows(evaluate, data, tmp_path):
    test = write(tmp_path / "test.jsonl", [{"text": f"a late film, {i}", "label": "neg"} for i in range(3)])
    assert record(evaluate(data, "--test", test, "--json"))["rows"] == 3
    assert record(evaluate(data, "--test", test, "--rows", "all", "--json"))["rows"] == 83


def test_a_limit_changes_which_rows_count_and_nothing_else(evaluate, tmp_path):
    new = write(tmp_path / "new.jsonl", [{"text": f"a new film, {i}", "label": "pos"} for i in range(30)])
    assert "10 rows (--limit) of all 30 labeled rows" in evaluate(new, "--rows", "all", "--limit", 10).stdout
    assert record(evaluate(new, "--rows", "all", "--limit", 10, "--json"))["rows"] == 10
    assert record(evaluate(new, "--limit", 10, "--json"))["rows"] == 6
    assert record(evaluate(new, "--test", new, "--limit", 10, "--rows", "all", "--json"))["rows"] == 20


def test_a_limit_takes_the_rows_that_load_takes(data):
    from text_uda.data.evaluation_rows import file_rows, limited

    assert limited(file_rows(data, CLASSES, part="test"), 5).rows == load(data, limit=5).test


def test_unlabeled_texts_are_no_rows_to_evaluate(evaluate, data):
    assert "--unlabeled" in evaluate(data, "--unlabeled", data, code=2).stderr
