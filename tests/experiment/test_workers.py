"""Trials in several processes do not affect each other."""

import os
import signal
import threading
import time

import pytest
from fake_runner import FakeRunner

from text_uda.errors import UserError
from text_uda.experiment.trial import Trial
from text_uda.experiment.workers import run_trials
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted

pytestmark = pytest.mark.slow


def trials(*names: str) -> list[Trial]:
    return [Trial(name=name, labels=4, settings=TrainSettings(steps=1)) for name in names]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_trial_ends_nothing_but_itself(workers, tmp_path):
    names = ["good-1", "refused", "broken", *(["dying"] if workers > 1 else []), "good-2", "good-3"]
    results = run_trials(trials(*names), FakeRunner(tmp_path), workers=workers, logs=tmp_path / "logs")
    errors = {trial.name: error for trial, error in results}
    assert set(errors) == set(names) and [errors[name] for name in ("good-1", "good-2", "good-3")] == [None] * 3
    assert errors["refused"] == "ask for fewer labels"
    assert errors["broken"] is not None and errors["broken"].startswith("RuntimeError: no such thing (see ")
    assert "no such thing" in (tmp_path / "logs" / "broken-seed-0.txt").read_text()
    assert {path.stem for path in tmp_path.glob("*.done")} == {f"good-{n}-seed-0" for n in (1, 2, 3)}
    if workers > 1:
        assert errors["dying"] is not None and "its process died (exit code 9" in errors["dying"]
        pids = [(tmp_path / f"{name}-seed-0.started").read_text() for name in names]
        assert str(os.getpid()) not in pids and len(set(pids)) >= 3
        after = names.index("broken") + 1
        assert pids[after - 1] not in pids[after:], "the state of a broken process is unknown"


def test_processes_that_cannot_begin_end_the_study(tmp_path):
    with pytest.raises(UserError, match=r"no process of the study can start: .*exit code 1"):
        list(run_trials(trials("a", "b", "c"), FakeRunner(tmp_path, unreadable=True), workers=2, logs=tmp_path))


def test_stopped_by_a_signal_nothing_is_left_at_work(tmp_path):
    def stop() -> None:
        while len(list(tmp_path.glob("*.started"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Interrupted):
        list(run_trials(trials("long", "deaf", "good"), FakeRunner(tmp_path), workers=2, logs=tmp_path))
    for path in tmp_path.glob("*.started"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
    assert not list(tmp_path.glob("good*")) and [path.name for path in tmp_path.glob("*.done")] == ["deaf-seed-0.done"]
