"""The end of a run: what its weights are worth on the development and the test rows, and all that it leaves."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda import distributed
from text_uda.data import Split
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.tokenized import ModelRows
from text_uda.runs.calibration import calibration
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import FIGURES, Evaluation, probabilities, score
from text_uda.runs.per_class import named
from text_uda.runs.test_answers import examples_of, packed
from text_uda.training.elapsed import Spent
from text_uda.training.settings import SelectBy


@dataclass(frozen=True)
class Answers:
    """What some weights say of the development and the test rows: probabilities, (N, C) each."""

    dev: np.ndarray | None
    """None where there are no development rows."""
    test: np.ndarray

    @staticmethod
    def of(
        model: PreTrainedModel, dev: ModelRows | None, test: ModelRows, *, dev_numbers: ResolvedPrecision = "fp32"
    ) -> "Answers":
        """The development rows in the numbers of the training: four times as fast, and it only chooses."""
        said_of_dev = None if dev is None else probabilities(model, dev, numbers=dev_numbers)
        return Answers(said_of_dev, probabilities(model, test))


def finish(
    directory: RunDirectory,
    split: Split,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    last: Answers,
    chosen: Answers,
    selected_by: SelectBy,
    best_step: int,
    steps: int,
    spent: Spent,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the chosen weights, what they say of some test rows, and result.json, whose content is returned.

    Args:
        model: with the chosen weights.
        last: of the weights after the last step.
        more: what else the result holds.
    """
    dev_labels, test_labels = np.asarray(split.dev.labels), np.asarray(split.test.labels)
    of_test = score(chosen.test, test_labels)
    evaluations = {
        "dev": None if chosen.dev is None else score(chosen.dev, dev_labels),
        "test": of_test,
        "last_dev": None if last.dev is None else score(last.dev, dev_labels),
        "last_test": score(last.test, test_labels),
    }
    result = {
        "run": str(directory.path),
        **{name: value for of, each in evaluations.items() for name, value in _figures(each, of).items()},
        "selected_by": selected_by,
        "dev_rows": len(split.dev),
        "best_step": best_step,
        "steps": steps,
        "seconds": round(spent.seconds, 2),
        "cpu_seconds": round(spent.cpu_seconds, 2),
        "confusion": of_test.confusion,
        "per_class": {of: each and named(each.per_class, split.classes) for of, each in evaluations.items()},
        "calibration": calibration(chosen.test, test_labels),
        "test_correct": packed(chosen.test.argmax(axis=-1) == test_labels),
        **more,
    }

    def write() -> None:
        directory.write_model(model, tokenizer)
        directory.write_test_examples(examples_of(split.test, split.classes, chosen.test))
        directory.write("result.json", result)
        shutil.rmtree(directory.checkpoints, ignore_errors=True)
        shutil.rmtree(directory.tokens, ignore_errors=True)

    distributed.on_main(write)
    return result


def _figures(evaluation: Evaluation | None, prefix: str) -> dict[str, float | None]:
    if evaluation is None:
        return dict.fromkeys(f"{prefix}_{name}" for name in FIGURES)
    return dict(evaluation.figures(prefix))
