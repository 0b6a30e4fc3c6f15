"""By what the development split chooses the weights, what the result says of it, and that a stop changes nothing."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.runs.evaluation import Evaluation, score
from text_uda.training import checkpoint
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted, StopRequest
from text_uda.training.train_classifier import train

WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")
# Of 8 development rows with the labels 0 0 0 0 0 0 1 1: what the weights say after 2, 4, 6 and 8 steps.
ANSWERS = ([0] * 8, [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1], [1] * 8)
CHOSEN = {"error": 2, "macro-f1": 4, "balanced-error": 4, "last": 8}
"""Errors 25, 25, 25, 75; balanced 50, 16.7, 16.7, 50."""


@pytest.fixture(scope="module")
def split() -> Split:
    def rows(frame: str) -> Rows:
        return Rows(tuple(frame.format(word) for word in WORDS), (0, 0, 0, 0, 0, 0, 1, 1))

    return Split("test", ("bad", "good"), rows("the {}"), (), rows("{} it was"), rows("so {}"), "0" * 32)


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(
        encoder=str(tiny_bert), tune="last:1", steps=8, labeled_batch=4, evaluate_every=2, checkpoint_every=3
    )


@pytest.fixture
def saying(monkeypatch):
    """Looks at the development rows in the course of training find ANSWERS."""

    def look(self, done: int) -> Evaluation:
        with monkeypatch.context() as patch:
            answers = np.eye(2)[ANSWERS[done // 2 - 1]]
            patch.setattr(FineTuning, "_dev_evaluation", lambda _self, _model: score(answers, labels))
            return consider(self, done)

    labels, consider = np.array([0, 0, 0, 0, 0, 0, 1, 1]), FineTuning.evaluate
    monkeypatch.setattr(FineTuning, "evaluate", look)


def trained(split: Split, settings: TrainSettings, out: Path, **more) -> dict:
    return train(split, objectives=(Supervised(),), settings=settings, out=out, **more)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.mark.parametrize("by", list(CHOSEN))
def test_the_criterion_chooses_and_a_tie_keeps_the_earlier(by, split, settings, tmp_path, saying):
    result = trained(split, replace(settings, select_by=by), tmp_path / "run")
    assert result["best_step"] == CHOSEN[by] and result["selected_by"] == by and result["dev_rows"] == 8
    same = trained(split, replace(settings, steps=CHOSEN[by], select_by="last"), tmp_path / "same")
    assert same["best_step"] == CHOSEN[by]


def test_the_last_weights_are_the_last(split, settings, tmp_path):
    result = trained(split, replace(settings, select_by="last"), tmp_path / "run")
    for name in ("error", "macro_f1", "balanced_error"):
        assert result[f"test_{name}"] == result[f"last_test_{name}"]
        assert result[f"dev_{name}"] == result[f"last_dev_{name}"]
    assert result["per_class"]["test"] == result["per_class"]["last_test"]


@pytest.mark.parametrize("by", list(CHOSEN))
@pytest.mark.parametrize("stop_at", [3, 5, 7])
def test_a_stop_changes_no_choice_and_no_warning(by, stop_at, split, settings, tmp_path, saying, monkeypatch):
    settings = replace(settings, select_by=by)
    whole = trained(split, settings, tmp_path / "whole")
    update = FineTuning.update

    def stopping(self, step, batch):
        if step == stop_at:
            raise Interrupted("stop")
        return update(self, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(FineTuning, "update", stopping)
        with pytest.raises(Interrupted):
            trained(split, settings, tmp_path / "parts")
    parts = trained(split, settings, tmp_path / "parts")
    own = ("run", "seconds", "cpu_seconds")
    assert {k: v for k, v in parts.items() if k not in own} == {k: v for k, v in whole.items() if k not in own}
    assert all(
        torch.equal(value, weights(tmp_path / "parts")[name]) for name, value in weights(tmp_path / "whole").items()
    )
    looks = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    looks = [look for look in looks if look["kind"] == "dev"]
    assert [look["step"] for look in looks] == [2, 4, 6, 8]
    assert all(look["rows"] == 8 and look["majority_share"] == 0.75 and "macro_f1" in look for look in looks)


@pytest.mark.parametrize(
    ("by", "patience", "end"), [("error", 1, 4), ("error", 2, 6), ("macro-f1", 1, 6), ("error", 3, 8)]
)
def test_patience_ends_the_run(by, patience, end, split, settings, tmp_path, saying, monkeypatch):
    """Equal ones are no better; a run that is stopped at any step ends where it would have."""
    settings = replace(settings, select_by=by, patience=patience)
    whole = trained(split, settings, tmp_path / "whole")
    assert whole["steps"] == end and whole["best_step"] == CHOSEN[by]
    metrics = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in metrics if record["kind"] == "dev"] == [*range(2, end + 1, 2)]
    with pytest.raises(SettingsError, match="patience"):  # and it is kept to
        trained(split, replace(settings, patience=patience + 1), tmp_path / "whole")
    own = ("run", "seconds", "cpu_seconds")
    for stop_after in (end - 1, end):
        out, asked = tmp_path / f"stopped-after-{stop_after}", count(1)
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match=f"after step {stop_after} of 8"):
            patch.setattr(StopRequest, "is_set", lambda _self, asked=asked, n=stop_after: next(asked) == n)
            trained(split, settings, out)
        parts = trained(split, settings, out)
        assert {k: v for k, v in parts.items() if k not in own} == {k: v for k, v in whole.items() if k not in own}
        assert all(torch.equal(value, weights(out)[name]) for name, value in weights(tmp_path / "whole").items())


def test_the_result_has_scores_of_each_class(split, settings, tmp_path):
    result = trained(split, settings, tmp_path / "run")
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    for of in ("dev", "test", "last_dev", "last_test"):
        bad, good = result["per_class"][of]
        assert (bad["class"], bad["support"], good["class"], good["support"]) == ("bad", 6, "good", 2)
        assert result[f"{of}_balanced_error"] == pytest.approx(100 - (bad["recall"] + good["recall"]) / 2)
        assert result[f"{of}_macro_f1"] == pytest.approx(np.mean([c["f1"] for c in (bad, good) if c["f1"] is not None]))


def test_a_run_of_a_version_without_the_choice_goes_on(split, settings, tmp_path, monkeypatch):
    """Its configuration has no `select_by`, and its checkpoint the error under that name."""
    update = FineTuning.update

    def stopping(self, step, batch):
        if step == 7:
            raise Interrupted("stop")
        return update(self, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(FineTuning, "update", stopping)
        with pytest.raises(Interrupted):
            trained(split, settings, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["settings"]["select_by"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (file,) = (tmp_path / "run" / "checkpoints").glob("*/state.json")
    state = json.loads(file.read_text())
    state["best"]["error"] = state["best"].pop("criterion")
    del state["digest"]
    file.write_text(json.dumps(state | {"digest": checkpoint._state_digest(state)}))
    with pytest.raises(SettingsError, match="select_by: error in the run, last now"):
        trained(split, replace(settings, select_by="last"), tmp_path / "run")
    again, whole = trained(split, settings, tmp_path / "run"), trained(split, settings, tmp_path / "whole")
    assert (again["best_step"], again["dev_error"]) == (whole["best_step"], whole["dev_error"])


def test_another_criterion_is_refused():
    with pytest.raises(SettingsError, match="choose error, macro-f1, balanced-error, last"):
        TrainSettings(select_by="accuracy")  # pyright: ignore[reportArgumentType]
