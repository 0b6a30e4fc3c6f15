"""What is held against what: groups over seeds, paired differences, remarks."""

import pytest

from text_uda.report import markdown_table
from text_uda.report.grouping import compare, flat
from text_uda.report.load_runs import read_runs
from text_uda.report.table import NOTHING, group_cell, run_cell

DATA = {"name": "movie-snippets", "classes": ["negative", "positive"], "test_digest": "test-rows"}


def compared(runs):
    return compare(read_runs(runs))


def test_groups_differ_by_more_than_the_seed(study):
    (comparison,) = compared(study)
    assert [group.label for group in comparison.groups] == ["labels alone", "back-translation", "synonym"]
    assert [group.seeds for group in comparison.groups] == [[0, 1, 2]] * 3
    assert [group.colour for group in comparison.groups] == [0, 1, 2]
    assert not list(comparison.remarks())


def test_the_order_of_the_runs_does_not_matter(study):
    assert markdown_table(study) == markdown_table(study[::-1])


def test_groups_of_one_method_are_told_apart(make_run):
    runs = [make_run("synonym", seed, augmentation={"rate": rate}, folder=f"{rate}-{seed}")
            for rate in (10.5, 9) for seed in (0, 1)]  # fmt: skip
    (comparison,) = compared(runs)
    assert [group.label for group in comparison.groups] == ["synonym (rate 9)", "synonym (rate 10.5)"]


def test_which_classes_have_a_label_more_is_of_the_seed_and_how_they_are_drawn_is_not(make_run):
    data = {
        "name": "a",
        "classes": ["negative", "positive"],
        "test_digest": "t",
        "dev": 40,
        "label_sampling": "balanced",
    }
    drawn = [data | {"digest": str(seed), "labels_per_class": [20 + seed, 21 - seed]} for seed in (0, 1)]
    runs = [make_run("synonym", seed, data=drawn[seed], folder=f"balanced-{seed}") for seed in (0, 1)]
    (comparison,) = compared(runs)
    assert [group.seeds for group in comparison.groups] == [[0, 1]]
    other = make_run("synonym", 0, data=drawn[0] | {"digest": "p", "label_sampling": "proportional"}, folder="other")
    (comparison,) = compared([*runs, other])
    assert [group.seeds for group in comparison.groups] == [[0, 1], [0]]


def test_a_setting_is_named_once(make_run):
    runs = [make_run("none", 0, steps=n, settings={"steps": n}, folder=f"n{n}") for n in (10, 20)]
    assert [group.label for group in compared(runs)[0].groups] == ["labels alone (steps 10)", "labels alone (steps 20)"]


def test_other_objectives_are_named(make_run):
    other = [{"objective": "Supervised", "tsa": None}, {"objective": "FixMatch", "weight": 1.0}]
    runs = [make_run("synonym", 0), make_run("synonym", 0, objectives=other, folder="fixmatch")]
    labels = [group.label for group in compared(runs)[0].groups]
    assert labels == ["synonym (objectives Supervised, FixMatch)", "synonym (objectives Supervised, UDA)"]


def labels_of(runs) -> list[str]:
    return [group.label for group in compared(runs)[0].groups]


def test_settings_beyond_the_third_are_told_where_they_are_needed(make_run):
    """Labels are keys: of two groups with one label one would show the other's numbers."""
    settings = [{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, {"a": 2, "b": 2, "c": 2, "d": 2, "e": 2}]
    runs = [make_run("synonym", 0, augmentation=own, folder=str(index)) for index, own in enumerate(settings)]
    assert labels_of(runs) == ["synonym (a 1, b 1, c 1, …)", "synonym (a 2, b 2, c 2, …)"]
    runs.append(make_run("synonym", 0, augmentation=settings[1] | {"e": 3}, folder="further", error=1.0))
    assert labels_of(runs) == [
        "synonym (a 1, b 1, c 1, e 1, …)",
        "synonym (a 2, b 2, c 2, e 2, …)",
        "synonym (a 2, b 2, c 2, e 3, …)",
    ]
    errors = [group.by_seed("test_error") for group in compared(runs)[0].groups]
    assert errors == [{0: 20.0}, {0: 20.0}, {0: 1.0}]


def test_settings_of_objectives_are_told_last_and_where_they_are_needed(make_run):
    uda = [{"objective": "Supervised"}, {"objective": "UDA", "weight": 1.0}]
    other = [{"objective": "Supervised"}, {"objective": "UDA", "weight": 2.0}]
    runs = [
        make_run("synonym", 0, objectives=objectives, folder=str(index))
        for index, objectives in enumerate((uda, other, uda[:1]))
    ]
    assert labels_of(runs) == [
        "synonym (objectives Supervised, UDA, weight 1.0)",
        "synonym (objectives Supervised, UDA, weight 2.0)",
        "synonym (objectives Supervised, no weight)",
    ]


def test_names_that_hold_what_labels_say_are_still_told_apart(make_run):
    runs = [make_run("none", 0), make_run("labels alone", 0)]
    runs += [make_run("m", 0, augmentation=own, folder=f"m{n}") for n, own in enumerate(({}, {"rate": "absent"}))]
    runs += [make_run("m", 1, augmentation={"rate": None}, folder="null")]
    labels = labels_of(runs)
    assert len(set(labels)) == 5 and {"labels alone", "labels alone #2"} < set(labels)


def test_other_labels_data_and_encoders_are_not_compared(make_run):
    runs = [make_run("none", 0, folder="a"), make_run("none", 0, labels=9, folder="b")]
    runs += [make_run("none", 0, encoder="other", folder="c"), make_run("none", 0, tune="all", folder="d")]
    comparisons = compared(runs)
    assert len(comparisons) == 4
    assert comparisons[0].config["labels"] == 9


def test_differences_are_paired_by_seed(make_run):
    # The seeds differ widely, the difference does not.
    runs = [make_run("none", seed, error=error) for seed, error in enumerate((10.0, 20.0, 30.0))]
    runs += [make_run("synonym", seed, error=error) for seed, error in enumerate((9.0, 18.9, 29.1, 50.0))]
    (comparison,) = compared(runs)
    change = comparison.against_baseline(comparison.groups[1])
    assert change is not None and change.count == 3
    assert change.mean == pytest.approx(-1.0) and change.half_width == pytest.approx(0.2484, abs=1e-3)
    assert comparison.against_baseline(comparison.groups[0]) is None


BASELINES = ("self-training", "logistic-regression")


def test_the_baselines_come_first_then_labels_alone(make_run):
    runs = [make_run(method, 0) for method in ("synonym", "none", "eda", *BASELINES)]
    assert labels_of(runs) == ["logistic regression", "self-training", "labels alone", "eda", "synonym"]
    (comparison,) = compared(runs)
    assert comparison.baseline is not None and comparison.baseline.method == "none"
    assert list(comparison.between) == [("eda", "synonym")], "methods against methods"
    assert set(comparison.contrasts) == {"logistic regression", "self-training", "eda", "synonym"}


def test_the_difference_to_logistic_regression_is_paired_by_seed(make_run):
    runs = [make_run("logistic-regression", seed, error=error) for seed, error in enumerate((10.0, 20.0))]
    runs += [make_run("synonym", seed, error=error) for seed, error in enumerate((9.0, 18.0, 50.0))]
    (comparison,) = compared(runs)
    regression, synonym = comparison.groups
    assert comparison.against_regression(synonym) == {0: -1.0, 1: -2.0}
    assert comparison.against_regression(regression) == {}
    assert group_cell(comparison, synonym, "against_regression").startswith("\N{MINUS SIGN}1.5")
    assert run_cell(comparison, synonym, synonym.runs[0], "against_regression") == "\N{MINUS SIGN}1.0"
    assert group_cell(comparison, regression, "against_regression") == NOTHING


def test_unlabeled_texts_are_no_setting_of_logistic_regression(make_run):
    for method, groups in (("logistic-regression", 1), ("self-training", 2)):
        runs = []
        for seed, unlabeled in enumerate((100, 200)):
            data = {"name": "movie-snippets", "classes": ["negative", "positive"], "digest": str(unlabeled)}
            data |= {"test_digest": "test-rows", "unlabeled": unlabeled}
            runs.append(make_run(method, seed, data=data))
        assert len(compared(runs)[0].groups) == groups


def test_a_seed_run_twice_is_no_second_seed(make_run):
    runs = [
        make_run("none", 0, error=10.0),
        make_run("none", 0, error=12.0, folder="again"),
        make_run("none", 1, error=20.0),
    ]
    (comparison,) = compared(runs)
    estimate = comparison.groups[0].estimate("test_error")
    assert estimate is not None and (estimate.mean, estimate.count) == (15.5, 2)
    assert any("a seed has several runs" in remark for remark in comparison.remarks())


def test_what_makes_runs_hard_to_compare_is_said(make_run):
    runs = [make_run("none", 0), make_run("synonym", 0), make_run("synonym", 1, code_revision="0+")]
    remarks = " ".join(compared(runs)[0].remarks())
    assert "One seed only (labels alone)" in remarks and "different revisions" in remarks
    (comparison,) = compared([make_run("a", 0), make_run("b", 0)])
    assert "No run has labels alone" in " ".join(comparison.remarks())


def test_the_way_and_the_place_of_a_run_make_no_other_method(make_run):
    """That machines differ is said."""
    runs = [
        make_run("synonym", 0, machine={"device": "cpu"}),
        make_run("synonym", 1, machine={"device": "H100"}, settings={"tokens_per_pass": 100}),
    ]
    (comparison,) = compared(runs)
    assert [group.seeds for group in comparison.groups] == [[0, 1]]
    assert any("different kinds of machines" in remark for remark in comparison.remarks())


def test_the_number_of_unlabeled_texts_is_a_setting_of_all_but_labels_alone(make_run):
    runs = []
    for method in ("none", "synonym"):
        for count, seed in ((100, 0), (2000, 1)):
            data = DATA | {"unlabeled": count, "digest": f"{count} {seed}"}
            runs.append(make_run(method, seed, data=data))
    earlier = make_run("synonym", 2, data=DATA | {"digest": "2"}, folder="earlier")  # which took all there are
    (comparison,) = compared([*runs, earlier])
    assert [(group.label, group.seeds) for group in comparison.groups] == [
        ("labels alone", [0, 1]),
        ("synonym (unlabeled 100)", [0]),
        ("synonym (unlabeled 2000)", [1, 2]),
    ]


def test_confusion_and_statuses_are_summed(study):
    group = compared(study)[0].groups[1]
    assert sum(map(sum, group.confusion)) == 6000
    assert list(group.statuses.items()) == [("ok", 5580), ("unchanged", 270), ("negation", 150)]


def test_flat_names():
    config = {"a": {"b": None, "c": [1, 2]}, "objectives": [{"objective": "UDA", "weight": 1.0}]}
    assert flat(config) == {"a.b": "null", "a.c": "[1, 2]", "objectives": "UDA", "objectives.UDA.weight": "1.0"}


def test_markdown(study):
    lines = markdown_table(study).splitlines()
    assert lines[0] == "movie-snippets, 40 labels, minilm-l6 (head only)"
    assert len({len(line) for line in lines[2:7]}) == 1
    cells = [cell.strip() for cell in lines[5].strip("|").split("|")]
    assert cells[:4] == ["back-translation", "3", "12.9 ± 2.1", "−8.8 ± 3.1"]


def test_markdown_of_a_name_with_bars(make_run):
    table = markdown_table([make_run("a|b\nc")])
    assert r"| a\|b c |" in table


def test_a_baseline_that_reads_columns_is_one_too(make_run):
    late = {"fusion": {"fusion": "late", "learning_rate": 0.1}}
    runs = [make_run(method, seed, **fusion, folder=f"{method}-{seed}", result={"selected_by": selected, "dev_rows": 9})
            for method, fusion, selected in (
                ("none", {}, "error"), ("synonym, late fusion", late, "error"), ("back-translation", {}, "error"),
                ("logistic-regression, late fusion", late, "last"),
            )
            for seed in (0, 1)]  # fmt: skip
    (comparison,) = compared(runs)
    assert list(comparison.between) == [("back-translation", "synonym, late fusion")]
    assert comparison.selected_by == "the error of 9 dev rows", "a baseline has one model and selects nothing"
