"""Studies: what is finished is skipped, what is broken goes on, and what does not belong together is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from text_uda.augment import SwitchOut
from text_uda.errors import SettingsError
from text_uda.experiment import Trial, run_study
from text_uda.experiment.study import default_workers
from text_uda.objectives import UDA, Supervised


def some(head, *, seeds=(0, 1)) -> list[Trial]:
    job = SwitchOut(tokenizer=head.encoder, rate=0.3)
    return [
        trial
        for seed in seeds
        for trial in (
            Trial(name="none", labels=6, settings=replace(head, seed=seed)),
            Trial(
                name="switchout",
                labels=6,
                settings=replace(head, seed=seed),
                objectives=(Supervised(), UDA()),
                augmentation=job,
            ),
        )
    ]


def results(out: Path) -> dict[str, dict]:
    """Of each run, without what another start may have otherwise."""
    found = {}
    for path in out.glob("runs/*/result.json"):
        result = json.loads(path.read_text())
        found[path.parent.name] = {k: v for k, v in result.items() if k not in ("seconds", "run")}
    return found


def test_finished_runs_are_skipped_and_broken_ones_go_on(reviews, head, tmp_path, monkeypatch):
    data, out = {"source": str(reviews)}, tmp_path / "study"
    first = run_study(some(head), data, out=out, fill=True, workers=1)
    assert [path.name for path in first.finished] == [trial.folder for trial in some(head)]
    assert not first.failed and not first.elsewhere
    made = results(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/result.json")}
    (out / "runs" / "none-seed-1" / "result.json").unlink()  # as a kill before the last write leaves it
    shutil.rmtree(out / "runs" / "switchout-seed-0")
    times = {path: time for path, time in times.items() if path.exists()}
    more = run_study(some(head, seeds=(0, 1, 2)), data, out=out, workers=1)
    assert len(more.finished) == 6
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert {name: result for name, result in results(out).items() if name in made} == made
    monkeypatch.setattr("text_uda.experiment.trial.load", lambda **_: pytest.fail("all is finished: nothing is read"))
    assert run_study(some(head), data, out=out).finished == first.finished


@pytest.mark.slow
def test_side_by_side_is_as_one_after_another(reviews, head, tmp_path):
    data = {"source": str(reviews)}
    for workers in (1, 2):
        outcome = run_study(some(head), data, out=tmp_path / str(workers), fill=True, workers=workers)
        assert not outcome.failed and len(outcome.finished) == 4
    assert results(tmp_path / "1") == results(tmp_path / "2")
    for path in tmp_path.glob("1/runs/*/model/model.safetensors"):
        mine, other = load_file(path), load_file(tmp_path / "2" / path.relative_to(tmp_path / "1"))
        assert all((mine[name] == other[name]).all() for name in mine), path


def test_one_that_fails_is_told_and_tried_again(reviews, head, tmp_path):
    data, out = {"source": str(reviews)}, tmp_path / "study"
    greedy = Trial(name="greedy", labels=1000, settings=head)
    for _ in range(2):
        outcome = run_study([greedy, *some(head, seeds=(0,))[:1]], data, out=out, workers=1)
        assert [path.name for path in outcome.finished] == ["none-seed-0"]
        assert list(outcome.failed) == ["greedy-seed-0"] and "labels=1000" in outcome.failed["greedy-seed-0"]


def test_missing_paraphrases_are_refused_with_the_command_that_makes_them(reviews, head, tmp_path):
    trials, data = some(head), {"source": str(reviews), "limit": 50, "test": None}
    with pytest.raises(SettingsError, match=r"50 switchout paraphrases are missing .* give --fill") as refused:
        run_study(trials, data, out=tmp_path / "study", cache=tmp_path / "mine")
    words = str(refused.value).partition("`")[2].rstrip("`").split()
    assert words[:3] == ["text-uda", "paraphrase", str(reviews)]
    for option, value in {"--limit": "50", "--method": "switchout", "--encoder": head.encoder}.items():
        assert words[words.index(option) + 1] == value
    assert words[words.index("--cache") + 1] == str(tmp_path / "mine") and "--test" not in words


def test_shares_are_disjoint_and_whole(reviews, head, tmp_path):
    data, trials = {"source": str(reviews)}, some(head, seeds=(0, 1, 2))
    done: list[Path] = []
    for share in (1, 2):
        outcome = run_study(trials, data, out=tmp_path / "study", fill=True, workers=1, shard=(share, 2))
        assert len(outcome.finished) + outcome.elsewhere == 6 and len(outcome.finished) > len(done)
        done = list(outcome.finished)
    assert len(done) == 6


def test_what_is_another_study_is_refused(reviews, head, tmp_path):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head, seeds=(0,))[:1]
    run_study(trials, data, out=out)
    with pytest.raises(SettingsError, match=r"holds a study of .* name another folder"):
        run_study(trials, data | {"limit": 40}, out=out)
    with pytest.raises(SettingsError, match="holds none-seed-0 with other settings"):
        run_study([replace(trials[0], settings=replace(head, steps=7))], data, out=out)
    run_study([replace(trials[0], settings=replace(head, log_every=1))], data, out=out)  # of how it is told alone
    with pytest.raises(SettingsError, match="two trials are called none-seed-0"):
        run_study(trials * 2, data, out=out)
    with pytest.raises(SettingsError, match="at least one trial"):
        run_study([], data, out=out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="holds files that no study made"):
        run_study(trials, data, out=tmp_path / "other")
    with pytest.raises(SettingsError, match="is a file"):
        run_study(trials, data, out=tmp_path / "other" / "thesis.tex")
    (out / "study.json").write_text("[1")
    with pytest.raises(SettingsError, match=r"study\.json cannot be read"):
        run_study(trials, data, out=out)


def test_texts_are_encoded_once_for_all_calls(reviews, head, tmp_path, monkeypatch):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head)
    run_study(trials[:2], data, out=out, fill=True, workers=1)
    monkeypatch.setattr("text_uda.rows.encode", lambda *_: pytest.fail("encoded again"))
    assert len(run_study(trials, data, out=out, workers=1).finished) == 4


def test_names(head):
    with pytest.raises(SettingsError, match="name='a/b'"):
        Trial(name="a/b", labels=6, settings=head)
    with pytest.raises(SettingsError, match=r"name='\.\.'"):
        Trial(name="..", labels=6, settings=head)


def test_a_whole_encoder_is_trained_one_at_a_time(head):
    trial = Trial(name="none", labels=6, settings=head)
    assert default_workers([trial]) >= 1
    assert default_workers([trial, replace(trial, settings=replace(head, tune="all"))]) == 1
