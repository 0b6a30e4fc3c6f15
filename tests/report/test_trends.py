"""Error against what was varied; calibration; change against gain."""

import math

import pytest

from text_uda.report import build, trends
from text_uda.report.grouping import compare
from text_uda.report.load_runs import read_runs
from text_uda.report.reliability import expected_error, merged_bins, reliability_diagram
from text_uda.translate.decoding import Decoding

drawing = pytest.importorskip("text_uda.report.drawing")


def compared(runs):
    return compare(read_runs(runs))


def test_error_against_labels(make_run):
    runs = [
        make_run(method, seed, labels=labels, error=error + seed, folder=f"{method}-{labels}-{seed}")
        for method, errors in {"none": (30.0, 20.0, 10.0), "synonym": (25.0, 18.0, 10.0)}.items()
        for labels, error in zip((1000, 10, 100), errors[::-1], strict=True)
        for seed in (0, 1)
    ]
    ((name, chart),) = trends.by_labels(compared(runs))
    assert name == "movie-snippets" and chart.keys == [("labels alone", 0), ("synonym", 1)]
    assert [row[:4] for row in chart.numbers.rows] == [
        ["labels alone", "10", "2", "20.50"],
        ["labels alone", "100", "2", "30.50"],
        ["labels alone", "1,000", "2", "10.50"],
        ["synonym", "10", "2", "18.50"],
        ["synonym", "100", "2", "25.50"],
        ["synonym", "1,000", "2", "10.50"],
    ]
    for narrow in (True, False):
        drawn = drawing.svg(chart, "f", narrow=narrow)
        assert all(f">{tick}</text>" in drawn for tick in ("10", "100", "1,000"))


def test_many_methods_have_no_bands_that_hide_each_other(make_run):
    chart = {}
    for count in (trends.MOST_BANDS, trends.MOST_BANDS + 1):
        runs = [
            make_run("none", seed, labels=labels, settings={"rate": rate}, folder=f"{count}-{rate}-{labels}-{seed}")
            for rate in range(count)
            for labels in (10, 100)
            for seed in (0, 1)
        ]
        ((_, chart[count]),) = trends.by_labels(compared(runs))
    few, many = (drawing.svg(one, "f", narrow=False) for one in chart.values())
    assert few.count("fill-opacity: 0.14") == trends.MOST_BANDS and "fill-opacity: 0.14" not in many
    few, many = chart.values()
    assert "the band is its 95% interval" in few.caption and "9 bands would hide each other" in many.caption
    assert many.numbers.columns[-2:] == ["low", "high"], "the intervals stay among the numbers"


def test_one_number_of_labels_or_another_encoder_makes_no_curve(make_run):
    runs = [make_run("none", 0, encoder="a", labels=10), make_run("none", 0, encoder="b", labels=20, folder="b")]
    assert trends.by_labels(compared(runs)) == []


def test_error_against_a_setting(make_run, tmp_path):
    runs = [make_run("none", seed, error=30.0 + seed) for seed in (0, 1)]
    runs += [
        make_run("back-translation", seed, error=error + seed, augmentation={"temperature": t}, folder=f"{t}-{seed}")
        for t, error in ((0.9, 20.0), (0.5, 22.0), (1.2, 24.0))
        for seed in (0, 1)
    ]
    (comparison,) = compared(runs)
    (chart,) = trends.by_settings(comparison)
    assert chart.name == "error-by-temperature"
    assert [row[1] for row in chart.numbers.rows] == ["0.5", "0.9", "1.2"]
    assert [row[3] for row in chart.numbers.rows] == ["22.50", "20.50", "24.50"]
    assert "sampling temperature" in build(runs, tmp_path / "report.html").read_text("utf-8")


def test_a_temperature_is_one_setting_of_both_directions_and_greedy_decoding_has_none(make_run):
    def translated(temperature: float | None) -> dict:
        engine = {"engine": "marian", "version": 3, **Decoding(temperature=temperature).settings()}
        sampling = {} if temperature is None else {"retries": 2}
        engines = {"there": engine | {"model": "m"}, "back": engine | {"model": "n"}}
        return {"method": "back-translation", "version": 4} | engines | sampling

    runs = [
        make_run("back-translation", seed, error=error, augmentation=translated(temperature), folder=f"{error}-{seed}")
        for temperature, error in ((None, 25.0), (0.3, 22.0), (0.9, 20.0))
        for seed in (0, 1)
    ]
    (comparison,) = compared(runs)
    assert [group.label for group in comparison.groups] == [
        "back-translation (no temperature)",
        "back-translation (temperature 0.3)",
        "back-translation (temperature 0.9)",
    ]
    (chart,) = trends.by_settings(comparison)
    assert [(row[1], row[3]) for row in chart.numbers.rows] == [("0.3", "22.00"), ("0.9", "20.00")]


def test_the_version_of_a_method_is_not_that_of_its_engines(make_run):
    engine = {"engine": "marian", "version": 3}
    runs = [
        make_run("back-translation", seed, error=error, folder=f"{version}-{seed}",
                 augmentation={"method": "back-translation", "version": version, "there": engine, "back": engine})
        for version, error in ((3, 30.0), (4, 20.0))
        for seed in (0, 1)
    ]  # fmt: skip
    (comparison,) = compared(runs)
    assert [group.label for group in comparison.groups] == [
        "back-translation (version 3)",
        "back-translation (version 4)",
    ]


def test_equal_settings_of_all_pivots_are_one(make_run):
    def through(temperature: float) -> dict:
        engine = {"engine": "marian", "temperature": temperature}
        pivots = [{"there": engine | {"model": name}, "back": engine | {"model": f"{name} back"}} for name in "ab"]
        return {"method": "back-translation", "version": 4, "pivots": pivots}

    runs = [
        make_run("back-translation", 0, augmentation=through(temperature), folder=str(temperature))
        for temperature in (0.3, 0.9)
    ]
    (chart,) = trends.by_settings(compared(runs)[0])
    assert chart.name == "error-by-temperature" and [row[1] for row in chart.numbers.rows] == ["0.3", "0.9"]


def test_another_augmentation_at_another_number_of_labels_is_another_curve(make_run):
    runs = [
        make_run("synonym", 0, labels=labels, augmentation={"rate": rate}, folder=f"{labels}-{rate}")
        for labels, rate in ((20, 0.1), (50, 0.1), (100, 0.5), (200, 0.5))
    ]
    ((_, chart),) = trends.by_labels(compared(runs))
    assert [(row[0], row[1]) for row in chart.numbers.rows] == [
        ("synonym (rate 0.1)", "20"), ("synonym (rate 0.1)", "50"), ("synonym (rate 0.5)", "100"),
        ("synonym (rate 0.5)", "200"),
    ]  # fmt: skip


def test_values_that_are_equal_as_numbers_do_not_end_a_report(make_run):
    runs = [
        make_run("synonym", 0, error=20.0 + index, augmentation={"rate": rate}, folder=str(index))
        for index, rate in enumerate((1, 1.0, 2))
    ]
    (chart,) = trends.by_settings(compared(runs)[0])
    assert [row[1] for row in chart.numbers.rows] == ["1", "1", "2"]


def test_groups_that_differ_in_another_setting_too_make_no_curve(make_run):
    settings = ({"rate": 0.1, "words": 1}, {"rate": 0.1, "words": 2}, {"rate": 0.2, "words": 2})
    runs = [make_run("synonym", 0, augmentation=own, folder=str(index)) for index, own in enumerate(settings)]
    assert trends.by_settings(compared(runs)[0]) == []


@pytest.mark.parametrize(
    "settings",
    [
        ({"rate": 0.1, "words": 2}, {"rate": 0.2, "words": 3}),  # two differ
        ({"rate": "low"}, {"rate": "high"}),  # no number
        ({}, {"words": 3}),  # one has none
        ({"norm": math.inf}, {"norm": 1.0}),  # no place on an axis
        ({"norm": math.nan}, {"norm": 1.0}),
    ],
)
def test_what_is_not_one_number_makes_no_curve(make_run, settings):
    runs = [make_run("synonym", 0, augmentation=own, folder=str(index)) for index, own in enumerate(settings)]
    assert trends.by_settings(compared(runs)[0]) == []


def test_errors_that_are_no_numbers_make_no_curve(make_run, tmp_path):
    runs = [
        make_run("m", 0, labels=n, augmentation={"rate": rate}, folder=f"{n}-{rate}", result={"test_error": math.nan})
        for n in (10, 20)
        for rate in (0.1, 0.2)
    ]
    comparisons = compared(runs)
    assert trends.by_labels(comparisons) == [] and trends.by_settings(comparisons[0]) == []
    assert build(runs, tmp_path / "report.html").exists()


def changing(make_run, method: str, rate: float, errors: tuple[float, ...]) -> list:
    """A run a seed, whose paraphrases change this share of the words."""
    coverage = {"method": method, "change_rate": rate, "usable": 1.0, "statuses": {"ok": 9}}
    return [make_run(method, seed, error=e, result={"augmentation": coverage}) for seed, e in enumerate(errors)]


def test_change_against_gain(study, make_run):
    # Differences -9.2, -7.4 and -9.8: mean -8.8, Student's interval 4.303 * 1.249 / sqrt(3).
    runs = (
        study[:3] + changing(make_run, "eda", 0.3, (12.3, 13.9, 12.6)) + changing(make_run, "aeda", 0.1, (20.0, 20.0))
    )
    (comparison,) = compared(runs)
    chart = trends.change_against_gain(comparison)
    assert chart is not None
    assert [row[:3] for row in chart.numbers.rows] == [["aeda", "10.0", "−1.40"], ["eda", "30.0", "−8.80"]]
    assert chart.numbers.rows[1][3:] == ["−11.90", "−5.70"]
    assert ">aeda</text>" in drawing.svg(chart, "f", narrow=True)


def test_methods_that_change_as_much_or_have_no_baseline_make_no_points(study, make_run):
    assert trends.change_against_gain(compared(study)[0]) is None
    runs = changing(make_run, "eda", 0.3, (12.3,)) + changing(make_run, "aeda", 0.1, (20.0,))
    assert trends.change_against_gain(compared(runs)[0]) is None


def calibration(*rows: tuple[int, float | None, float | None]) -> dict:
    """Of 2,000 rows in 15 bins, these the last ones; the rows that are left are in the first."""
    left = (2000 - sum(count for count, _, _ in rows), 0.05, 0.05)
    rows = (left, *((0, None, None) for _ in range(14 - len(rows))), *rows)
    bins = [
        {"low": i / 15, "high": (i + 1) / 15, "count": count, "confidence": confidence, "accuracy": accuracy}
        for i, (count, confidence, accuracy) in enumerate(rows)
    ]
    return {"calibration": {"error": 0.0, "bins": bins}}


def test_bins_are_summed_over_seeds_by_their_rows(make_run):
    runs = [
        make_run("none", 0, result=calibration((10, 0.9, 0.5), (30, 0.95, 0.7))),
        make_run("none", 1, result=calibration((30, 0.88, 0.5), (0, None, None))),
    ]
    (comparison,) = compared(runs)
    low, middle, high = merged_bins(comparison.groups[0])
    assert (low.count, low.confidence) == (3930, pytest.approx(0.05))
    assert (middle.count, middle.confidence, middle.accuracy) == pytest.approx((40, 0.885, 0.5))
    assert (high.count, high.confidence, high.accuracy) == (30, 0.95, 0.7)
    # (40 * 0.385 + 30 * 0.25) / 70
    assert expected_error([middle, high]) == pytest.approx(32.714, abs=1e-3)
    chart = reliability_diagram(comparison)
    assert chart is not None and "labels alone 0.6" in chart.alt_text
    assert chart.numbers.rows[2] == ["labels alone", "0.93 to 1.00", "30", "95.0", "70.0"]
    assert "off by 0.6 points" in drawing.svg(chart, "f", narrow=True)


def test_runs_of_earlier_versions_have_no_diagram(study, earlier):
    assert reliability_diagram(compared([earlier(run) for run in study])[0]) is None
