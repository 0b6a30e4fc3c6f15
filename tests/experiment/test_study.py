"""Studies: finished runs are skipped, interrupted runs resume, and a folder refuses another study."""

import json
import shlex
import shutil
from dataclasses import replace
from multiprocessing import current_process
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from text_uda import cli
from text_uda.augment import Compose, SwitchOut, Typos
from text_uda.data import load
from text_uda.errors import SettingsError
from text_uda.experiment import Trial, run_study, study, write_report
from text_uda.experiment.study import default_workers
from text_uda.objectives import UDA, Supervised
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.runs.run_lock import remove_models
from translation_cache.file_lock import exclusive_lock


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
    by_run = {}
    for path in out.glob("runs/*/result.json"):
        result = json.loads(path.read_text())
        by_run[path.parent.name] = {k: v for k, v in result.items() if k not in ("seconds", "cpu_seconds", "run")}
    return by_run


def test_finished_runs_are_skipped_and_broken_ones_go_on(reviews, head, tmp_path, monkeypatch):
    data, out = {"source": str(reviews)}, tmp_path / "study"
    first = run_study(some(head), data, out=out, fill=True, workers=1)
    assert [path.name for path in first.finished] == [trial.folder for trial in some(head)]
    assert not first.failed and not first.elsewhere
    before = results(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/result.json")}
    (out / "runs" / "none-seed-1" / "result.json").unlink()  # as a kill before the last write leaves it
    shutil.rmtree(out / "runs" / "switchout-seed-0")
    times = {path: time for path, time in times.items() if path.exists()}
    more = run_study(some(head, seeds=(0, 1, 2)), data, out=out, workers=1)
    assert len(more.finished) == 6
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert {name: result for name, result in results(out).items() if name in before} == before
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


def test_a_trial_says_how_rows_are_drawn(reviews, head, tmp_path):
    lines = reviews.read_text().splitlines()
    (tmp_path / "skewed.csv").write_text("\n".join(lines[:1] + lines[1:81] + lines[-20:]) + "\n")
    trial = Trial(name="one", labels=10, settings=head, dev=5, label_sampling="proportional")
    assert run_study([trial], {"source": str(tmp_path / "skewed.csv")}, out=tmp_path / "study", workers=1).finished
    data = json.loads((tmp_path / "study" / "runs" / trial.folder / "config.json").read_text())["data"]
    assert (data["labels_per_class"], data["label_sampling"], data["dev"]) == ([2, 8], "proportional", 5)


def test_one_that_fails_is_told_and_tried_again(reviews, head, tmp_path):
    data, out = {"source": str(reviews)}, tmp_path / "study"
    greedy = Trial(name="greedy", labels=1000, settings=head)
    for _ in range(2):
        outcome = run_study([greedy, *some(head, seeds=(0,))[:1]], data, out=out, workers=1)
        assert [path.name for path in outcome.finished] == ["none-seed-0"]
        assert list(outcome.failed) == ["greedy-seed-0"] and "labels=1000" in outcome.failed["greedy-seed-0"]


def test_missing_paraphrases_are_refused_with_the_command_that_makes_them(reviews, head, tmp_path):
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nsuch a nice thing,good\nsuch a bad thing,bad\n")
    trials, data = some(head), {"source": str(reviews), "limit": 50, "test": None, "dev": dev}
    trials[1] = replace(trials[1], augmentation=Typos(rate=0.2, protect=("plot", "a phone")))
    with pytest.raises(SettingsError, match=r"50 switchout paraphrases are missing .* give --fill") as refused:
        run_study(trials, data, out=tmp_path / "study", cache=tmp_path / "mine here")
    commands = [shlex.split(words) for words in str(refused.value).split("`")[1::2]]
    assert [words[:3] for words in commands] == [["text-uda", "paraphrase", str(reviews)]] * 2
    for words in commands:
        with pytest.raises(SystemExit) as end:
            cli.main(words[1:])
        assert end.value.code == 0
    assert len(run_study(trials[:2], data, out=tmp_path / "study", cache=tmp_path / "mine here").finished) == 2


def test_what_no_command_can_make_is_left_to_python(reviews, head, tmp_path):
    job = Compose(operations=(Typos(), SwitchOut(tokenizer=head.encoder)))
    trials = [replace(trial, augmentation=job) for trial in some(head)[1:2]]
    with pytest.raises(SettingsError, match=r"make them first with text_uda\.paraphrase\("):
        run_study(trials, {"source": str(reviews)}, out=tmp_path / "study")


def test_shares_are_disjoint_and_whole(reviews, head, tmp_path):
    data, trials = {"source": str(reviews)}, some(head, seeds=(0, 1, 2))
    with pytest.raises(SettingsError, match="every share would make the paraphrases"):
        run_study(trials, data, out=tmp_path / "study", fill=True, shard=(1, 2))
    with pytest.raises(SettingsError, match="i from 1 to n"):
        run_study(trials, data, out=tmp_path / "study", shard=(0, 2))
    assert trials[1].augmentation is not None
    paraphrase(load(reviews).training_texts(), trials[1].augmentation, tmp_path / "study" / "cache")
    done: list[Path] = []
    for number in (1, 2):
        outcome = run_study(trials, data, out=tmp_path / "study", workers=1, shard=(number, 2))
        assert len(outcome.finished) + outcome.elsewhere == 6 and len(outcome.finished) == len(done) + 3
        done = list(outcome.finished)
    assert len(done) == 6


def test_what_is_another_study_is_refused(reviews, head, tmp_path):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head, seeds=(0,))[:1]
    run_study(trials, data, out=out)
    with pytest.raises(SettingsError, match=r"holds a study of .* name another folder"):
        run_study(trials, data | {"limit": 40}, out=out)
    with pytest.raises(SettingsError, match="holds none-seed-0 with other settings"):
        run_study([replace(trials[0], settings=replace(head, steps=7))], data, out=out)
    run_study([replace(trials[0], settings=replace(head, log_every=1))], data, out=out)  # without effect on the result
    with pytest.raises(SettingsError, match="two trials are called none-seed-0"):
        run_study(trials * 2, data, out=out)
    with pytest.raises(SettingsError, match="at least one trial"):
        run_study([], data, out=out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="holds files of something else"):
        run_study(trials, data, out=tmp_path / "other")
    with pytest.raises(SettingsError, match="is a file"):
        run_study(trials, data, out=tmp_path / "other" / "thesis.tex")
    (out / "study.json").write_text("[1")
    with pytest.raises(SettingsError, match=r"study\.json cannot be read"):
        run_study(trials, data, out=out)


def test_texts_are_encoded_once_for_all_calls(reviews, head, tmp_path, monkeypatch):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head)
    run_study(trials[:2], data, out=out, fill=True, workers=1)
    monkeypatch.setattr("text_uda.model.frozen_encoder.encode", lambda *_: pytest.fail("encoded again"))
    assert len(run_study(trials, data, out=out, workers=1).finished) == 4


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_that_cannot_be(reviews, head, tmp_path, workers):
    with pytest.raises(SettingsError, match=f"workers={workers}: give 1 or more"):
        run_study(some(head), {"source": str(reviews)}, out=tmp_path / "study", workers=workers)


def test_studies_share_features(reviews, head, tmp_path, monkeypatch):
    data, trials = {"source": str(reviews)}, some(head)
    monkeypatch.setenv("TEXT_UDA_FEATURES", str(tmp_path / "features"))
    run_study(trials[:2], data, out=tmp_path / "one", fill=True, workers=1)
    monkeypatch.setattr("text_uda.model.frozen_encoder.encode", lambda *_: pytest.fail("encoded again"))
    run_study(trials[:2], data, out=tmp_path / "other", cache=tmp_path / "one" / "cache", workers=1)
    assert not (tmp_path / "other" / "features").exists()


def test_each_encoder_has_features_of_its_own(reviews, head, tmp_path):
    """Read with fewer tokens, or by other weights in the same folder, a text has other features."""
    encoder = tmp_path / "encoder"
    shutil.copytree(head.encoder, encoder)
    one = Trial(name="one", labels=6, settings=replace(head, encoder=str(encoder)))
    short = replace(one, name="short", settings=replace(one.settings, max_tokens=4))
    data = {"source": str(reviews)}
    together = run_study([one, short], data, out=tmp_path / "together", workers=1)
    alone = run_study([short], data, out=tmp_path / "alone")
    assert results(tmp_path / "together")["short-seed-0"] == results(tmp_path / "alone")["short-seed-0"]
    assert results(tmp_path / "together")["short-seed-0"] != results(tmp_path / "together")["one-seed-0"]
    assert len(together.finished) == 2 and len(alone.finished) == 1
    features = tmp_path / "together" / "features"
    before = sorted(features.glob("*/*.safetensors"))
    assert len(list(features.iterdir())) == 2
    weights = load_file(encoder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += 0.5
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    run_study([replace(one, name="retrained")], data, out=tmp_path / "together")
    assert len(list(features.iterdir())) == 3
    for file in before:
        file.write_bytes(b"cut short")
    assert len(run_study([replace(short, name="again")], data, out=tmp_path / "together", workers=1).finished) == 1


def test_a_damaged_run_is_named_and_costs_no_other(reviews, head, tmp_path):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head, seeds=(0, 1, 2))[::2]
    run_study(trials, data, out=out, workers=1)
    (out / "runs" / "none-seed-0" / "result.json").write_text('{"dev_error": 1')
    with (out / "runs" / "none-seed-1" / "metrics.jsonl").open("r+") as file:
        file.truncate(40)
    outcome = run_study(trials, data, out=out, workers=1)
    assert list(outcome.failed) == ["none-seed-0"] and "remove" in outcome.failed["none-seed-0"]
    report = write_report(outcome, out)
    assert report is not None and [path.name for path in report.runs] == ["none-seed-2"]
    table = (out / "table.md").read_text()
    assert "none-seed-0: failed: " in table and "metrics.jsonl is damaged" in table
    shutil.rmtree(out / "runs" / "none-seed-0")
    assert len(run_study(trials, data, out=out, workers=1).finished) == 3


def test_data_that_changed_are_refused(reviews, head, tmp_path):
    copy = tmp_path / "own.csv"
    shutil.copy(reviews, copy)
    run_study(some(head)[:1], {"source": str(copy)}, out=tmp_path / "study")
    with copy.open("a") as file:
        file.write("one more,good\n")
    with pytest.raises(SettingsError, match=r"own\.csv has changed since .* was started"):
        run_study(some(head)[:3:2], {"source": str(copy)}, out=tmp_path / "study")


def test_data_and_encoder_that_moved_resume_the_study(reviews, head, tmp_path, monkeypatch):
    for name in ("first", "second"):
        shutil.copytree(head.encoder, tmp_path / name / "encoder")
        shutil.copy(reviews, tmp_path / name / "own.csv")
    (tmp_path / "copy.csv").write_bytes(reviews.read_bytes())

    def study(source: str, encoder: str, **other) -> tuple[Path, ...]:
        trials = some(replace(head, encoder=encoder, **other), seeds=(0,))
        return run_study(trials, {"source": source}, out=tmp_path / "study", fill=True, workers=1).finished

    monkeypatch.chdir(tmp_path / "first")
    finished = study("own.csv", "encoder")
    (finished[1] / "result.json").unlink()
    shutil.rmtree(tmp_path / "first" / "encoder")
    for source, encoder in (("own.csv", "../second/encoder"), ("../copy.csv", str(tmp_path / "second" / "encoder"))):
        assert study(source, encoder) == finished
    with pytest.raises(SettingsError, match="holds none-seed-0 with other settings"):
        study("own.csv", "../second/encoder", steps=7)
    weights = load_file(tmp_path / "second" / "encoder" / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += 0.5
    save_file(weights, tmp_path / "second" / "encoder" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match="holds none-seed-0 with other settings"):
        study("own.csv", "../second/encoder")
    (tmp_path / "copy.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(60)))
    with pytest.raises(SettingsError, match="holds a study of"):
        study("../copy.csv", "../second/encoder")


def test_a_study_of_an_earlier_version_resumes(reviews, head, tmp_path):
    data, out, trials = {"source": str(reviews)}, tmp_path / "study", some(head, seeds=(0,))[:1]
    run_study(trials, data, out=out)
    content = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({name: content[name] for name in ("data", "trials", "digest")}))
    assert len(run_study([*trials, replace(trials[0], name="more")], data, out=out, workers=1).finished) == 2


def test_what_a_kill_left_is_no_file_of_another(reviews, head, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / ".study.json.abc").write_text("{")
    assert len(run_study(some(head)[:1], {"source": str(reviews)}, out=tmp_path / "study").finished) == 1


def test_a_run_that_another_process_is_at_work_on_is_left_to_it(reviews, head, tmp_path, monkeypatch):
    monkeypatch.setattr("text_uda.runs.run_lock.WAIT_S", 0.1)
    run = tmp_path / "study" / "runs" / "none-seed-1"
    trials = some(head)[:3:2]
    assert len(run_study(trials[:1], {"source": str(reviews)}, out=tmp_path / "study").finished) == 1
    run.mkdir()
    with exclusive_lock(run / ".lock", wait_s=0) as locked:
        assert locked
        outcome = run_study(trials, {"source": str(reviews)}, out=tmp_path / "study", workers=1)
    assert f"another process writes to {run}" in outcome.failed["none-seed-1"]


def test_a_finished_trial_whose_model_is_damaged_is_named_and_not_passed_for_finished(reviews, head, tmp_path):
    trials, data, out = some(head)[:3:2], {"source": str(reviews)}, tmp_path / "study"
    first, second = run_study(trials, data, out=out, workers=1).finished
    weights = second / "model" / "model.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    outcome = run_study(trials, data, out=out, workers=1)
    assert outcome.finished == (first,)
    assert f"{weights} is not as the run wrote it" in outcome.failed[second.name]
    shutil.rmtree(second)
    assert run_study(trials, data, out=out, workers=1).finished == (first, second)
    shutil.rmtree(second / "model")  # to save space: a study reads the results alone
    assert run_study(trials, data, out=out, workers=1).finished == (first, second)


def test_a_study_discards_the_model_of_each_finished_run(reviews, head, tmp_path):
    trials, data = some(head)[:2], {"source": str(reviews)}
    kept = run_study(trials, data, out=tmp_path / "kept", fill=True, workers=1)
    discarded = run_study(trials, data, out=tmp_path / "discarded", fill=True, workers=1, keep_models=False)
    assert len(kept.finished) == len(discarded.finished) == 2
    for with_model, without in zip(kept.finished, discarded.finished, strict=True):
        assert (with_model / "model").exists() and not (without / "model").exists()
        files = {path.name for path in with_model.iterdir()} - {"model"}
        assert {path.name for path in without.iterdir()} == files
    assert run_study(trials, data, out=tmp_path / "discarded", workers=1) == discarded


def test_a_model_that_cannot_be_removed_is_the_failure_of_its_run(reviews, head, tmp_path, monkeypatch):
    trials, options = some(head)[:2], {"data": {"source": str(reviews)}, "out": tmp_path / "study", "workers": 1}

    def fails(run):
        if run.path.name == trials[0].folder:
            raise PermissionError(13, "Permission denied", str(run.model))
        remove_models(run)

    with monkeypatch.context() as patch:
        patch.setattr(study, "remove_models", fails)
        for _ in ("after training", "in a call that finds it finished"):
            outcome = run_study(trials, **options, fill=True, keep_models=False)
            assert list(outcome.failed) == [trials[0].folder] and len(outcome.finished) == 1
            assert "Permission denied" in outcome.failed[trials[0].folder]
            assert not (outcome.finished[0] / "model").exists()
    assert len(run_study(trials, **options, keep_models=False).finished) == 2


def test_a_trial_whose_folder_holds_files_of_somebody_else_fails_and_keeps_them(reviews, head, tmp_path):
    trial, data, out = some(head)[0], {"source": str(reviews)}, tmp_path / "study"
    theirs = out / "runs" / trial.folder / "precious.txt"
    run_study([replace(trial, name="other")], data, out=out, workers=1)
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    outcome = run_study([trial], data, out=out, workers=1)
    assert "holds files that are not of a run (precious.txt)" in outcome.failed[trial.folder]
    assert [path.name for path in theirs.parent.iterdir()] == ["precious.txt"]


def test_a_script_without_a_guard_is_told_so(reviews, head, tmp_path, monkeypatch):
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)  # as while a process imports the script
    with pytest.raises(SettingsError, match='under if __name__ == "__main__"'):
        run_study(some(head), {"source": str(reviews)}, out=tmp_path / "study")


def test_names(head):
    with pytest.raises(SettingsError, match="name='a/b'"):
        Trial(name="a/b", labels=6, settings=head)
    with pytest.raises(SettingsError, match=r"name='\.\.'"):
        Trial(name="..", labels=6, settings=head)


def test_a_whole_encoder_is_trained_one_at_a_time(head):
    trial = Trial(name="none", labels=6, settings=head)
    assert default_workers([trial]) >= 1
    assert default_workers([trial, replace(trial, settings=replace(head, tune="all"))]) == 1
