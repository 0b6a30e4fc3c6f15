"""Figures: which there are, what they hold, and how they are drawn and saved."""

import json
import re
from xml.etree import ElementTree

import pytest

from text_uda.errors import SettingsError
from text_uda.report import curves, figures, save_figures
from text_uda.report.grouping import compare
from text_uda.report.load_runs import read_runs
from text_uda.report.palette import light_colours, style

drawing = pytest.importorskip("text_uda.report.drawing")


def compared(runs):
    (comparison,) = compare(read_runs(runs))
    return comparison


def test_the_strips_hold_each_seed_and_the_interval(study):
    chart = figures.error_by_method(compared(study))
    assert chart is not None
    assert chart.numbers.columns == ["method", "mean", "low", "high", "seed 0", "seed 1", "seed 2"]
    assert chart.numbers.rows[0] == ["labels alone", "21.73", "20.28", "23.19", "21.50", "21.30", "22.40"]
    drawn = drawing.svg(chart, "f", narrow=False)
    assert drawn.count("<title>seed ") == 9 and "21.7 ± 1.5" in drawn


def test_one_run_has_nothing_to_be_held_against(make_run):
    assert figures.error_by_method(compared([make_run()])) is None


def test_an_interval_beyond_what_an_error_can_be_ends_there(make_run):
    chart = figures.error_by_method(compared([make_run("none", s, error=e) for s, e in enumerate((1.0, 9.0))]))
    drawn = ElementTree.fromstring(drawing.svg(chart, "f", narrow=True))
    numbers = [float(n) for path in drawn.iter("path") for n in re.findall(r"-?[\d.]+", path.get("d", ""))]
    assert min(numbers) >= -5 and max(numbers) <= drawing.NARROW + 5


def test_charts_of_what_was_logged(study):
    error, loss, confident = curves.training_charts(compared(study))
    assert [len(chart.keys) for chart in (error, loss, confident)] == [3, 3, 2]  # none has no threshold
    assert [chart.name for chart in (error, loss, confident)] == [
        "development-error", "supervised-by-step", "confident-by-step"]  # fmt: skip
    last = confident.numbers.rows[-1]
    assert last[0] == "391" and all(80 < float(value) < 100 for value in last[1:])  # percent
    assert all(len(chart.numbers.rows) <= curves.ROWS + 1 for chart in (error, loss, confident))
    assert drawing.svg(loss, "f", narrow=True).count("<path") > 12


def test_every_metric_that_a_step_may_log_has_its_chart(make_run):
    run = make_run()
    lines = [
        f'{{"kind": "train", "step": {step}, "loss": 1.0, "tsa_threshold": 0.5, "labeled_counted": 0.25,'
        f' "agreement": 0.75}}\n'
        for step in (1, 2)
    ]
    (run / "metrics.jsonl").write_text("".join(lines))
    charts = {chart.name: chart.numbers.rows[0][1] for chart in curves.training_charts(compared([run]))}
    assert charts == {"loss-by-step": "1.000", "tsa-threshold-by-step": "0.500",
                      "labeled-counted-by-step": "25.000", "agreement-by-step": "75.000"}  # fmt: skip


def test_a_run_without_metrics_has_no_charts(make_run):
    run = make_run()
    (run / "metrics.jsonl").write_text("")
    assert curves.training_charts(compared([run])) == []


def test_long_lines_are_thinned_by_means():
    line = [(step, float(step % 2)) for step in range(10_000)]
    thinned = curves.thin(line)
    assert len(thinned) <= curves.POINTS
    assert thinned[0][1] == pytest.approx(0.5, abs=0.02)
    assert curves.thin(line[:50]) == line[:50]


def test_the_mean_line_keeps_to_the_steps_that_all_have():
    assert curves.mean_line([[(1, 2.0), (2, 4.0), (3, 9.0)], [(1, 4.0), (2, 6.0)]]) == [(1, 3.0), (2, 5.0)]


def test_words_of_a_run_are_drawn_as_they_are(make_run):
    name = "a $x_1$ <b>&amp; #0072b2 \N{GRINNING FACE}"
    runs = [make_run("m", seed) for seed in (0, 1)]
    for run in runs:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"method": name}))
    chart = figures.error_by_method(compared(runs))
    for narrow in (True, False):
        drawn = ElementTree.fromstring(drawing.svg(chart, "f", narrow=narrow))
        assert name in [element.text for element in drawn.iter("text")]
    assert drawing.paper_files(chart)["svg"].count(b"&lt;b&gt;") >= 1


def test_groups_beyond_the_hues_are_dashed():
    styles = [style(colour) for colour in range(22)]
    assert len({(own.hue, own.lap) for own in styles}) == 22
    assert {own.colour for own in styles} == {light_colours()[f"c{hue}"] for hue in range(8)}
    assert styles[1].dashes != styles[8].dashes != styles[15].dashes


def test_files_for_a_paper(study, tmp_path):
    paths = save_figures(study, tmp_path / "new" / "figures")
    listed = tmp_path / "new" / "figures" / figures.LIST
    assert sorted(tmp_path.rglob("figures/*")) == sorted([*paths, listed])
    assert {path.name for path in paths} >= {"error-by-method.svg", "error-by-method.pdf", "reliability.pdf"}
    pdf = (tmp_path / "new" / "figures" / "confident-by-step.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
    drawn = (tmp_path / "new" / "figures" / "confident-by-step.svg").read_text()
    assert "fill: #ffffff" in drawn and "var(--" not in drawn
    assert ">synonym<" in drawn and ">Unlabeled rows in use, %<" in drawn  # it stands alone


def test_the_same_figure_makes_the_same_bytes(study):
    chart = figures.error_by_method(compared(study))
    assert drawing.paper_files(chart) == drawing.paper_files(chart)
    assert drawing.svg(chart, "f", narrow=True) == drawing.svg(chart, "f", narrow=True)


def test_files_of_several_comparisons_have_names_of_their_own(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "paper_files", lambda chart: {"svg": b"", "pdf": b""})  # that takes a second each
    runs = [make_run("none", 0, labels=n, encoder=e, folder=f"{n}{e}") for n in (10, 100) for e in ("a", "b")]
    paths = save_figures(runs, tmp_path / "figures")
    assert len({path.name for path in paths}) == len(paths) == 2 * (2 + 4 * 3)
    assert (tmp_path / "figures" / "movie-snippets-10-labels-development-error-2.pdf").exists()


def test_figures_of_an_earlier_call_do_not_stay_beside_others(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "paper_files", lambda chart: {"svg": b"", "pdf": b""})
    folder = tmp_path / "figures"
    runs = [make_run("none", 0, labels=n, folder=str(n)) for n in (10, 100)]
    several = save_figures(runs, folder)
    kept = [folder / name for name in ("mine.svg", "error-by-hand.pdf", "notes.txt")]
    for file in kept:
        file.write_text("mine")
    with (folder / figures.LIST).open("a") as file:
        file.write("../mine.svg\nnotes.txt\n")
    (tmp_path / "mine.svg").write_text("mine")
    one = save_figures(runs[:1], folder)
    assert not set(one) & set(several)
    assert sorted(folder.iterdir()) == sorted([*one, *kept, folder / figures.LIST])
    assert (tmp_path / "mine.svg").exists()


def test_a_folder_that_cannot_be_written(make_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="name another folder"):
        save_figures([make_run()], tmp_path / "file")
