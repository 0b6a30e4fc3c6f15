"""`text-uda ablate` from end to end, on a user's own file."""

import json
import shlex

import pytest

WORDS = ("--size", "smoke", "--seeds", 1, "--labels", 6, "--workers", 1)

pytestmark = pytest.mark.slow


@pytest.fixture
def words(reviews, tiny_bert, tmp_path):
    return ("--data", reviews, "--encoder", tiny_bert, *WORDS, "--out", tmp_path / "study")


def replaced(words, option, value):
    place = words.index(option) + 1
    return (*words[:place], value, *words[place + 1 :])


def test_a_study_and_again(run, record, words, tmp_path):
    made = record("ablate", "tsa", *words, "--fill")
    out = tmp_path / "study"
    assert len(made["finished"]) == 6 and made["failed"] == {} and made["elsewhere"] == 0
    assert made["report"] == str(out / "report.html") and (out / "report.html").stat().st_size > 10_000
    for name in ("table.md", "table.tex", "table.csv"):
        assert "tsa" in (out / name).read_text()
    methods = [line.split("|")[1].strip() for line in (out / "table.md").read_text().splitlines() if "|" in line]
    assert methods[2:4] == ["logistic regression", "labels alone"], methods
    assert "vs logistic regression" in (out / "table.md").read_text()
    said = run("ablate", "tsa", *words)
    assert said.exit_code == 0 and (out / "table.md").read_text() in said.stdout and "report.html" in said.stdout
    data = json.loads((out / "runs" / "none-seed-0" / "config.json").read_text())["data"]
    assert data["name"] == "reviews"


def test_what_is_missing_or_wrong_is_said_before_anything_runs(refused, words, tmp_path):
    assert "give --fill" in refused("ablate", "ratio", *words)
    assert "Apertium" in refused("ablate", "temperature", *words)
    assert "is not one of" in refused("ablate", "tabel2", *words)
    assert "few=2" in refused("ablate", "tsa", *replaced(words, "--labels", 2))
    assert "i/n" in refused("ablate", "tsa", *words, "--shard", "3/2")
    assert "tsa reads texts alone" in refused("ablate", "tsa", "--data", "a.csv", "--numeric", "year")
    assert "no data set" in refused("ablate", "tsa", "--data", "no-such", "--out", tmp_path / "other")


def test_a_share_leaves_the_report_to_the_whole(run, refused, words, tmp_path):
    page = tmp_path / "study" / "report.html"
    missing = refused("ablate", "tsa", *words, "--shard", "1/2")
    assert run(*shlex.split(missing.split("`")[1])[1:]).exit_code == 0
    first = run("ablate", "tsa", *words, "--shard", "1/2")
    assert first.exit_code == 0 and "belong to other shares" in first.stdout and not page.exists()
    second = run("ablate", "tsa", *words, "--shard", "2/2")
    assert second.exit_code == 0 and "the page:" in second.stdout and page.exists()


def test_interrupted_it_says_what_is_kept(run, words, monkeypatch):
    from text_uda.experiment.trial import TrialRunner
    from text_uda.training.stop_signals import Interrupted

    def stop(_runner, _trial):
        raise Interrupted

    monkeypatch.setattr(TrialRunner, "run", stop)
    said = run("ablate", "tsa", *words, "--fill")
    assert said.exit_code == 130
    assert said.stderr.splitlines()[-1].startswith("interrupted: 0 of 6 runs are finished and kept in ")


def test_a_run_that_fails_is_named_and_the_rest_reported(run, record, words, monkeypatch):
    record("ablate", "tsa", *words, "--fill")
    from text_uda.errors import SettingsError
    from text_uda.experiment.trial import TrialRunner

    def refuse(_runner, trial):
        raise SettingsError(f"{trial.name} is too greedy")

    monkeypatch.setattr(TrialRunner, "run", refuse)
    said = run("ablate", "tsa", *replaced(words, "--seeds", 2), "--fill")
    assert said.exit_code == 1
    assert "failed: tsa-log-seed-1: tsa-log is too greedy" in said.stderr and "6 runs failed" in said.stderr
    assert "the page:" in said.stdout
    assert "tsa-log-seed-1: failed: tsa-log is too greedy" in said.stdout


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("movie-snippets", "table2-movie-snippets"),
        ("owner/name", "table2-owner-name"),
        ("my file.csv", "table2-my-file"),
    ],
)
def test_the_default_folder_is_named_after_the_study_and_the_data(run, monkeypatch, tmp_path, source, folder):
    from text_uda.cli import verb_ablate

    monkeypatch.chdir(tmp_path)
    if source.endswith(".csv"):
        (tmp_path / source).write_text("text,label\n")
    monkeypatch.setattr(verb_ablate.DataChoice, "load", lambda self: 1 / 0)
    assert (
        f"note: the folder of the study is {folder}; --out names another"
        in run("ablate", "table2", "--data", source).stderr
    )
