"""The check of a GPU: what fails, dies or hangs in one part does not end the others."""

import ast
import importlib.util
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PARTS = """
import json, os, sys, time
for part in sys.argv[3:]:
    if part == "dies":
        os._exit(9)
    while part == "hangs":
        time.sleep(1)
    failed = {"failed": "RuntimeError: no"} if part == "fails" else {"figures": {"process": os.getpid()}}
    print(json.dumps({**failed, "seconds": 0.5}), flush=True)
    if part == "fails":
        break
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPTS / "gpu_check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "gpu_parts.py").write_text(PARTS)
    (tmp_path / "pytest_run.py").write_text("print('FAILED tests/gpu/test_it.py::test_it'); raise SystemExit(1)")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "START_S", 0.0)
    monkeypatch.setattr(module, "COMMANDS", {"tests": ["pytest_run.py"]})
    limits = dict.fromkeys(["first", "fails", "second", "third", "dies", "hangs", "last", "tests"], 120.0)
    monkeypatch.setattr(module, "LIMITS_S", limits | {"hangs": 1.0})
    return module


def test_each_part_has_its_result(check):
    results = dict(check._results(list(check.LIMITS_S), ["--device", "cuda"]))
    assert list(results) == list(check.LIMITS_S)
    failures = {name: result["failed"] for name, result in results.items() if "failed" in result}
    assert failures == {
        "fails": "RuntimeError: no",
        "dies": "its process died (9)",
        "hangs": "took more than 1 s",
        "tests": "FAILED tests/gpu/test_it.py::test_it",
    }
    process = {name: result["figures"]["process"] for name, result in results.items() if "figures" in result}
    assert process["second"] == process["third"] != process["first"], "one process as long as nothing fails"


def test_after_ten_minutes_the_rest_is_not_run(check, monkeypatch):
    monkeypatch.setattr(check, "TOTAL_S", 0.0)
    results = dict(check._results(["first", "last"], ["--device", "cuda"]))
    assert [result["failed"] for result in results.values()] == ["not run: the ten minutes are over"] * 2


def test_the_table_marks_what_is_far_from_what_is_expected(check, capsys):
    figures = {
        "environment": {"device": "NVIDIA H100"},
        "train": {"tokens_per_s": 1e5, "mfu": 0.2},
        "uda": {"step_ms": 140.0},
    }
    check._print_table({part: {"figures": values} for part, values in figures.items()} | {"decode": {"failed": "no"}})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.endswith("LOOK FOR A BUG")] == ["tokens_per_s", "step_ms"]
    assert "decode              FAILED: no" in lines


def test_both_scripts_name_the_same_parts():
    assert keys("gpu_check", "LIMITS_S") - keys("gpu_check", "COMMANDS") == keys("gpu_parts", "PARTS")
    assert keys("gpu_check", "EXPECTED") <= keys("gpu_check", "LIMITS_S")


def keys(script: str, name: str) -> set[object]:
    """Of the dictionary with this name."""
    for node in ast.parse((SCRIPTS / f"{script}.py").read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node.value, ast.Dict)
            return {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    raise AssertionError(f"{script} has no {name}")
