"""`text-uda train --objective logistic-regression` and `self-training`: what they say, and what they refuse."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def words(reviews: Path, tiny_bert: Path) -> tuple[object, ...]:
    return ("train", reviews, "--labels", 6, "--encoder", tiny_bert, "--max-tokens", 16)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    lines = [
        f"the {thing} is {word},{label}" for label, words in VERDICTS.items() for thing in THINGS for word in words
    ]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


VERDICTS = {"good": ("great", "fine", "best", "love"), "bad": ("poor", "dull", "worst", "not")}
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product", "review")


@pytest.mark.parametrize("name", ["logistic-regression", "self-training"])
def test_a_run_and_what_reads_it(run, record, words, name, tmp_path):
    made = record(*words, "--objective", name, "--out", tmp_path / "run")
    assert (made["steps"], made["best_step"], made["fit"]["folds"]) == (0, 0, 3)
    again = run(*words, "--objective", name, "--out", tmp_path / "run")
    assert again.exit_code == 0 and "last (step 0): dev error" in again.stdout
    assert "chosen" not in again.stdout, "there are no others to choose from"
    said = run("predict", tmp_path / "run", input="the film is great\n")
    assert said.exit_code == 0 and ("good" in said.stdout or "bad" in said.stdout)
    table = run("report", tmp_path / "run", "--out", tmp_path / "report.html")
    assert table.exit_code == 0, table.output


def test_a_refit_is_told_in_a_line_and_reads_like_a_run(run, record, words, tmp_path):
    """Of a baseline: it takes no time, and the rest is the trainer's."""
    words, out = (*words, "--objective", "logistic-regression"), tmp_path / "run"
    assert "for use" not in run(*words, "--out", out).stdout
    said = run(*words, "--out", out, "--refit").stdout.splitlines()
    made = json.loads((out / "refit" / "result.json").read_text())
    assert said[-1] == (
        f"the model for use, trained on all labels, is in {out / 'refit' / 'model'}: test error"
        f" {made['test_error']:.2f}%, not used for selection"
    )
    told = record(*words, "--out", out, "--refit")
    assert told["refit"]["dev_error"] is None and "test_correct" not in told["refit"].keys() | told.keys()
    assert run("predict", out / "refit", input="the film is great\n").exit_code == 0
    again = record("evaluate", out / "refit", words[1])
    assert again["test_error"] == made["test_error"] and again["dev_error"] is None
    table = run("report", out, out / "refit", "--out", tmp_path / "report.html")
    assert table.exit_code == 0 and "logistic-regression, refit" in table.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("--steps", 10),
            "--objective logistic-regression is fitted without training steps and ignores --steps; omit it",
        ),
        (("--learning-rate", 0.1), "ignores --learning-rate; omit it"),
        (("--layer-decay", 0.5), "ignores --layer-decay; omit it"),
        (("--augment", "switchout"), "reads no augmented texts; leave out --augment"),
        (("--temperature", 0.5), "has no --temperature; its options are: none ("),
        (("--ema-decay", 0.9), "has no --ema-decay"),
        (("--tsa", "exp"), "has no --tsa"),
    ],
)
def test_options_that_say_nothing_are_refused(refused, words, given, said, tmp_path):
    line = refused(*words, "--objective", "logistic-regression", *given, "--out", tmp_path / "run")
    assert said in line and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--unlabeled-ratio", 7), "supervised reads no unlabeled texts and ignores --unlabeled-ratio; omit it"),
        (("--objective", "supcon", "--unlabeled-ratio", 7), "supcon reads no unlabeled texts"),
        (("--objective", "fast-swa", "--schedule", "cosine"), "fast-swa has its own learning rate cycles"),
        (("--compile",), "compile has no effect"),
    ],
)
def test_an_option_that_the_method_ignores_is_refused(refused, words, tmp_path, options, expected):
    assert expected in refused(*words, "--tune", "head", *options, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unlabeled_texts_that_no_step_reads_are_named(run, words, tmp_path):
    (tmp_path / "more.txt").write_text("one more text\nand another\n")
    options = ("--unlabeled", tmp_path / "more.txt", "--unlabeled-texts", 5, "--steps", 2)
    said = run(*words, *options, "--tune", "head", "--out", tmp_path / "run").stderr
    assert "--objective supervised reads no unlabeled texts: --unlabeled and --unlabeled-texts change no result" in said
    said = run(*words, *options, "--objective", "vat", "--tune", "last:1", "--out", tmp_path / "vat").stderr
    assert "reads no unlabeled" not in said
