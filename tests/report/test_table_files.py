"""The table in Markdown, LaTeX and CSV: the same numbers, and names that do nothing there."""

import csv
import re
import sys

import pytest

from text_uda import report
from text_uda.errors import SettingsError
from text_uda.report import export, read
from text_uda.report.table_files import HEADER, csv_text, latex_text, markdown_text

HOSTILE = "=cmd|' /C calc'!A0 <script>$x$ \\input{x} & % # _a_ ^ ~ [b](c) *d* \"q\"\n\nnew,line"


def lines_of(folder):
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_three_files_say_the_same(study, tmp_path):
    paths = export(study, tmp_path / "new" / "tables")
    assert [path.name for path in paths] == ["table.md", "table.tex", "table.csv"]
    markdown, latex = (path.read_text("utf-8") for path in paths[:2])
    assert markdown == read(study).markdown() + "\n"
    (line,) = [line for line in markdown.splitlines() if re.match(r"\| back-translation +\| +3 ", line)]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2:4] == ["12.9 ± 2.1", "−8.8 ± 3.1"]
    assert re.fullmatch(r"\[−\d+\.\d, −\d+\.\d\]", cells[5]) and 0 < float(cells[4]) < 0.05
    (row,) = [line for line in latex.splitlines() if line.startswith("back-translation & $3$")]
    assert row.startswith(r"back-translation & $3$ & $12.9 \pm 2.1$ & $-8.8 \pm 3.1$ & $0.0") and row.endswith(r"\\")
    lines = lines_of(paths[2].parent)
    (method,) = [line for line in lines if (line["level"], line["method"]) == ("method", "back-translation")]
    assert float(method["test_error"]) == pytest.approx((12.3 + 13.9 + 12.6) / 3)
    assert f"{float(method['test_error_half_width']):.1f}" == "2.1"
    assert f"{float(method['difference']):.1f}" == "-8.8"
    assert f"{float(method['p_t_holm']):.3f}" == cells[4]
    assert f"[−{-float(method['difference_low_with_rows']):.1f}" == cells[5].split(",")[0]


def test_a_line_a_method_and_a_line_a_run(study, tmp_path):
    export(study, tmp_path)
    lines = lines_of(tmp_path)
    assert [line["level"] for line in lines] == ["method", "run", "run", "run"] * 3 + ["pair"]
    assert [line["seed"] for line in lines[:4]] == ["", "0", "1", "2"] and lines[0]["seeds"] == "3"
    run = lines[5]
    assert (run["run"], float(run["test_error"])) == ("back-translation seed 0", 12.3)
    assert float(run["difference"]) == pytest.approx(12.3 - 21.5)
    assert lines[1]["difference"] == "" and lines[0]["difference"] == ""
    assert 0 < float(run["calibration_error"]) < 100 and run["change_rate"] == "0.31"
    assert tuple(lines[0]) == HEADER
    pair = lines[-1]
    assert (pair["method"], pair["against"], pair["seeds"]) == ("back-translation", "synonym", "3")
    of = {line["method"]: float(line["test_error"]) for line in lines if line["level"] == "method"}
    assert float(pair["difference"]) == pytest.approx(of["back-translation"] - of["synonym"])
    assert (
        float(pair["difference_low_with_rows"]) < float(pair["difference"]) < float(pair["difference_high_with_rows"])
    )
    assert lines[4]["against"] == "labels alone" and lines[0]["against"] == ""


def test_method_against_method_in_every_file(study, tmp_path):
    markdown, latex = (path.read_text("utf-8") for path in export(study, tmp_path)[:2])
    _, table = markdown.split("Method against method:\n\n")
    head, _, row = table.splitlines()[:3]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "method",
        "against",
        "difference",
        "p",
        "95%, rows too",
    ]
    assert row.startswith("| back-translation | synonym |")
    assert "method against method" in latex and r"back-translation & synonym & $" in latex


def test_several_numbers_of_labels_are_several_tables(make_run, tmp_path):
    runs = [make_run("none", 0, labels=labels, folder=str(labels)) for labels in (40, 1000)]
    export(runs, tmp_path)
    assert (tmp_path / "table.tex").read_text().count(r"\toprule") == 2
    assert re.findall(r"^movie-snippets, ([\d,]+) labels", (tmp_path / "table.md").read_text(), re.MULTILINE) == [
        "40",
        "1,000",
    ]
    assert [line["labels"] for line in lines_of(tmp_path)] == ["40", "40", "1000", "1000"]


def test_hostile_names_do_nothing(make_run, tmp_path):
    data = {"name": HOSTILE, "classes": ["negative", "positive"], "digest": "d"}
    run = make_run("none", 0, folder="run", name=HOSTILE, data=data, encoder=HOSTILE)
    other = make_run(HOSTILE, 0, folder="other", name=HOSTILE, data=data, encoder=HOSTILE)
    export([run, other], tmp_path)
    for line in lines_of(tmp_path):
        for name in ("data", "encoder", "method", "run"):
            assert not line[name].startswith("="), name
    latex = (tmp_path / "table.tex").read_text()
    bare = re.sub(r"\\(textbackslash|text\w+)\{\}|\\[&%#_{}$]", "", latex)
    assert r"\input" not in bare and "<" not in bare
    rows = [line for line in bare.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3 and len({line.count("&") for line in rows}) == 1
    markdown = (tmp_path / "table.md").read_text()
    assert r"\<script\>" in markdown and not re.search(r"(?<!\\)<", markdown)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}) == 1


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\t=", " \n@"])
def test_no_formula_begins_a_cell(first):
    assert csv_text(f"{first}1+1").startswith("'") and csv_text(f"a{first}1") == " ".join(f"a{first}1".split())


def test_what_is_plain_stays_plain():
    assert markdown_text("synonym (learning_rate 0.1)") == "synonym (learning_rate 0.1)"
    assert markdown_text("_a_ b_ *") == r"\_a\_ b\_ \*"
    assert latex_text("last:2 [a] 50% ± 1") == r"last:2 {[}a] 50\% $\pm$ 1"
    assert latex_text("a\\b{c}\n\nd") == r"a\textbackslash{}b\{c\} d"


def test_each_file_appears_whole_or_not_at_all(study, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError("No space left on device")

    monkeypatch.setattr(report, "write_whole", full)
    with pytest.raises(SettingsError, match=r"table\.md cannot be written .*name another folder"):
        export(study, tmp_path / "tables")
    assert not list((tmp_path / "tables").iterdir())


def test_a_file_in_the_place_of_the_folder(study, tmp_path):
    (tmp_path / "tables").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        export(study, tmp_path / "tables")


def test_the_table_needs_no_extra(study, monkeypatch):
    for module in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "95%, rows too" in read(study).markdown()


def test_runs_of_an_earlier_version_have_a_table_without_the_new_columns(make_run, tmp_path):
    data = {"name": "movie-snippets", "classes": ["negative", "positive"], "digest": "d"}
    absent = {"calibration": None, "test_correct": None}
    runs = [make_run(method, 0, data=data, result=absent) for method in ("none", "synonym")]
    head = read(runs).markdown().splitlines()[2]
    assert "vs labels alone" in head and "calibration" not in head and "rows" not in head


def test_each_table_says_over_what_its_p_values_are_adjusted(study, tmp_path):
    """The pairs of methods are a separate family, with labels alone or without."""
    family = "Holm-adjusted within this column of each table"
    for runs in (study, study[3:]):
        markdown, latex = (path.read_text("utf-8") for path in export(runs, tmp_path)[:2])
        assert f"p: of the paired t test over seeds on these test rows, {family}." in markdown
        captions = [line for line in latex.splitlines() if line.startswith(r"\caption")]
        assert family in captions[1] and (family in captions[0]) == (runs is study)
    page = read(study).page(tmp_path / "report.html").read_text("utf-8")
    head = re.search(r'<table class="against">.*?</thead>', page, re.DOTALL)
    assert head is not None and f'title="of the paired t test over seeds on these test rows, {family}"' in head[0]
