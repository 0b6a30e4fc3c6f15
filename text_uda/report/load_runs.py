"""Loads finished run directories: checks that they are whole, and replaces characters that a page cannot show."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from text_uda.errors import SettingsError
from text_uda.runs.calibration import BINS
from text_uda.runs.directory import RunDirectory
from text_uda.runs.kept_predictions import unpacked
from text_uda.runs.per_class import Scores, class_scores

# UTF-8 or HTML cannot hold these: control characters except tab and line ends, lone surrogates, non-characters.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_NUMBER = (int, float)
_TEXT_OR_NONE = (str, type(None))

# The fields that a report reads, and their types.
_Fields = Mapping[str, tuple[type, ...]]
_CONFIG: _Fields = {
    **dict.fromkeys(("name", "method", "encoder", "tune"), (str,)),
    **dict.fromkeys(("labels", "seed"), (int,)),
    **dict.fromkeys(("data", "settings"), (dict,)),
}
_DATA: _Fields = {"name": (str,), "classes": (list,), "digest": (str,)}
_DATA_LATER: _Fields = {
    "test_digest": (str,),
    "unlabeled": (int,),
    "dev": (int,),
}  # earlier versions did not write these
_RESULT_LATER: _Fields = {"selected_by": (str,), "dev_rows": (int,)}
_RESULT: _Fields = {
    "dev_error": (*_NUMBER, type(None)),  # a refit has none
    **dict.fromkeys(("test_error", "last_test_error", "seconds"), _NUMBER),
    **dict.fromkeys(("confusion", "warnings"), (list,)),
}
_COVERAGE: _Fields = {"change_rate": _NUMBER, "usable": _NUMBER, "statuses": (dict,)}
_METRICS: _Fields = {"kind": (str,), "step": (int,)}
_EXAMPLE: _Fields = {"source": (str,), "paraphrase": _TEXT_OR_NONE, "status": (str,), "pivot": _TEXT_OR_NONE}
_TEST_EXAMPLE: _Fields = {**dict.fromkeys(("text", "label", "predicted"), (str,)), "probability": _NUMBER}
_CALIBRATION: _Fields = {"error": _NUMBER, "bins": (list,)}
_BIN: _Fields = {
    **dict.fromkeys(("low", "high"), _NUMBER),
    "count": (int,),
    **dict.fromkeys(("confidence", "accuracy"), (*_NUMBER, type(None))),
}


MODES = ("columns_shuffled", "text_shuffled")
"""The test errors of a run with other columns where one of its modes is that of another row."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run."""

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    metrics: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    test_examples: list[dict[str, Any]]
    """A sample of the test rows, equal for all runs on the same test rows; empty for a run of an earlier version."""

    @property
    def name(self) -> str:
        return self.config["name"]

    @property
    def method(self) -> str:
        return self.config["method"]

    @property
    def method_alone(self) -> str:
        """The method without the words for tasks that share an encoder, or for columns that join the text."""
        return self.method.rpartition(", ")[0] if "shared" in self.config or self.reads_columns else self.method

    @property
    def reads_columns(self) -> bool:
        """Whether it reads other columns beside the text, or picked among modes that do."""
        return "choose" in self.config or self.config.get("fusion", {}).get("fusion", "text") != "text"

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def classes(self) -> list[str]:
        return self.config["data"]["classes"]

    @property
    def test_digest(self) -> str | None:
        return self.config["data"].get("test_digest")

    @property
    def unlabeled(self) -> int | None:
        """Number of unlabeled texts; None where an earlier version did not record it."""
        return self.config["data"].get("unlabeled")

    @property
    def selected_by(self) -> str:
        """The criterion that selected the weights (`TrainSettings.select_by`); the error in earlier versions."""
        return self.result.get("selected_by", "error")

    @property
    def dev_rows(self) -> int | None:
        """Number of labeled rows that selected the weights; None where an earlier version did not record it."""
        return self.result.get("dev_rows", self.config["data"].get("dev"))

    @property
    def test_rows(self) -> int:
        return sum(map(sum, self.result["confusion"]))

    @cached_property
    def scores(self) -> Scores | None:
        """Of the selected weights on the test rows, from the confusion, which runs of all versions have."""
        return class_scores(self.result["confusion"]) if self.test_rows else None

    @cached_property
    def right(self) -> np.ndarray | None:
        """(N,) bool: which test rows are right, in an order that all runs with this test digest share."""
        packed = self.result.get("test_correct")
        return None if packed is None or self.test_digest is None else unpacked(packed, self.test_rows)

    @property
    def coverage(self) -> dict[str, Any]:
        """Statistics of the paraphrases of the unlabeled texts; empty without an augmentation."""
        return self.result.get("augmentation") or {}

    def value(self, name: str) -> float | None:
        """A number of the result or of `coverage`, by its name in a table; None where there is none."""
        value = self.result.get(name, self.coverage.get(name))
        if name == "dev_rows":
            value = self.dev_rows
        elif name in ("test_macro_f1", "test_balanced_error"):
            value = getattr(self.scores, name.removeprefix("test_"), None)
        elif name in MODES:
            value = (self.result.get("modes") or {}).get(name)
        elif name == "calibration_error":
            value = (self.result.get("calibration") or {}).get("error")
        return float(value) if isinstance(value, _NUMBER) and math.isfinite(value) else None

    @property
    def picked(self) -> str | None:
        """The mode that the development rows picked, of a run of `Choose`."""
        return (self.result.get("choice") or {}).get("picked")

    def series(self, kind: str, name: str) -> list[tuple[int, float]]:
        """(step, value) of a metric at the steps that have it."""
        values = ((record["step"], record.get(name)) for record in self.metrics if record["kind"] == kind)
        return [(step, float(value)) for step, value in values if isinstance(value, _NUMBER) and math.isfinite(value)]


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Load the runs of these folders, each once.

    Raises:
        SettingsError: a folder is not finished, damaged or no run.
    """
    unique = list({Path(path).resolve(): Path(path) for path in paths}.values())
    if unfinished := [str(path) for path in unique if is_unfinished(path)]:
        verb, pronoun = ("is", "it") if len(unfinished) == 1 else ("are", "them")
        raise SettingsError(
            f"{', '.join(unfinished)} {verb} not finished: rerun the same `text-uda train`, or leave {pronoun} out"
        )
    return [read_run(path) for path in unique]


def is_unfinished(path: Path) -> bool:
    """Whether the run has a whole configuration and no result yet."""
    directory = RunDirectory(path)
    if directory.holds_pretraining() or (path / "result.json").exists():
        return False
    try:
        return bool(directory.config())
    except SettingsError:
        return False


def read_run(path: Path) -> Run:
    """Load a run that has a result.

    Raises:
        SettingsError: the folder is damaged, or is not a run.
    """
    directory = RunDirectory(path)
    directory.check_leaves_a_classifier()
    config, result = _clean(directory.config()), _clean(directory.result())
    _check(config, _CONFIG, path / "config.json")
    _check(config["data"], _DATA, path / "config.json")
    _check(config["data"], _DATA_LATER, path / "config.json", absent=True)
    _check(result, _RESULT, path / "result.json")
    _check(result, _RESULT_LATER, path / "result.json", absent=True)
    classes, rows = config["data"]["classes"], result["confusion"]
    if not classes or not all(isinstance(name, str) for name in classes):
        raise _damaged(path / "config.json", f"the classes are {classes}")
    counts = [count for row in rows if isinstance(row, list) and len(row) == len(classes) for count in row]
    if len(rows) != len(classes) or len(counts) != len(classes) ** 2 or not _are_counts(counts):
        raise _damaged(path / "result.json", f"the confusion is not a table of {len(classes)} x {len(classes)} counts")
    if (coverage := result.get("augmentation")) is not None:
        _check(coverage, _COVERAGE, path / "result.json")
        if not _are_counts(coverage["statuses"].values()):
            raise _damaged(path / "result.json", "the statuses of the paraphrases are not counts")
    _check_answers(result, path / "result.json")
    return Run(
        path,
        config,
        result,
        metrics=_lines(path / "metrics.jsonl", _METRICS),
        examples=_lines(path / "examples.jsonl", _EXAMPLE, absent=True),
        test_examples=_lines(path / "test_examples.jsonl", _TEST_EXAMPLE, absent=True),
    )


def _check_answers(result: dict[str, Any], path: Path) -> None:
    """The answers to single test rows agree with the confusion."""
    rows = sum(map(sum, result["confusion"]))
    if (calibration := result.get("calibration")) is not None:
        _check(calibration, _CALIBRATION, path)
        bins = calibration["bins"]
        for part in bins:
            _check(part, _BIN, path, "a bin of the calibration")
            if part["count"] and None in (part["confidence"], part["accuracy"]):
                raise _damaged(path, f"a bin of the calibration has {part['count']} rows and no means")
        numbers = [calibration["error"], *(value for part in bins for value in part.values())]
        if not all(math.isfinite(number) for number in numbers if isinstance(number, _NUMBER)):
            raise _damaged(path, "the calibration holds a number that is not finite")
        if len(bins) != BINS or sum(part["count"] for part in bins) != rows:
            raise _damaged(path, f"the calibration does not have {rows:,} rows in {BINS} bins")
    if (packed := result.get("test_correct")) is not None:
        try:
            right = int(unpacked(packed, rows).sum())
        except (TypeError, ValueError) as error:
            raise _damaged(path, f"'test_correct' does not hold {rows:,} test rows") from error
        if right != sum(row[index] for index, row in enumerate(result["confusion"])):
            raise _damaged(path, f"{right:,} rows are right by 'test_correct', another number by the confusion")


def _lines(path: Path, fields: _Fields, *, absent: bool = False) -> list[dict[str, Any]]:
    if absent and not path.exists():
        return []
    records = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    records.append(_clean(json.loads(line)))
                except (ValueError, RecursionError) as error:
                    raise _damaged(path, f"line {number} is not JSON") from error
                _check(records[-1], fields, path, f"line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    return records


def _check(record: Any, fields: _Fields, path: Path, where: str = "it", *, absent: bool = False) -> None:
    if not isinstance(record, dict):
        raise _damaged(path, f"{where} is not a JSON object")
    for name, kinds in fields.items():
        if name not in record:
            if absent:
                continue
            raise _damaged(path, f"{where} has no {name!r}")
        if not isinstance(record[name], kinds):
            raise _damaged(path, f"{where} has {name!r}: {str(record[name])[:40]!r}")


def _are_counts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) and value >= 0 for value in values)


def _damaged(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"{path} is damaged: {reason}; train this run again with --no-resume, or leave it out")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value
