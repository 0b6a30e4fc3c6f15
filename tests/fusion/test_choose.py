"""The development rows pick among the text, the columns and the three fusions, and the run says so."""

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from text_uda.data import Rows, load, split
from text_uda.errors import SettingsError
from text_uda.fusion import Choose
from text_uda.fusion.choose import pick
from text_uda.objectives import Supervised
from text_uda.runs.decisive_settings import decisive_but_seed
from text_uda.runs.prediction import TrainedClassifier
from text_uda.training import classifier_task, stop_signals, train_classifier
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train

MODES = ["text", "columns", "late", "intermediate", "early"]


def corpus(*, telling: str):
    """Rows whose class stands in the text or in the column, and the other is noise."""
    draw = random.Random(0)
    rows = []
    for number in range(100):
        label = draw.choice(["new", "old"])
        word = label if telling == "text" else draw.choice(["new", "old"])
        of_column = label if telling == "columns" else draw.choice(["new", "old"])
        year = {"new": 2000, "old": 1950}[of_column] + draw.random()
        rows.append({"text": f"the film number {number} is {' '.join([word] * 5)}", "label": label, "year": year})
    return load(pd.DataFrame(rows), numeric="year")


def test_the_mode_with_the_best_figure_is_picked_and_of_equal_ones_the_simpler():
    results = {
        name: {"dev_error": error, "dev_macro_f1": 100 - error} for name, error in zip("abc", (9, 5, 5), strict=True)
    }
    assert pick(results, "error") == {"picked": "b", "by": "dev_error", "figures": {"a": 9, "b": 5, "c": 5}}
    assert pick(results, "last")["picked"] == pick(results, "macro-f1")["picked"] == "b"


@pytest.fixture
def settings(tiny_bert):
    return TrainSettings(
        encoder=str(tiny_bert), tune="head", steps=15, labeled_batch=8, evaluate_every=15, max_tokens=16, seed=1
    )


def test_columns_that_tell_the_class_are_picked_and_the_run_says_so(settings, tmp_path):
    parts = split(corpus(telling="columns"), labels=20, seed=0)
    fusion, out = Choose(learning_rate=0.1), tmp_path / "run"
    result = train(parts, objectives=(Supervised(),), settings=settings, fusion=fusion, out=out)
    choice = json.loads((out / "result.json").read_text("utf-8"))["choice"]
    assert result["choice"] == choice and list(choice["figures"]) == MODES
    assert choice["picked"] != "text" and result["test_error"] < 10
    assert result["dev_error"] == choice["figures"][choice["picked"]] == min(choice["figures"].values())
    assert sorted(path.name for path in (tmp_path / "run-modes").iterdir()) == sorted(MODES)
    assert TrainedClassifier.open(out).other_columns.names == ("year",)
    config = json.loads((out / "config.json").read_text("utf-8"))
    assert config["method"] == "none, chosen mode" and config["fusion"]["fusion"] == choice["picked"]
    shared = decisive_but_seed(config)
    assert shared["fusion"]["fusion"] == "choose", "runs of other seeds are of one group, whatever they picked"
    other = config | {"objectives": [], "fusion": config["fusion"] | {"fusion": "another"}}
    assert decisive_but_seed(other) == shared and "unlabeled" not in shared["data"]
    again = train(parts, objectives=(Supervised(),), settings=settings, fusion=fusion, out=out)
    assert again == result


def test_a_fusion_that_loses_to_the_text_is_not_picked(settings, tmp_path):
    """The columns are noise, which the fusions learn by heart."""
    parts = split(corpus(telling="text"), labels=30, seed=0)
    options = {"objectives": (Supervised(),), "settings": replace(settings, tune="all", learning_rate=1e-2)}
    result = train(parts, **options, fusion=Choose(learning_rate=1.0), out=tmp_path / "run")
    figures = result["choice"]["figures"]
    assert result["choice"]["picked"] == "text" and figures["text"] < 20 < figures["columns"]
    assert figures["text"] < max(figures["late"], figures["intermediate"], figures["early"])
    assert "modes" not in result and TrainedClassifier.open(tmp_path / "run").columns is None


def test_the_time_limit_is_that_of_all_modes(settings, tmp_path, monkeypatch):
    clock, train_loop = [0.0], train_classifier.train_loop

    def slow(run, stop):
        result = train_loop(run, stop)
        clock[0] += 49 * 60
        return result

    monkeypatch.setattr(stop_signals, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(train_classifier, "train_loop", slow)
    parts = split(corpus(telling="columns"), labels=20, seed=0)
    options = {"objectives": (Supervised(),), "settings": replace(settings, steps=2), "fusion": Choose()}
    with pytest.raises(Interrupted, match="limit of 50 minutes"):
        train(parts, **options, out=tmp_path / "run", max_minutes=50)
    finished = sorted(path.parent.name for path in (tmp_path / "run-modes").glob("*/result.json"))
    assert finished == ["columns", "text"]


def test_what_no_mode_can_do_is_said_before_the_first_run(settings, tmp_path, monkeypatch):
    parts = split(corpus(telling="columns"), labels=20, seed=0)
    options = {"objectives": (Supervised(),), "settings": settings, "fusion": Choose(), "out": tmp_path / "run"}
    with pytest.raises(SettingsError, match=r"DataFrame has none: draw some \(--dev N\)"):
        train(replace(parts, dev=Rows((), ())), **options)

    def fails(_model, plan):
        if plan.settings.name == "early":
            raise SettingsError("early fusion does not work")

    monkeypatch.setattr(classifier_task, "check_fusion_works", fails)
    with pytest.raises(SettingsError, match="early fusion does not work"):
        train(parts, **options)
    assert not list(tmp_path.iterdir())
