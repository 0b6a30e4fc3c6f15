"""The development rows pick among the text, the columns and the three fusions, and the run says so."""

import json
import random

import pandas as pd
import pytest

from text_uda.data import load, split
from text_uda.errors import SettingsError
from text_uda.fusion import Choose
from text_uda.fusion.choose import pick
from text_uda.objectives import Supervised
from text_uda.runs.prediction import TrainedClassifier
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

MODES = ["text", "columns", "late", "intermediate", "early"]


def corpus(*, telling: str):
    """Rows whose class stands in the text or in the column, and the other is noise."""
    draw = random.Random(0)
    rows = []
    for number in range(160):
        label = draw.choice(["new", "old"])
        word = label if telling == "text" else draw.choice(["new", "old"])
        of_column = label if telling == "columns" else draw.choice(["new", "old"])
        year = {"new": 2000, "old": 1950}[of_column] + draw.random()
        rows.append({"text": f"the film number {number} is {word}", "label": label, "year": year})
    return load(pd.DataFrame(rows), numeric="year")


def test_the_mode_with_the_best_figure_is_picked_and_of_equal_ones_the_simpler():
    results = {
        name: {"dev_error": error, "dev_macro_f1": 100 - error} for name, error in zip("abc", (9, 5, 5), strict=True)
    }
    assert pick(results, "error") == {"picked": "b", "by": "dev_error", "figures": {"a": 9, "b": 5, "c": 5}}
    assert pick(results, "last")["picked"] == pick(results, "macro-f1")["picked"] == "b"
    with pytest.raises(SettingsError, match="there are none: draw some"):
        pick({"a": {"dev_error": None}}, "error")


def test_columns_that_tell_the_class_are_picked_and_the_run_says_so(tiny_bert, tmp_path):
    settings = TrainSettings(encoder=str(tiny_bert), tune="head", steps=40, labeled_batch=8, evaluate_every=40, seed=1)
    parts = split(corpus(telling="columns"), labels=20, seed=0)
    fusion, out = Choose(learning_rate=0.03), tmp_path / "run"
    result = train(parts, objectives=(Supervised(),), settings=settings, fusion=fusion, out=out)
    choice = json.loads((out / "result.json").read_text("utf-8"))["choice"]
    assert result["choice"] == choice and list(choice["figures"]) == MODES
    assert choice["picked"] != "text" and result["test_error"] < 10
    assert result["dev_error"] == choice["figures"][choice["picked"]] == min(choice["figures"].values())
    assert sorted(path.name for path in (tmp_path / "run-modes").iterdir()) == sorted(MODES)
    assert TrainedClassifier.open(out).other_columns.names == ("year",)
    again = train(parts, objectives=(Supervised(),), settings=settings, fusion=fusion, out=out)
    assert again == result
