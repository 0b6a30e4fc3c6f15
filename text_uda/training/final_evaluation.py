"""The end of a run: evaluates the last and the chosen weights, and writes the model and result.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda import distributed
from text_uda.data import Split
from text_uda.fusion.fitted_columns import ColumnRows
from text_uda.fusion.fused_model import FittedFusion
from text_uda.keyed_random import keyed_generator
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.tokenized import ModelRows
from text_uda.runs.calibration import calibration_error
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import FIGURES, Evaluation, score
from text_uda.runs.kept_predictions import dev_lines, examples_of, packed
from text_uda.runs.model_card import model_card
from text_uda.runs.per_class import named
from text_uda.runs.prediction import probabilities
from text_uda.runs.run_files import CARD
from text_uda.runs.seen_texts import write_seen_texts
from text_uda.runs.write_model import write_model
from text_uda.training.elapsed import Elapsed
from text_uda.training.settings import SelectBy


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of the development and the test rows, (N, C) each."""

    dev: np.ndarray | None
    """None where there are no development rows."""
    test: np.ndarray

    @staticmethod
    def of(
        model: PreTrainedModel, dev: ModelRows | None, test: ModelRows, *, dev_precision: ResolvedPrecision = "fp32"
    ) -> "Predictions":
        """The test rows in fp32; the development rows in the precision in which they chose the weights."""
        dev_probabilities = None if dev is None else probabilities(model, dev, precision=dev_precision)
        return Predictions(dev_probabilities, probabilities(model, test))


def write_result(
    directory: RunDirectory,
    split: Split,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    last: Predictions,
    chosen: Predictions,
    selected_by: SelectBy,
    best_step: int,
    steps: int,
    elapsed: Elapsed,
    unlabeled: Sequence[str],
    fusion: FittedFusion | None = None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the model, kept predictions, hashes of the texts that the run used, and result.json, which is returned.

    Args:
        model: with the chosen weights.
        last: predictions of the weights after the last step.
        unlabeled: the texts that it was trained on without labels.
        fusion: of the model with other columns, where it has one.
        more: further entries of the result.
    """
    dev_labels, test_labels = np.asarray(split.dev.labels), np.asarray(split.test.labels)
    test_evaluation = score(chosen.test, test_labels)
    evaluations = {
        "dev": None if chosen.dev is None else score(chosen.dev, dev_labels),
        "test": test_evaluation,
        "last_dev": None if last.dev is None else score(last.dev, dev_labels),
        "last_test": score(last.test, test_labels),
    }
    result = {
        "run": str(directory.path),
        **{key: value for name, evaluation in evaluations.items() for key, value in _figures(evaluation, name).items()},
        "selected_by": selected_by,
        "dev_rows": len(split.dev),
        "best_step": best_step,
        "steps": steps,
        "seconds": round(elapsed.seconds, 2),
        "cpu_seconds": round(elapsed.cpu_seconds, 2),
        "confusion": test_evaluation.confusion,
        "per_class": {
            name: evaluation and named(evaluation.per_class, split.classes) for name, evaluation in evaluations.items()
        },
        "calibration": calibration_error(chosen.test, test_labels),
        "test_correct": packed(chosen.test.argmax(axis=-1) == test_labels),
        **more,
    }

    def write() -> dict[str, str]:
        config = directory.config()
        tune = config["settings"]["tune"]
        write_model(directory.model, model, tokenizer, {CARD: model_card(config, result)}, fusion=fusion, tune=tune)
        directory.write_test_examples(examples_of(split.test, split.classes, chosen.test))
        directory.write_dev_predictions(dev_lines(split.dev, split.classes, chosen.dev))
        write_seen_texts(directory.path, split, unlabeled)
        return directory.finish(result)

    return result | {"model_files": distributed.on_main(write)}


def errors_of_modes(model: PreTrainedModel, test: ModelRows, labels: Sequence[int]) -> dict[str, Any]:
    """`modes`: the test error of a model with columns where one mode is that of another row, in percent.

    The error rises by what the mode is worth to the model. Of text i with the columns of row j, one pass gives both:
    against the label of i the columns are the wrong ones, against that of j the text.
    """
    if not isinstance(test, ColumnRows):
        return {}
    order = keyed_generator("columns of another row").permutation(len(test))
    of_rows = np.asarray(labels)
    predicted = probabilities(model, test.shuffled(order))
    wrong = {"columns_shuffled": of_rows, "text_shuffled": of_rows[order]}
    return {"modes": {mode: score(predicted, of_mode).error for mode, of_mode in wrong.items()}}


def _figures(evaluation: Evaluation | None, prefix: str) -> dict[str, float | None]:
    if evaluation is None:
        return dict.fromkeys(f"{prefix}_{name}" for name in FIGURES)
    return dict(evaluation.figures(prefix))
