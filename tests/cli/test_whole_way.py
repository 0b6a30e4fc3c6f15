"""The command as a user types it, on three classes of reviews of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from forked import finished as text_uda

from translation_cache import Cache

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(reviews, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "cache"
    done = text_uda("paraphrase", reviews, "--method", "synonym", "--cache", folder, "--rate", 0.3)
    assert "texts of the training side" in done.stdout and f"text-uda cache show {folder}" in done.stdout
    return folder


@pytest.fixture(scope="module")
def trained(reviews, cache, tiny_bert, tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("runs") / "uda"
    words = ["train", reviews, "--labels", 12, "--augment", "synonym", "--rate", 0.3, "--cache", cache]
    words += [
        "--encoder",
        tiny_bert,
        "--steps",
        8,
        "--evaluate-every",
        4,
        "--checkpoint-every",
        4,
        "--out",
        folder,
    ]
    words += [
        "--temperature",
        0.8,
        "--lambda",
        0.5,
        "--ramp-up",
        0.5,
        "--tsa",
        "log",
        "--alignment",
        "0.5,0.2,0.3",
        "--class-weights",
        "balanced",
        "--label-smoothing",
        0.1,
    ]
    done = text_uda(*words, "--json")
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_paraphrase_again_makes_only_what_is_missing(record, reviews, cache):
    again = record("paraphrase", reviews, "--method", "synonym", "--cache", cache, "--rate", 0.3)
    assert again["made"] == 0 and again["present"] == again["requested"] > 0
    assert again.keys() >= {"requested", "present", "made", "rejected", "seconds"}
    more = record("paraphrase", reviews, "--method", "synonym", "--cache", cache, "--rate", 0.3, "--samples", 2)
    assert more["present"] == again["requested"] and more["made"] == again["requested"]


def test_shares_of_the_texts_make_the_whole(record, reviews, cache, tmp_path):
    for share in ("1/3", "2/3", "3/3"):
        words = ["--method", "synonym", "--cache", tmp_path / "parts", "--rate", 0.3, "--shard", share]
        record("paraphrase", reviews, *words)
    whole = record("paraphrase", reviews, "--method", "synonym", "--cache", tmp_path / "parts", "--rate", 0.3)
    assert whole["made"] == 0
    assert Cache(tmp_path / "parts").settings() == Cache(cache).settings()


def test_train_says_its_errors_and_writes_what_was_asked(trained, tiny_bert):
    folder, result = trained
    assert result.keys() >= {"run", "dev_error", "test_error", "last_test_error", "steps", "seconds"}
    assert result["steps"] == 8 and 0 <= result["test_error"] <= 100
    config = json.loads((folder / "config.json").read_text())
    assert config["data"]["classes"] == ["bad", "fine", "good"] and config["labels"] == 12
    assert config["method"] == "synonym" and config["encoder"] == str(tiny_bert)
    supervised, uda = config["objectives"]
    assert (supervised["tsa"], supervised["class_weights"], supervised["label_smoothing"]) == ("log", "balanced", 0.1)
    assert (uda["weight"], uda["temperature"], uda["ramp_up"], uda["alignment"]) == (
        0.5,
        0.8,
        0.5,
        [0.5, 0.2, 0.3],
    )


def test_filters_are_set_anew_without_new_paraphrases(
    record, run, refused, reviews, cache, tiny_bert, spread_bert, tmp_path
):
    before = record("cache", "stats", cache)["rows"]
    words = ["train", reviews, "--labels", 6, "--encoder", tiny_bert, "--steps", 2, "--augment", "synonym"]
    words += ["--rate", 0.3, "--cache", cache]
    usable = [
        record(*words, *more, "--out", tmp_path / f"run-{number}")["augmentation"]["usable"]
        for number, more in enumerate(([], ["--min-change", 0.2], ["--accept", "numbers", "--max-length-ratio", 3]))
    ]
    assert usable[1] < usable[0] <= usable[2] and record("cache", "stats", cache)["rows"] == before
    filters = json.loads((tmp_path / "run-1" / "config.json").read_text())["filters"]
    assert filters["min_change"] == 0.2
    other = run(*words, "--out", tmp_path / "run-1")
    assert other.exit_code == 2 and "\n  filters.min_change: 0.2 in the run, not set now\n" in other.stderr
    similar = ["--similarity-encoder", spread_bert]
    [found] = record("cache", "similarity", cache, *similar)["settings"]
    bounds = (-1, found["similarity"]["50%"], found["similarity"]["75%"])
    assert -1 < bounds[1] < bounds[2] < 0.99, "no bound within rounding of all"
    similarly = [
        record(*words, *similar, "--min-similarity", bound, "--out", tmp_path / f"similar-{bound}")["augmentation"]
        for bound in bounds
    ]
    assert usable[0] == similarly[0]["usable"] > similarly[1]["usable"] > similarly[2]["usable"] > 0
    filters = json.loads((tmp_path / f"similar-{bounds[1]}" / "config.json").read_text())["filters"]
    assert filters["min_similarity"] == bounds[1] and filters["similarity_encoder"] == str(spread_bert)
    assert "--min-change selects paraphrases" in refused(
        "train", reviews, "--labels", 6, "--min-change", 0.2, "--out", tmp_path / "x"
    )


def test_only_our_own_words_reach_the_terminal(reviews, tiny_bert, tmp_path):
    words = ["train", reviews, "--labels", 6, "--encoder", tiny_bert, "--steps", 2, "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "text_uda.cli", *map(str, words)]  # from the first import on
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    own = ("encode (", "train: ", "warning: ")
    assert all(line.startswith(own) for line in done.stderr.splitlines()), done.stderr
    assert "test error" in done.stdout and "selected by dev" in done.stdout


def test_evaluate_gives_the_error_that_training_gave(record, trained, reviews):
    folder, result = trained
    found = record("evaluate", folder, reviews)
    assert found["test_error"] == pytest.approx(result["test_error"])
    assert found["last_test_error"] == result["last_test_error"] and found["dev_error"] == result["dev_error"]
    assert record("evaluate", folder, reviews, "--rows", "all")["rows"] == 360


def test_evaluate_tells_the_scores_of_each_class(record, run, trained, reviews):
    folder, result = trained
    found = record("evaluate", folder, reviews)
    assert [one["class"] for one in found["per_class"]] == ["bad", "fine", "good"]
    assert found["per_class"] == [
        {
            name: value if name in ("class", "support") or value is None else pytest.approx(value)
            for name, value in one.items()
        }
        for one in result["per_class"]["test"]
    ]
    assert found["test_macro_f1"] == pytest.approx(result["test_macro_f1"])
    assert found["test_balanced_error"] == pytest.approx(result["test_balanced_error"])
    printed = run("evaluate", folder, reviews).stdout.splitlines()
    (error, head, *lines), matrix = printed[-9:-4], printed[-4:]
    assert error.startswith(
        f"error {found['test_error']:.2f}%, balanced error {found['test_balanced_error']:.2f}%, macro"
    )
    assert head.split() == ["class", "precision", "recall", "F1", "rows"]
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [
        (one["class"], str(one["support"])) for one in found["per_class"]
    ]
    assert [[0 if cell == "." else int(cell) for cell in line.split()[1:]] for line in matrix[1:]] == found["confusion"]


def test_train_tells_what_chose_and_what_rare_classes_get(run, reviews, tiny_bert, tmp_path):
    words = ["train", reviews, "--labels", 6, "--dev", 9, "--encoder", tiny_bert, "--tune", "head", "--steps", 2]
    said = run(*words, "--select-by", "macro-f1", "--out", tmp_path / "a").stdout
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert f"selected by dev macro-f1 of 9 texts (step 2): dev error {result['dev_error']:.2f}%, test error" in said
    assert f"balanced error {result['test_balanced_error']:.2f}%, macro-F1 {result['test_macro_f1']:.2f}%, cal" in said
    assert "last (step 2): dev error" in said
    assert json.loads((tmp_path / "a" / "config.json").read_text())["settings"]["select_by"] == "macro-f1"
    said = run(*words, "--select-by", "last", "--out", tmp_path / "b").stdout
    assert "last (step 2): dev error" in said and "chosen" not in said
    for name in ("selected_by", "dev_rows", "per_class", "test_macro_f1", "last_test_balanced_error"):
        del result[name]  # as an earlier version left it
    (tmp_path / "a" / "result.json").write_text(json.dumps(result))
    said = run(*words, "--select-by", "macro-f1", "--out", tmp_path / "a").stdout
    assert "selected by dev (step 2): dev error" in said


def test_evaluate_tells_classes_by_name(record, trained, reviews, tmp_path):
    folder, _ = trained
    lines = reviews.read_text().splitlines()
    some = tmp_path / "some.tsv"
    some.write_text("\n".join([lines[0], *(line for line in lines[1:] if not line.endswith("bad"))][:200]) + "\n")
    confusion = record("evaluate", folder, some, "--rows", "all")["confusion"]
    assert sum(confusion[0]) == 0 and sum(confusion[1]) > 0 and sum(confusion[2]) > 0


def test_predict_answers_each_line(trained):
    folder, _ = trained
    done = text_uda("predict", folder, stdin="\ufeffa good film\r\nqué aburrido\n" + "very long " * 10_000 + "\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 3
    for answer in answers:
        assert answer["label"] in ("bad", "fine", "good")
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_predict_streams(trained):
    folder, _ = trained
    command = [sys.executable, "-m", "text_uda.cli", "predict", str(folder), "--batch-size", "1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("a good film\n")
    assert "label" in json.loads(process.stdout.readline())  # before the input ends
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_report_writes_the_page_and_prints_the_table(run, trained, tmp_path):
    pytest.importorskip("jinja2")
    folder, _ = trained
    result = run("report", folder, "--out", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert "synonym" in result.stdout and str(tmp_path / "report.html") in result.stdout
    assert (tmp_path / "report.html").read_text().lstrip().lower().startswith("<!doctype html>")
    words = ("report", folder.parent, "--out", tmp_path / "report.html", "--tables", tmp_path / "tables")
    made = json.loads(run(*words, "--figures", tmp_path / "figures", "--json").stdout.splitlines()[-1])
    assert str(folder) in made["runs"] and [Path(table).name for table in made["tables"]] == [
        "table.md",
        "table.tex",
        "table.csv",
    ]
    there = [str(path) for path in (tmp_path / "figures").iterdir() if path.suffix != ".txt"]
    assert sorted(made["figures"]) == sorted(there) and len(there) > 2


def test_data_describes_a_file(run, record, reviews):
    found = record("data", reviews)
    assert found["classes"] == ["bad", "fine", "good"]
    assert sum(found["train"].values()) + sum(found["test"].values()) == 360
    assert "fine" in run("data", reviews).stdout
    assert "movie-snippets" in record("data")["known"]


def test_a_preview_shows_what_is_then_made(reviews, tmp_path):
    done = text_uda("paraphrase", reviews, "--method", "typos", "--cache", tmp_path / "c", "--preview", 2)
    lines = done.stdout.splitlines()
    marked = [line for line in lines if "[-" in line and "{+" in line]
    assert len(marked) == 2 and "computed" in lines[-2]
    shown = text_uda("cache", "show", tmp_path / "c", "--limit", 10_000).stdout
    assert all(line in shown for line in marked), "the same as was made"


@pytest.mark.parametrize("augment", [["switchout", "--rate", 0.3], ["uniform"], ["cutoff", "--cutoff", "token"]])
def test_a_view_is_made_in_the_step_without_a_cache(record, reviews, tiny_bert, tmp_path, augment):
    words = ["train", reviews, "--labels", 6, "--encoder", tiny_bert, "--steps", 2, "--tune", "all", "--augment"]
    result = record(*words, *augment, "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert result["steps"] == 2 and config["method"] == augment[0] and config["cache_digest"] is None
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["changed"] > 0 and 0 < result["changed"] <= 1
