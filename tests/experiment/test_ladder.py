"""The table of scripts/study_ladder.py: each rung's runs in rows of their own."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from text_uda.data import Corpus, Rows
from text_uda.experiment import STUDIES, setting


def test_a_rung_s_baseline_is_a_row_of_its_own(tmp_path):
    path = Path(__file__).parents[2] / "scripts" / "study_ladder.py"
    spec = spec_from_file_location("study_ladder", path)
    assert spec is not None and spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = Rows(tuple(f"text {n}" for n in range(40)), tuple(n % 2 for n in range(40)))
    trials = list(STUDIES["ladder"](setting(Corpus("toy", "", ("a", "b"), rows, rows), "small", few=4)))
    errors = {"logistic-regression": 10.0, "last-2-logistic-regression": 20.0, "all-logistic-regression": 30.0}
    for name, error in errors.items():
        for seed in range(2):
            run = tmp_path / "runs" / f"{name}-seed-{seed}"
            run.mkdir(parents=True)
            result = {"last_test_error": error, "last_dev_error": error, "cpu_seconds": 1.0}
            (run / "result.json").write_text(json.dumps(result))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in script.table(trials, tmp_path).splitlines()]
    assert [(cells[0], cells[2], cells[4]) for cells in lines[2:]] == [
        (name, f"{error:.1f}", "2") for name, error in errors.items()
    ]
