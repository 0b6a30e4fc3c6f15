"""One call at a time writes to a run directory; reading a finished run needs no lock."""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.runs import run_lock
from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_lock import claimed
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.masked_language_modeling import MaskedLanguageModeling
from text_uda.training.pretraining import PretrainSettings, pretrain
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

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
