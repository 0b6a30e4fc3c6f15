"""One call at a time writes to a run directory; reading a finished run needs no lock."""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.runs import run_lock
from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_lock import claimed, remove_models
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.masked_language_modeling import MaskedLanguageModeling
from text_uda.training.pretraining import PretrainSettings, pretrain
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train
from translation_cache.atomic import PREFIX
from translation_cache.file_lock import exclusive_lock

CONFIG = {"name": "a", "settings": {"steps": 10}}


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch):
    monkeypatch.setattr(run_lock, "WAIT_S", 0)


def claim(folder, **options: Any):
    return claimed(RunDirectory(folder), CONFIG, **{"resume": True, "inputs": ()} | options)


@pytest.fixture
def calls(tiny_bert) -> dict[type, Callable[..., dict[str, Any]]]:
    rows = Rows(("good film", "bad plot", "best love", "worst actor"), (0, 1, 0, 1))
    split = Split("test", ("good", "bad"), rows, ("fine",), rows, rows, "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, max_tokens=16)
    masked = PretrainSettings(encoder=str(tiny_bert), steps=2, max_tokens=16, tokens_per_step=32)
    return {
        FineTuning: lambda out, seed=0: train(
            split, objectives=(Supervised(),), settings=replace(settings, seed=seed), out=out, resume=not seed
        ),
        MaskedLanguageModeling: lambda out, seed=0: pretrain(
            rows.texts, settings=replace(masked, seed=seed), out=out, resume=not seed
        ),
    }


@pytest.mark.parametrize("kind", [FineTuning, MaskedLanguageModeling])
def test_a_second_call_is_refused_and_damages_nothing(calls, kind, tmp_path, monkeypatch):
    """The second call, with the same settings or with others and resume=False, comes within a step of the first."""
    run, errors = tmp_path / "run", []
    update = kind.update

    def with_another_call(self, step, batch):
        for seed in (0, 1):
            with pytest.raises(SettingsError) as refused:
                calls[kind](run, seed)
            errors.append(str(refused.value))
        return update(self, step, batch)

    monkeypatch.setattr(kind, "update", with_another_call)
    result = calls[kind](run)
    assert errors == [f"another process writes to {run}: wait for it, stop it, or name another folder"] * 4
    monkeypatch.setattr(kind, "update", update)
    assert result["model_files"] == calls[kind](tmp_path / "alone")["model_files"]
    RunDirectory(run).check_model()


def test_a_finished_run_is_read_without_a_lock(calls, tmp_path):
    run = tmp_path / "run"
    result = calls[FineTuning](run)
    (run / ".lock").unlink()
    assert calls[FineTuning](run) == result
    assert not (run / ".lock").exists()


def finished(folder):
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    for name in ("config.json", "result.json"):
        (folder / name).write_text(json.dumps(CONFIG))
    return RunDirectory(folder)


def test_a_model_is_removed_by_one_call_at_a_time(tmp_path, monkeypatch):
    run, refit = finished(tmp_path / "run"), finished(tmp_path / "run" / "refit")
    mode = finished(tmp_path / "run-modes" / "text")
    rest = run.path / f"{PREFIX}model.0123456789ab"  # a live process removes it, or a killed one did
    rest.mkdir()
    with exclusive_lock(run.path / ".lock", wait_s=0):
        with pytest.raises(SettingsError, match=f"another process writes to {run.path}: wait for it"):
            remove_models(run)
        assert run.model.exists() and refit.model.exists() and rest.exists()
    remove_models(run)
    assert not any(one.holds_model() for one in (run, refit, mode)) and run.result() is not None


def test_a_model_that_another_call_has_removed_is_done(tmp_path, monkeypatch):
    """The other call is faster by the wait for the lock, or, without locks, by a step of the removal."""
    rename = Path.rename

    @contextmanager
    def after_the_other(_path, *, wait_s):
        rename(first.model, tmp_path / "gone")
        yield True

    def after_another(path, target):
        rename(path, tmp_path / "gone too")
        return rename(path, target)

    first, second = finished(tmp_path / "first"), finished(tmp_path / "second")
    with monkeypatch.context() as patch:
        patch.setattr(run_lock, "exclusive_lock", after_the_other)
        remove_models(first)
    monkeypatch.setattr(Path, "rename", after_another)
    remove_models(second)
    assert not first.holds_model() and not second.holds_model()


def test_a_link_as_a_lock_is_refused_and_its_target_whole(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with claim(tmp_path / "run") as is_new:
        assert is_new
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(SettingsError, match=r"\.lock is a symbolic link: remove it"), claim(tmp_path / "run"):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    def no_locks(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with claim(tmp_path / "run") as is_new:
        assert is_new
    assert "has no locks; run one process at a time" in caplog.text


@pytest.mark.parametrize("resume", [True, False])
def test_no_lock_is_put_into_the_folder_of_somebody_else(tmp_path, resume):
    (tmp_path / "config.json").write_text(json.dumps({"name": "app"}))
    with pytest.raises(SettingsError, match="not of a run"), claim(tmp_path, resume=resume):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_call_that_fails_before_it_writes_leaves_no_folder(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyError), claim(run) as is_new:
        assert is_new
        RunDirectory(run).discard()
        raise KeyError
    assert not run.exists()
    run.mkdir()  # of the user, with permissions of the user's choice
    with pytest.raises(KeyError), claim(run):
        RunDirectory(run).discard()
        raise KeyError
    assert run.exists() and not any(run.iterdir())
