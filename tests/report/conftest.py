"""Finished run directories, as text_uda.training.train_classifier leaves them."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from text_uda.keyed_random import keyed_generator, keyed_seed
from text_uda.runs.calibration import calibration_error
from text_uda.runs.kept_predictions import packed

MakeRun = Callable[..., Path]

TEXTS = [
    "A slight but a few movies delight with the cast is uniformly superb .",
    "It never quite makes it to the boiling point, but manages to sustain a good simmer for most of its running time.",
    "The plot is a mess & the acting <wooden>; I left after 20 minutes.",
    "Not bad at all.",
]


TEST_TEXTS = [
    "a warm and quiet film about very little .",
    "<script>alert('x')</script> & \"quotes\" | pipes",
    "\N{FACE WITH TEARS OF JOY} so bad that it is good",
    "\u0641\u064a\u0644\u0645 \u062c\u0645\u064a\u0644 and then it ends",
]


def _changed(text: str, method: str) -> tuple[str | None, str, str | None]:
    if text == "Not bad at all.":
        return (None, "unchanged", None) if method == "synonym" else ("Bad at all.", "negation", "Malo.")
    changed = (
        text.replace("slight", "modest").replace("movies", "films").replace("most of its", "the better part of its")
    )
    return changed.replace("mess", "shambles"), "ok", "Una película ligera" if method == "back-translation" else None


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(
        method: str = "synonym",
        seed: int = 0,
        *,
        error: float = 20.0,
        texts: list[str] = TEXTS,
        classes: tuple[str, ...] = ("negative", "positive"),
        finished: bool = True,
        result: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        augmentation: dict[str, Any] | None = None,
        folder: str | None = None,
        confusion: list[list[int]] | None = None,
        **config: Any,
    ) -> Path:
        path = tmp_path / (folder or f"{method}-{seed}")
        path.mkdir()
        noise = random.Random(f"{method} {seed}")
        alone = method.partition(", ")[0]
        none = alone == "none"
        steps = 400
        content = {
            "name": f"{method} seed {seed}",
            "method": method,
            "data": {
                "name": "movie-snippets",
                "classes": list(classes),
                "digest": f"split-of-seed-{seed}",
                "test_digest": "test-rows",
                "unlabeled": 2000,
            },
            "labels": 40,
            "seed": seed,
            "steps": steps,
            "tune": "head",
            "encoder": "minilm-l6",
            "objectives": [{"objective": "Supervised", "tsa": None}]
            + ([] if none else [{"objective": "UDA", "weight": 1.0, "temperature": 0.5}]),
            "augmentation": None if none else {"method": alone, "seed": 0, "rate": 0.3} | (augmentation or {}),
            "cache_digest": None if none else "f" * 32,
            "settings": {"steps": steps, "seed": seed, "learning_rate": None, "tune": "head"} | (settings or {}),
            "versions": {"python": "3.11.2", "torch": "2.13.0"},
            "code_revision": "cbe4702a1b2c",
        }
        _write(path / "config.json", content | config)
        lines = []
        for step in range(1, steps + 1, 10):
            left = math.exp(-step / 90)
            terms: dict[str, Any] = {"supervised": 0.05 + 0.6 * left + noise.uniform(0, 0.06)}
            if not none:
                terms |= {"uda": 0.1, "confident": 0.9 - 0.7 * left + noise.uniform(-0.05, 0.05)}
            lines.append({"kind": "train", "step": step, "loss": sum(terms.values())} | terms | {"rows_per_s": 900.0})
            if step % 50 == 1:
                dev = error + 25 * left + noise.uniform(-1, 1)
                lines.append({"kind": "dev", "step": step + 49, "error": dev, "largest_class_share": 0.5})
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if not none:
            with (path / "examples.jsonl").open("w", encoding="utf-8") as file:
                for text in texts:
                    paraphrase, status, pivot = _changed(text, method)
                    example = {"source": text, "paraphrase": paraphrase, "status": status, "pivot": pivot}
                    file.write(json.dumps(example | {"method": method}, ensure_ascii=False) + "\n")
        if finished:
            size, rows = len(classes), 1000
            wrong = round(rows * error / 100 / max(1, size - 1))
            right = rows - wrong * (size - 1)
            confusion = confusion or [[right if i == j else wrong for j in range(size)] for i in range(size)]
            statuses = {"ok": 1860, "unchanged": 90, "negation": 50}
            coverage = {"method": method, "change_rate": 0.31, "usable": 0.93, "statuses": statuses}
            figures = {"dev_error": error - 0.8, "test_error": error, "last_dev_error": error, "seconds": 41.5}
            figures |= {"run": str(path), "last_test_error": error + 0.4, "best_step": 350, "steps": steps}
            content = figures | {"confusion": confusion, "augmentation": None if none else coverage, "warnings": []}
            labels, probabilities = _answers(f"{method} {seed}", confusion)
            answers = {"calibration": calibration_error(probabilities, labels)}
            answers |= {"test_correct": packed(probabilities.argmax(axis=-1) == labels)}
            _write_test_examples(path / "test_examples.jsonl", classes, labels, probabilities)
            _write(path / "result.json", content | answers | (result or {}))
        return path

    return make


def _answers(run: str, confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and probabilities (N, C) that have this confusion. A row that is hard for one run is for others."""
    size, rows = len(confusion), [sum(row) for row in confusion]
    labels = np.repeat(np.arange(size), rows)
    hardness = keyed_generator("hardness").random(len(labels)) + 0.7 * keyed_generator(run).random(len(labels))
    predicted = labels.copy()
    for label, counts in enumerate(confusion):
        first = sum(rows[:label])
        hardest = first + np.argsort(-hardness[first : first + rows[label]], kind="stable")
        others = [np.full(count, other) for other, count in enumerate(counts) if other != label]
        wrong = np.concatenate([*others, np.empty(0, dtype=np.int64)])
        predicted[hardest[: len(wrong)]] = wrong
    least = 1.0 / size
    confidence = least + (1 - least) * np.clip(1.1 - 0.5 * hardness, 0.02, 0.999)
    probabilities = np.repeat(((1 - confidence) / max(1, size - 1))[:, None], size, axis=1)
    probabilities[np.arange(len(labels)), predicted] = confidence
    return labels, probabilities


def _write_test_examples(path: Path, classes: tuple[str, ...], labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Of 500 rows, some of them with what a page has to show as text."""
    texts = [f"Test row {row}: {TEST_TEXTS[row % len(TEST_TEXTS)]}" for row in range(len(labels))]
    predicted = probabilities.argmax(axis=-1)
    chosen = sorted(range(len(texts)), key=lambda row: keyed_seed("test example", texts[row]))[:500]
    with path.open("w", encoding="utf-8") as file:
        for row in chosen:
            example = {"text": texts[row], "label": classes[labels[row]], "predicted": classes[predicted[row]]}
            example["probability"] = float(probabilities[row].max())
            file.write(json.dumps(example, ensure_ascii=False) + "\n")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@pytest.fixture
def study(make_run: MakeRun) -> list[Path]:
    """Three methods, three seeds each."""
    errors = {"none": (21.5, 21.3, 22.4), "synonym": (16.1, 14.9, 15.2), "back-translation": (12.3, 13.9, 12.6)}
    return [make_run(method, seed, error=error) for method, row in errors.items() for seed, error in enumerate(row)]


@pytest.fixture
def answer() -> Callable[..., None]:
    """Writes test_examples.jsonl of a run: (text, true class, what the run says) a row."""

    def write(run: Path, rows: list[tuple[str, str, str]], probability: float = 0.75) -> None:
        lines = [
            {"text": text, "label": label, "predicted": predicted, "probability": probability}
            for text, label, predicted in rows
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (run / "test_examples.jsonl").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def earlier() -> Callable[[Path], Path]:
    """Takes from a run what earlier versions did not write."""

    def strip(run: Path) -> Path:
        result = json.loads((run / "result.json").read_text())
        _write(run / "result.json", {k: v for k, v in result.items() if k not in ("calibration", "test_correct")})
        (run / "test_examples.jsonl").unlink()
        return run

    return strip
