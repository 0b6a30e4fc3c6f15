"""Beside a run that reads unlabeled texts stands what the labels alone are worth."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.objectives import LogisticRegression, PiModel, Supervised
from text_uda.training import labels_only_reference
from text_uda.training.labels_only_reference import RegressionReference, worse_than
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

GOOD, BAD = ("good", "great", "fine", "best"), ("bad", "poor", "dull", "worst")


def rows(frame: str) -> Rows:
    return Rows(tuple(frame.format(word) for word in (*BAD, *GOOD)), (0,) * 4 + (1,) * 4)


SPLIT = Split("test", ("bad", "good"), rows("the {}"), rows("it is {}").texts, rows("that {}"), rows("a {}"), "0" * 32)
CONSISTENCY = (Supervised(), PiModel())


def settings(encoder: Path, tune: str) -> TrainSettings:
    return TrainSettings(encoder=str(encoder), tune=tune, steps=2, labeled_batch=2, max_tokens=16)


@pytest.mark.parametrize("tune", ["head", "all"])
def test_it_is_the_error_of_a_run_of_logistic_regression(tune, tiny_bert, tmp_path):
    own = settings(tiny_bert, tune)
    result = train(SPLIT, objectives=CONSISTENCY, settings=own, out=tmp_path / "run")
    alone = train(SPLIT, objectives=(LogisticRegression(),), settings=own, out=tmp_path / "alone")
    assert result["baseline"] == {"method": "logistic regression", "dev_error": alone["dev_error"]}
    assert alone["baseline"] is None
    (tmp_path / "run" / "result.json").unlink()
    again = train(SPLIT, objectives=CONSISTENCY, settings=own, out=tmp_path / "run")
    assert again["baseline"] == result["baseline"] and again["warnings"] == result["warnings"]


def test_a_run_on_its_labels_has_none_and_nothing_is_fitted(tiny_bert, tmp_path, monkeypatch):
    def fail(*_arguments, **_named):
        raise AssertionError("the labels alone are held against nothing")

    monkeypatch.setattr(LogisticRegression, "fit", fail)
    own = settings(tiny_bert, "head")
    assert train(SPLIT, objectives=(Supervised(),), settings=own, out=tmp_path / "run")["baseline"] is None


def test_many_labels_and_an_encoder_that_cannot_be_cut_have_none(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr(labels_only_reference, "MAX_LABELS", 7)
    own = settings(tiny_bert, "all")
    assert train(SPLIT, objectives=CONSISTENCY, settings=own, out=tmp_path / "many")["baseline"] is None
    monkeypatch.setattr(labels_only_reference, "MAX_LABELS", 8)

    def refuse(_model):
        raise SettingsError("this head cannot be cut")

    monkeypatch.setattr(labels_only_reference, "check_head_is_separable", refuse)
    assert train(SPLIT, objectives=CONSISTENCY, settings=own, out=tmp_path / "uncut")["baseline"] is None


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_finished_training_stays_so_where_there_is_no_memory_for_it(error, tiny_bert, tmp_path, monkeypatch, caplog):
    def full(*_arguments):
        raise error("tried to allocate")

    monkeypatch.setattr(labels_only_reference, "frozen_encoder", full)
    result = train(SPLIT, objectives=CONSISTENCY, settings=settings(tiny_bert, "all"), out=tmp_path / "run")
    assert result["baseline"] is None and result["steps"] == 2 and (tmp_path / "run" / "result.json").exists()
    assert caplog.text.count("the run has no logistic-regression reference: out of memory") == 1


def test_a_run_that_is_worse_says_so(tiny_bert, tmp_path, monkeypatch):
    right = RegressionReference(SPLIT.dev.labels, 0.0)
    monkeypatch.setattr("text_uda.training.classifier_task.fit_reference", lambda *_: right)
    result = train(SPLIT, objectives=CONSISTENCY, settings=settings(tiny_bert, "head"), out=tmp_path / "run")
    assert result["dev_error"] > 12.5, "two rows at least"
    said = json.loads((tmp_path / "run" / "result.json").read_text())["warnings"]
    assert any("is above 0.0% of logistic regression on the labels alone (8 dev rows" in words for words in said)


def probabilities(wrong: int, rows: int) -> np.ndarray:
    """Right but for the first `wrong` rows, of which class 0 is right."""
    return np.array([[0.0, 1.0]] * wrong + [[1.0, 0.0]] * (rows - wrong))


@pytest.mark.parametrize(
    ("only_run", "only_labels", "said"),
    [(0, 0, None), (1, 0, None), (2, 0, "1.4"), (3, 1, None), (4, 1, "1.3"), (0, 5, None), (12, 4, "2.0")],
)
def test_what_counts_as_worse(only_run, only_labels, said):
    """b - c against sqrt(b + c)."""
    rows = 24
    predicted = [0] * only_run + [1] * only_labels + [0] * (rows - only_run - only_labels)
    alone = RegressionReference(predicted, 100 * only_labels / rows)
    words = worse_than(alone, probabilities(only_run, rows), [0] * rows)
    if said is None:
        assert words is None
    else:
        assert words is not None and f"24 dev rows, {said} standard errors" in words
        assert f"dev error {100 * only_run / rows:.1f}% is above {100 * only_labels / rows:.1f}%" in words
