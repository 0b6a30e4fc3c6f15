"""In which numbers forward passes are: by measurement, the same for all of a run, and named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from text_uda.data import Rows, Split
from text_uda.model import precision
from text_uda.model.precision import Found, autocast, measured, resolve_precision, words
from text_uda.objectives import Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

FAST, SLOW, ROUGH = Found(speedup=4.3, error=0.004), Found(speedup=1.1, error=0.004), Found(speedup=4.3, error=0.1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU of which nothing is known yet."""
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    precision._measured.cache_clear()


def finds(monkeypatch: pytest.MonkeyPatch, found: Found) -> list[int]:
    """Measuring comes to this. The widths that were measured."""
    asked: list[int] = []
    monkeypatch.setattr(precision, "_measure", lambda width: asked.append(width) or found)
    return asked


@pytest.mark.parametrize(("found", "expected"), [(FAST, "bf16"), (SLOW, "fp32"), (ROUGH, "fp32")])
def test_auto_is_bf16_where_it_is_fast_and_exact(monkeypatch, found, expected):
    finds(monkeypatch, found)
    assert resolve_precision("auto", width=768) == expected
    assert (resolve_precision("fp32", width=768), resolve_precision("bf16", width=768)) == ("fp32", "bf16")


def test_a_narrow_encoder_is_not_measured(monkeypatch):
    asked = finds(monkeypatch, FAST)
    assert resolve_precision("auto", width=32) == "fp32" and not asked
    assert resolve_precision("auto") == "bf16" and asked == [precision.WIDTH]


def test_what_was_found_holds_for_later_processes(monkeypatch, tmp_path):
    asked = finds(monkeypatch, FAST)
    assert measured(384) == measured(384) == FAST and asked == [384]
    precision._measured.cache_clear()  # as another process begins
    finds(monkeypatch, SLOW)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)  # a worker has its share of the cores, and is to decide as the others do
    try:
        assert measured(384) == FAST and measured(768) == SLOW
    finally:
        torch.set_num_threads(threads)
    [kept, _] = sorted((tmp_path / "home" / "precision").iterdir())
    kept.write_text("{")
    precision._measured.cache_clear()
    assert measured(384) == SLOW
    assert json.loads(kept.read_text())["speedup"] == SLOW.speedup


def test_another_torch_is_measured_anew(monkeypatch):
    asked = finds(monkeypatch, FAST)
    measured(384)
    monkeypatch.setattr(torch, "__version__", "99.0")
    measured(384)
    assert asked == [384, 384]


def test_where_nothing_can_be_kept_it_is_measured_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "home").write_text("a file")
    finds(monkeypatch, FAST)
    assert measured(384) == FAST


def test_measuring():
    found = precision._measure(128)
    assert found.speedup > 0 and 1e-4 < found.error < precision.EXACT_ENOUGH


def test_it_says_what_was_found(monkeypatch):
    finds(monkeypatch, FAST)
    assert words("auto", "bf16", width=384).startswith("bf16: bf16 is 4.3 times as fast as fp32 on this CPU (")
    assert words("auto", "fp32", width=384).startswith("fp32, as the run was begun; bf16 is 4.3 times")
    assert words("bf16", "bf16", width=384) == "bf16, as asked"
    assert "too narrow" in words("auto", "fp32", width=32)
    precision._measured.cache_clear()
    finds(monkeypatch, ROUGH)
    assert words("auto", "fp32", width=768).endswith("but not exact")


def test_the_numbers_of_a_block():
    rows, weights = torch.randn(4, 8), torch.randn(8, 8)
    with autocast("cpu", "bf16"):
        assert (rows @ weights).dtype == torch.bfloat16
        with autocast(rows.device, "fp32"):
            assert (rows @ weights).dtype == torch.float32


@pytest.mark.parametrize("begun", ["bf16", "fp32"])
def test_a_run_goes_on_in_the_numbers_it_was_begun_with(monkeypatch, tmp_path, begun):
    finds(monkeypatch, SLOW if begun == "bf16" else FAST)
    directory, machine = RunDirectory(tmp_path / "run"), {"device": "cpu", "precision": begun}
    other = resolve_precision("auto", width=384)
    assert directory.resolved_precision("auto", 384, resume=True) == other != begun
    directory.open({"method": "uda", "machine": machine}, resume=True)
    assert directory.resolved_precision("auto", 384, resume=True) == begun
    assert directory.resolved_precision("auto", 384, resume=False) == other
    assert directory.resolved_precision(other, 384, resume=True) == other
    directory.write("config.json", {"method": "uda"})  # of a version that did not tell
    assert directory.resolved_precision("auto", 384, resume=True) == other


def test_a_run_says_in_which_numbers_it_was(tiny_bert, monkeypatch, tmp_path):
    """In those the encoder runs in training and while it is looked at; the test set is read in fp32."""
    monkeypatch.setattr(precision, "_NARROWEST", 8)
    finds(monkeypatch, FAST)
    rows = Rows(("a good film", "a bad film"), (1, 0))
    split = Split("toy", ("bad", "good"), rows, (), rows, Rows(("the best",), (1,)), "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, evaluate_every=1)
    seen: list[tuple[int, str]] = []
    judge = train.__globals__["FineTuning"].__init__.__globals__["probabilities"]

    def watched(model, rows, **named):
        seen.append((len(rows), named.get("precision", "fp32")))
        return judge(model, rows, **named)

    for module in ("fine_tuning", "final_evaluation"):
        monkeypatch.setattr(f"text_uda.training.{module}.probabilities", watched)
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
    assert RunDirectory(tmp_path / "run").config()["machine"]["precision"] == "bf16"
    assert RunDirectory(tmp_path / "run").config()["settings"]["precision"] == "auto"
    assert set(seen) == {(2, "bf16"), (1, "fp32")}
    seen.clear()
    train(split, objectives=(Supervised(),), settings=replace(settings, tune="head"), out=tmp_path / "head")
    assert set(seen) == {(2, "fp32"), (1, "fp32")}
