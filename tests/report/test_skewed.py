"""Where classes are not equally frequent: what table and page say beside the error, and by what weights were chosen."""

import csv
import json
import re
from pathlib import Path

import pytest

from text_uda.errors import SettingsError
from text_uda.report import build, export, markdown_table
from text_uda.report.grouping import compare
from text_uda.report.load_runs import read_run, read_runs
from text_uda.report.table import class_scores_table

CLASSES = ("billing", "delivery", "returns")
# 700, 200 and 100 rows: the first never says the third class.
ALONE = [[690, 10, 0], [120, 80, 0], [100, 0, 0]]
BETTER = [[650, 40, 10], [40, 140, 20], [20, 10, 70]]


@pytest.fixture
def skewed(make_run) -> list[Path]:
    def run_of(method, seed, confusion, **result):
        rows = sum(map(sum, confusion))
        error = 100 * (rows - sum(row[place] for place, row in enumerate(confusion))) / rows
        chosen = {"selected_by": "macro-f1", "dev_rows": 40} | result
        return make_run(
            method,
            seed,
            error=error,
            classes=CLASSES,
            confusion=confusion,
            result=chosen,
            folder=f"{method}-skewed-{seed}",
        )

    return [
        run_of(method, seed, [[row[0] - seed, row[1] + seed, row[2]] for row in confusion])
        for method, confusion in (("none", ALONE), ("synonym", BETTER))
        for seed in range(2)
    ]


def test_figures_come_from_the_confusion_which_runs_of_all_versions_have(make_run):
    run = read_run(make_run("none", classes=CLASSES, confusion=ALONE, error=23.0))
    recall = (690 / 700 + 80 / 200 + 0) / 3
    assert run.value("test_balanced_error") == pytest.approx(100 * (1 - recall))
    f1 = (2 * 690 / (700 + 910) + 2 * 80 / (200 + 90) + 0) / 3
    assert run.value("test_macro_f1") == pytest.approx(100 * f1)
    assert run.selected_by == "error" and run.dev_rows is None and run.value("dev_rows") is None


def test_the_table_has_the_columns_where_classes_are_skewed(skewed, study):
    (comparison,) = compare(read_runs(skewed))
    assert comparison.skewed and comparison.largest_class == ("billing", pytest.approx(0.7))
    table = markdown_table(skewed)
    assert "| balanced error % | macro-F1 % |" in table
    (line,) = (line for line in table.splitlines() if line.startswith("| labels alone "))
    assert line.split("|")[4].strip() == "53.8 ± 0.8"  # 53.81 and 53.69 by hand, t of 12.7
    assert "macro-F1" not in markdown_table(study) and "balanced" not in markdown_table(study)


def test_all_tables_say_what_chose(skewed, tmp_path):
    markdown, latex, comma_separated = export(skewed, tmp_path)
    words = "weights selected by the macro-F1 of 40 dev rows"
    assert words in markdown.read_text() and words in latex.read_text()
    assert "dev rows |" not in markdown.read_text(), "the caption says it"
    lines = list(csv.DictReader(comma_separated.read_text("utf-8").splitlines()))
    runs = [line for line in lines if line["level"] == "run"]
    assert {(line["dev_rows"], line["selected_by"]) for line in runs} == {("40", "macro-f1")}
    assert float(runs[0]["test_balanced_error"]) == pytest.approx(100 * (1 - (690 / 700 + 0.4) / 3))
    assert all(line["test_macro_f1"] for line in lines if line["level"] == "method")


def test_methods_that_were_chosen_by_other_numbers_of_rows_say_so(make_run):
    alone = make_run("none", result={"selected_by": "last", "dev_rows": 24})
    few = make_run("synonym", result={"selected_by": "error", "dev_rows": 40})
    many = make_run("synonym", 1, result={"selected_by": "error", "dev_rows": 1000})
    earlier = make_run("back-translation")
    (comparison,) = compare(read_runs([alone, few, many, earlier]))
    assert comparison.selected_by == "the error of 40 to 1,000 dev rows, or the last step"
    assert [words for words in comparison.remarks() if words.startswith("1,000 labeled development rows selected")]
    table = markdown_table([alone, few, earlier])
    assert "dev rows |" in table and "by the error of 40 dev rows, or the last step" in table
    head, _, *lines = (line.split("|") for line in table.splitlines()[2:7])
    place = next(index for index, cell in enumerate(head) if cell.strip() == "dev rows")
    assert [line[place].strip() for line in lines] == ["24", "–", "40"]
    fitted = make_run("logistic-regression", result={"selected_by": "last", "dev_rows": 40})
    (comparison,) = compare(read_runs([fitted, few]))
    assert comparison.selected_by == "the error of 40 dev rows", "a baseline has no weights to choose from"
    (comparison,) = compare(read_runs([earlier]))
    assert comparison.selected_by == "" and not [words for words in comparison.remarks() if "selected" in words]
    assert "selected by" not in markdown_table([earlier])


def test_the_configuration_says_how_many_rows_where_the_result_does_not(make_run):
    run = make_run("none")
    config = json.loads((run / "config.json").read_text())
    config["data"]["dev"] = 24
    (run / "config.json").write_text(json.dumps(config))
    assert read_run(run).dev_rows == 24
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"dev_rows": "many"}))
    with pytest.raises(SettingsError, match="'dev_rows'"):
        read_run(run)


def test_runs_of_before_and_after_the_choice_are_of_one_group(make_run):
    runs = [make_run("synonym", 0), make_run("synonym", 1, settings={"select_by": "error"})]
    other = make_run("synonym", 2, settings={"select_by": "last"})
    (comparison,) = compare(read_runs(runs))
    assert len(comparison.groups) == 1
    (comparison,) = compare(read_runs([*runs, other]))
    assert [group.label for group in comparison.groups] == ["synonym (select_by error)", "synonym (select_by last)"]


def test_runs_of_before_and_after_an_objective_had_a_field_are_of_one_group(make_run):
    supervised = {"objective": "Supervised", "tsa": None}
    runs = [make_run("none", 0), make_run("none", 1, objectives=[supervised | {"class_weights": None}])]
    (comparison,) = compare(read_runs(runs))
    assert len(comparison.groups) == 1


@pytest.mark.parametrize(
    ("tune", "encoder", "groups"), [("head", "bert", 2), ("all", "minilm-l6", 2), ("all", "bert", 1)]
)
def test_runs_with_another_head_than_today_are_a_group_of_their_own(make_run, tune, encoder, groups):
    earlier = make_run("synonym", 0, tune=tune, encoder=encoder)
    today = make_run("synonym", 1, tune=tune, encoder=encoder, settings={"head_penalty": None, "patience": None})
    (comparison,) = compare(read_runs([earlier, today]))
    labels = ["synonym (head linear)", "synonym (head not linear)"] if groups == 2 else ["synonym"]
    assert [group.label for group in comparison.groups] == labels


def test_the_table_of_classes(skewed):
    (comparison,) = compare(read_runs(skewed[:1]))
    numbers = class_scores_table(comparison.groups[0])
    assert numbers.columns == ["class", "rows", "precision %", "recall %", "F1 %"]
    assert numbers.rows[0] == ["billing", "700", "75.8", "98.6", "85.7"]
    assert numbers.rows[2] == ["returns", "100", "–", "0.0", "0.0"]


def test_the_page_of_skewed_classes(skewed, study, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    text = build(skewed, tmp_path / "report.html").read_text("utf-8")
    assert re.search(r"<dt>Weights selected by</dt><dd>the macro-F1 of 40 dev rows</dd>", text)
    assert re.search(r"<bdi>billing</bdi>, 70% of the test rows", text)
    assert "The classes differ in size: in macro-F1, where each class has the same weight, synonym has" in text
    assert text.count('<details class="numbers" open><summary>Scores by class</summary>') == 2
    assert re.search(r'<th scope="row"><span dir="auto">returns</span></th><td>200</td><td>–</td>', text)
    text = build(study, tmp_path / "report.html").read_text("utf-8")
    assert (
        text.count('<details class="numbers"><summary>Scores by class</summary>') == 3 and "Largest class" not in text
    )
    assert "Weights selected by" not in text and "macro-F1" not in text
