"""The study of fusion: its trials, what its runner makes of them, and the report."""

import random
from dataclasses import replace

import pytest
from click.testing import CliRunner

from text_uda.cli.verb_ablate import ablate
from text_uda.data import Corpus, Rows
from text_uda.data.row_columns import OtherColumns, RowText
from text_uda.errors import SettingsError
from text_uda.experiment import STUDIES, Trial, run_study, setting
from text_uda.experiment.cost import _rows
from text_uda.fusion import Choose, ColumnsAlone, Early, Late, TextAlone
from text_uda.objectives import LogisticRegression, Supervised
from text_uda.report import read
from text_uda.report.table import rows
from text_uda.tasks.joint import Joint

COLUMNS = OtherColumns(numeric=("year",))
TEXTS = tuple(RowText(f"text {n}", COLUMNS, (float(n),)) for n in range(200))
CORPUS = Corpus("films", "", ("old", "new"), Rows(TEXTS, tuple(n % 2 for n in range(200))), Rows((), ()))


def test_the_study_has_baselines_and_the_modes_with_consistency_and_without(caplog):
    trials = list(STUDIES["fusion"](setting(CORPUS, "small", seeds=3, few=8)))
    assert len({trial.folder for trial in trials}) == len({trial.digest() for trial in trials}) == len(trials) == 30
    assert {trial.labels for trial in trials} == {8, 80}
    baselines = [trial for trial in trials if trial.objectives == (LogisticRegression(),)]
    assert [trial.fusion for trial in baselines[:3]] == [TextAlone(), ColumnsAlone(hidden=None), Late(hidden=None)]
    modes = [trial for trial in trials if trial.fusion == Choose()]
    assert {(trial.name, trial.augmentation is None) for trial in modes} == {
        *(("none-8", True), ("switchout-8", False), ("none-80", True), ("switchout-80", False))
    }
    seeds = [trial.settings.seed for trial in trials]
    assert seeds == sorted(seeds), "a study that is cut has whole seeds"
    per_row = {trial.name: _rows(trial, 1) for trial in modes}
    assert per_row["none-8"] == 6 * 8 and per_row["switchout-8"] == 5 * 8 * (1 + 2 * 7) + 8
    few = list(STUDIES["fusion"](setting(CORPUS, "small", few=60)))
    assert {trial.labels for trial in few} == {60}
    assert "no runs with 600 labels: the data has at most 198 for training" in caplog.text


def test_texts_alone_are_no_study_of_fusion(tiny_bert, tmp_path):
    plain = replace(CORPUS, train=Rows(tuple(map(str, TEXTS)), CORPUS.train.labels))
    with pytest.raises(SettingsError, match="needs rows with other columns: --data wordnet-14 or films"):
        list(STUDIES["fusion"](setting(plain, "small")))
    with pytest.raises(SettingsError, match="several tasks read texts without other columns"):
        Trial(name="a", labels=6, settings=setting(plain, "small").settings, fusion=Early(), task_method=Joint())
    result = CliRunner().invoke(ablate, ["tsa", "--data", "films", "--numeric", "year", "--out", str(tmp_path)])
    assert isinstance(result.exception, SettingsError) and "the study tsa reads texts alone" in str(result.exception)


@pytest.fixture
def films(tmp_path):
    """The year says the class, and the text does not."""
    draw = random.Random(0)
    lines = ["text,label,year"]
    for number in range(120):
        label = draw.choice(["old", "new"])
        lines.append(f"the film number {number},{label},{(1950 if label == 'old' else 2000) + draw.random()}")
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    return {"source": str(tmp_path / "films.csv"), "numeric": "year"}


def test_modes_are_compared_with_the_text_by_the_same_method(films, head, tmp_path):
    settings = replace(head, steps=20, evaluate_every=20, select_by="last")
    choose = Choose(learning_rate=0.1)
    trials = [
        Trial(name=name, labels=12, objectives=(objective,), settings=replace(settings, seed=seed), fusion=fusion)
        for seed in (0, 1)
        for name, objective, fusion in (
            ("regression", LogisticRegression(), TextAlone()),
            ("regression-both", LogisticRegression(), Late(hidden=None)),
            ("none", Supervised(), choose),
        )
    ]
    outcome = run_study(trials, films, out=tmp_path / "study", workers=1, keep_models=False)
    assert not outcome.failed and len(outcome.finished) == 2 * (2 + 6)
    assert not [run for run in outcome.finished if (run / "model").exists()]
    assert run_study(trials, films, out=tmp_path / "study", workers=1) == outcome
    report = read(outcome.finished)
    (comparison,) = report.comparisons
    groups = {group.label: group for group in comparison.groups}
    assert list(groups) == [
        *("logistic regression", "logistic regression, late fusion", "labels alone", "labels alone, chosen mode"),
        *("labels alone, columns alone", "labels alone, early fusion", "labels alone, intermediate fusion"),
        "labels alone, late fusion",
    ]
    assert comparison.baseline is groups["labels alone"], "the text alone is the baseline"
    errors = {label: group.by_seed("test_error") for label, group in groups.items()}
    for label, base in {
        "labels alone, late fusion": "labels alone",
        "logistic regression, late fusion": "logistic regression",
    }.items():
        expected = {seed: errors[label][seed] - errors[base][seed] for seed in (0, 1)}
        assert comparison.against_text(groups[label]) == expected and min(expected.values()) < -20
    assert comparison.against_text(groups["labels alone"]) == {}
    picks = [remark for remark in comparison.remarks() if "picked" in remark]
    assert len(picks) == 1 and picks[0].startswith("labels alone, chosen mode: the development rows picked ")
    shown = {line[0]: dict(zip(rows(comparison)[0], line, strict=True)) for line in rows(comparison)}
    assert shown["labels alone"]["other columns %"] == "–"
    assert float(shown["labels alone, late fusion"]["other columns %"].split()[0]) > 30
    page = report.page(tmp_path / "report.html").read_text("utf-8")
    assert picks[0] in page and "other columns %" in page and "vs text" in page
