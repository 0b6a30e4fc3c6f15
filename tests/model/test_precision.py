"""The precision of forward passes: measured, constant over a run, and reported."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from text_uda.data import Rows, Split
from text_uda.model import precision
from text_uda.model.precision import Bf16Measurement, autocast, describe_precision, measure_bf16, resolve_precision
from text_uda.objectives import Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

FAST = Bf16Measurement(speedup=4.3, error=0.004)
SLOW = Bf16Measurement(speedup=1.1, error=0.004)
ROUGH = Bf16Measurement(speedup=4.3, error=0.1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that has no measurement yet."""
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    precision._load_or_measure.cache_clear()


def set_measurement(monkeypatch: pytest.MonkeyPatch, measurement: Bf16Measurement) -> list[int]:
    """Fake the measurement; returns a list of the widths that get measured."""
    widths: list[int] = []
    monkeypatch.setattr(precision, "_measure", lambda width: widths.append(width) or measurement)
    return widths


@pytest.mark.parametrize(("measurement", "expected"), [(FAST, "bf16"), (SLOW, "fp32"), (ROUGH, "fp32")])
def test_auto_is_bf16_where_it_is_fast_and_exact(monkeypatch, measurement, expected):
    set_measurement(monkeypatch, measurement)
    assert resolve_precision("auto", width=768) == expected
    assert (resolve_precision("fp32", width=768), resolve_precision("bf16", width=768)) == ("fp32", "bf16")


def test_a_narrow_encoder_is_not_measured(monkeypatch):
    widths = set_measurement(monkeypatch, FAST)
    assert resolve_precision("auto", width=32) == "fp32" and not widths
    assert resolve_precision("auto") == "bf16" and widths == [precision.DEFAULT_WIDTH]


def test_later_processes_reuse_the_measurement(monkeypatch, tmp_path):
    widths = set_measurement(monkeypatch, FAST)
    assert measure_bf16(384) == measure_bf16(384) == FAST and widths == [384]
    precision._load_or_measure.cache_clear()  # as in a new process
    set_measurement(monkeypatch, SLOW)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)  # a worker has fewer cores, and has to decide as the others do
    try:
        assert measure_bf16(384) == FAST and measure_bf16(768) == SLOW
    finally:
        torch.set_num_threads(threads)
    [kept, _] = sorted((tmp_path / "home" / "precision").iterdir())
    kept.write_text("{")
    precision._load_or_measure.cache_clear()
    assert measure_bf16(384) == SLOW
    assert json.loads(kept.read_text())["speedup"] == SLOW.speedup


def test_another_torch_version_is_measured_again(monkeypatch):
    widths = set_measurement(monkeypatch, FAST)
    measure_bf16(384)
    monkeypatch.setattr(torch, "__version__", "99.0")
    measure_bf16(384)
    assert widths == [384, 384]


def test_without_a_writable_folder_it_measures(monkeypatch, tmp_path):
    (tmp_path / "home").write_text("a file")
    set_measurement(monkeypatch, FAST)
    assert measure_bf16(384) == FAST


def test_measuring():
    measurement = precision._measure(128)
    assert measurement.speedup > 0 and 1e-4 < measurement.error < precision.MAX_ERROR


def test_the_description_has_the_measurement(monkeypatch):
    set_measurement(monkeypatch, FAST)
    assert describe_precision("auto", "bf16", width=384).startswith(
        "bf16: bf16 is 4.3 times as fast as fp32 on this CPU ("
    )
    assert describe_precision("auto", "fp32", width=384).startswith(
        "fp32, as at the start of the run; bf16 is 4.3 times"
    )
    assert describe_precision("bf16", "bf16", width=384) == "bf16, as set"
    assert "too narrow" in describe_precision("auto", "fp32", width=32)
    precision._load_or_measure.cache_clear()
    set_measurement(monkeypatch, ROUGH)
    assert describe_precision("auto", "fp32", width=768).endswith("but too inexact")


def test_autocast_sets_the_precision_of_a_block():
    rows, weights = torch.randn(4, 8), torch.randn(8, 8)
    with autocast("cpu", "bf16"):
        assert (rows @ weights).dtype == torch.bfloat16
        with autocast(rows.device, "fp32"):
            assert (rows @ weights).dtype == torch.float32


@pytest.mark.parametrize("begun", ["bf16", "fp32"])
def test_a_resumed_run_keeps_its_precision(monkeypatch, tmp_path, begun):
    set_measurement(monkeypatch, SLOW if begun == "bf16" else FAST)
    directory, machine = RunDirectory(tmp_path / "run"), {"device": "cpu", "precision": begun}
    other = resolve_precision("auto", width=384)
    assert directory.resolved_precision("auto", 384, resume=True) == other != begun
    directory.open({"method": "uda", "machine": machine}, resume=True)
    assert directory.resolved_precision("auto", 384, resume=True) == begun
    assert directory.resolved_precision("auto", 384, resume=False) == other
    assert directory.resolved_precision(other, 384, resume=True) == other
    directory.write("config.json", {"method": "uda"})  # of a version that did not tell
    assert directory.resolved_precision("auto", 384, resume=True) == other


def test_a_run_records_its_precision(tiny_bert, monkeypatch, tmp_path):
    """Training and development evaluation have that precision; the test set is evaluated in fp32."""
    monkeypatch.setattr(precision, "_MIN_WIDTH", 8)
    set_measurement(monkeypatch, FAST)
    rows = Rows(("a good film", "a bad film"), (1, 0))
    split = Split("toy", ("bad", "good"), rows, (), rows, Rows(("the best",), (1,)), "0" * 32)
    settings = TrainSettings(encoder=str(tiny_bert), steps=2, labeled_batch=2, evaluate_every=1)
    seen: list[tuple[int, str]] = []
    judge = train.__globals__["ClassifierTask"].__init__.__globals__["probabilities"]

    def watched(model, rows, **named):
        seen.append((len(rows), named.get("precision", "fp32")))
        return judge(model, rows, **named)

    for module in ("classifier_task", "final_evaluation"):
        monkeypatch.setattr(f"text_uda.training.{module}.probabilities", watched)
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
    assert RunDirectory(tmp_path / "run").config()["machine"]["precision"] == "bf16"
    assert RunDirectory(tmp_path / "run").config()["settings"]["precision"] == "auto"
    assert set(seen) == {(2, "bf16"), (1, "fp32")}
    seen.clear()
    train(split, objectives=(Supervised(),), settings=replace(settings, tune="head"), out=tmp_path / "head")
    assert set(seen) == {(2, "fp32"), (1, "fp32")}
