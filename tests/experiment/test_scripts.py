"""The scripts of the paper's studies, on a user's file and a tiny encoder in the place of Yelp, IMDb and BERT."""

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from text_uda.experiment import STUDIES, setting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("apertium") is None, reason="needs Apertium, which translates"),
]


def few(common):
    """Its trials with few labels."""
    return (trial for trial in STUDIES["table2"](common) if trial.labels != "all")


@pytest.fixture
def script(request, reviews, tiny_bert, tmp_path, monkeypatch):
    """Call one with these words; where it leaves a code, give that."""
    name = request.param
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def small(corpus, size, **given):
        assert size == "paper"
        return setting(corpus, "smoke", encoder=str(tiny_bert), translators=["apertium:eng-spa"], **given)

    monkeypatch.setattr(module, "DATA", {"source": str(reviews)})
    monkeypatch.setattr(module, "setting", small)
    for constant in {"FEW", "LABELS"} & vars(module).keys():
        monkeypatch.setattr(module, constant, 6)
    if hasattr(module, "STUDIES"):
        monkeypatch.setattr(module, "STUDIES", {"table2": few})
    if hasattr(module, "estimate_cost"):
        monkeypatch.setattr(module, "estimate_cost", lambda trials, *_, **__: f"{len(trials)} runs cost")

    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", [str(path), "--out", str(tmp_path / "study"), "--seeds", "1", *words])
        try:
            module.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return call


@pytest.mark.parametrize("script", ["yelp5_table2"], indirect=True)
def test_yelp_from_the_cost_to_the_table(script, capsys, tmp_path, monkeypatch):
    assert script("--estimate") == 0 and "6 runs cost" in capsys.readouterr().out
    assert not (tmp_path / "study").exists()
    assert script("--workers", "1") == 0
    output = capsys.readouterr().out
    assert "| 6 | none | " in output and "| 41.0 |" in output and "| 33.8 |" in output
    assert (tmp_path / "study" / "report.html").exists() and (tmp_path / "study" / "table.tex").exists()
    (tmp_path / "study" / "runs" / "none-6-seed-0" / "result.json").write_text("{")
    assert script("--workers", "1") == 1
    assert "failed: none-6-seed-0: " in capsys.readouterr().err


@pytest.mark.parametrize("script", ["imdb20"], indirect=True)
def test_imdb_with_pretraining(script, capsys, tmp_path):
    assert script("--workers", "1", "--pretrain", "2") == 0
    output = capsys.readouterr().out
    assert "| none | " in output and "| 6.5 |" in output and "| 4.2 |" in output
    assert (tmp_path / "study" / "study" / "report.html").exists()
