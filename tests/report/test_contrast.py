"""Methods against the baseline: which test answers, on which seeds, adjusted over how many."""

import json
from base64 import b64encode

import numpy as np
import pytest
from scipy import stats

from text_uda.report.contrast import contrasts
from text_uda.report.find_runs import find_runs_in
from text_uda.report.grouping import compare
from text_uda.report.seed_statistics import mcnemar


def test_p_values_are_adjusted_over_the_methods_and_paired_by_seed():
    errors = {
        "alone": {0: 20.0, 1: 22.0, 2: 21.0},
        "a": {0: 15.0, 1: 16.8, 2: 16.1, 3: 99.0},
        "b": {2: 20.0, 1: 22.5, 0: 18.0},
    }
    by_method = contrasts(errors, {}, [("a", "alone"), ("b", "alone")])
    by_method = {name: contrast for (name, _), contrast in by_method.items()}
    p = {name: stats.ttest_rel([errors[name][n] for n in range(3)], [20.0, 22.0, 21.0]).pvalue for name in "ab"}
    assert by_method["a"].p == pytest.approx(2 * p["a"]) and by_method["b"].p == pytest.approx(p["b"])
    assert by_method["a"].differences == {0: -5.0, 1: pytest.approx(-5.2), 2: pytest.approx(-4.9)}
    assert by_method["a"].seeds_and_rows is None and by_method["a"].p_rows is None


def test_each_method_is_held_against_each_other(make_run):
    """As the paper's question asks: SwitchOut against back-translation."""
    errors = {"none": (20.0, 21.0, 23.0), "switchout": (15.0, 17.0, 16.0), "back-translation": (13.0, 14.5, 15.5)}
    runs = [make_run(method, seed, error=e) for method, values in errors.items() for seed, e in enumerate(values)]
    (comparison,) = compare(find_runs_in(runs).runs)
    ((pair, contrast),) = comparison.between.items()
    assert pair == ("back-translation", "switchout")
    measured = {group.label: group.by_seed("test_error") for group in comparison.groups}
    differences = [measured[pair[0]][seed] - measured[pair[1]][seed] for seed in range(3)]
    assert list(contrast.differences.values()) == pytest.approx(differences)
    assert contrast.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    low, high = contrast.seeds_and_rows
    assert low < np.mean(differences) < high

    without = [run for run in runs if not run.name.startswith("none")]
    (comparison,) = compare(find_runs_in(without).runs)
    assert list(comparison.between) == [pair] and not comparison.contrasts


def test_too_many_methods_are_held_against_labels_alone_only(make_run):
    runs = [make_run(method, 0) for method in ("none", *"abcdefg")]
    (comparison,) = compare(find_runs_in(runs).runs)
    assert not comparison.between and len(comparison.contrasts) == 7


def test_one_seed_is_tested_on_the_rows_and_several_are_resampled(make_run):
    runs = [make_run(method, 0, error=error) for method, error in (("none", 20.0), ("synonym", 15.0), ("mlm", 19.5))]
    (comparison,) = compare(find_runs_in(runs).runs)
    right = {run.method: run.right for group in comparison.groups for run in group.runs}
    p = {name: mcnemar(right[name], right["none"]) for name in ("synonym", "mlm")}
    assert p["synonym"] < p["mlm"] / 2
    assert comparison.contrasts["synonym"].p_rows == pytest.approx(2 * p["synonym"])
    assert comparison.contrasts["mlm"].p_rows == pytest.approx(p["mlm"])
    assert comparison.contrasts["synonym"].seeds_and_rows is None and comparison.contrasts["synonym"].p is None

    for seed, errors in ((1, (21.0, 16.5)), (2, (20.5, 15.5))):
        runs += [make_run(method, seed, error=e) for method, e in zip(("none", "synonym"), errors, strict=True)]
        (comparison,) = compare(find_runs_in(runs).runs)
        if seed == 1:
            assert comparison.contrasts["synonym"].seeds_and_rows is None, "two seeds are too few"
    both = comparison.contrasts["synonym"].seeds_and_rows
    assert both is not None and both[0] < -29 / 6 < both[1], "in percent"
    assert comparison.contrasts["synonym"].p_rows is None and comparison.contrasts["synonym"].p is not None
    assert comparison.contrasts["mlm"].p_rows == pytest.approx(p["mlm"])


def test_runs_without_their_answers_are_still_compared_by_seed(study):
    for run in study[3:5]:
        result = json.loads((run / "result.json").read_text())
        del result["test_correct"]
        (run / "result.json").write_text(json.dumps(result))
    (comparison,) = compare(find_runs_in(study).runs)
    assert comparison.contrasts["synonym"].seeds_and_rows is None
    assert comparison.contrasts["synonym"].p is not None
    assert comparison.contrasts["back-translation"].seeds_and_rows is not None


def test_a_seed_run_twice_has_rows_that_are_neither_right_nor_wrong():
    errors = {"alone": {0: 33.0}, "a": {0: 33.0}}
    for own, p in (([1.0, 0.5, 0.5], None), ([1.0, 1.0, 0.0], 1.0)):
        rights = {"alone": {0: np.array([1.0, 0.0, 1.0])}, "a": {0: np.array(own)}}
        assert contrasts(errors, rights, [("a", "alone")])["a", "alone"].p_rows == p


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_correct": "oA=="}, "'test_correct' does not hold 2,000 test rows"),
        ({"test_correct": 5}, "'test_correct' does not hold"),
        ({"test_correct": b64encode(bytes(250)).decode()}, "0 rows are right by 'test_correct'"),
        ({"calibration": {"error": 1.0, "bins": []}}, "does not have 2,000 rows in 15 bins"),
        ({"calibration": {"error": float("nan"), "bins": []}}, "holds a number that is not finite"),
        ({"calibration": {"error": 1.0, "bins": [{"low": 0.0}]}}, "has no 'high'"),
        ({"calibration": 1.0}, "is not a JSON object"),
    ],
)
def test_answers_that_do_not_fit_are_damage(make_run, change, message):
    from text_uda.errors import SettingsError

    with pytest.raises(SettingsError, match=rf"result\.json is damaged: .*{message}"):
        find_runs_in([make_run(result=change)])
