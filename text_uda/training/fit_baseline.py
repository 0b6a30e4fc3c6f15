"""The run of a baseline: features, one fit, and the run directory that training leaves.

With other columns the result is a late fusion of two linear functions; `baseline_inputs` says what is fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.fusion import Fusion
from text_uda.fusion.columns_alone import ColumnsJoin
from text_uda.fusion.fitted_columns import ColumnRows, FittedColumns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.fusion.late import LateJoin
from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.frozen_encoder import FeatureRows, FrozenEncoder, encoder_of
from text_uda.model.inputs import Features
from text_uda.model.linear_head import can_be_linear, is_linear, make_linear, set_linear
from text_uda.model.pretrained import limit_to_settings, load_classifier
from text_uda.objectives.baseline import Baseline, Linear
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import Evaluation, score
from text_uda.training.baseline_inputs import baseline_inputs, scales_of, text_width
from text_uda.training.elapsed import Elapsed, Stopwatch
from text_uda.training.final_evaluation import Predictions, errors_of_modes, write_result
from text_uda.training.metrics import Metrics
from text_uda.training.run_warnings import warnings_in
from text_uda.training.settings import TrainSettings


class BaselineFit:
    """The run of a baseline. It takes no step and keeps no checkpoint: an interrupted run starts again.

    Raises:
        SettingsError: no unlabeled texts where they are needed, a class without a label, or an encoder whose head
            cannot be linear.
    """

    def __init__(
        self,
        split: Split,
        baseline: Baseline,
        settings: TrainSettings,
        directory: RunDirectory,
        accelerator: Accelerator,
        frozen: FrozenEncoder | None,
        fusion: Fusion | None = None,
        *,
        name: str | None = None,
        beside: Sequence[Split] = (),
    ) -> None:
        """
        Args:
            name: of the task, where there are several.
            beside: other tasks, whose rows the fit reads too.
            fusion: `Late` for the features and the columns, `ColumnsAlone` for the columns, both without a hidden
                layer; None for the features.
        """
        self.split, self.baseline, self.settings = split, baseline, settings
        self.directory, self.accelerator = directory, accelerator
        self._name, of_fit = name, (split, *beside)
        if baseline.needs.unlabeled_rows and not any(one.unlabeled for one in of_fit):
            raise SettingsError("there are no unlabeled texts; request fewer labels or pass a file of unlabeled texts")
        labeled_classes = {label for one in of_fit for label in one.labeled.labels}
        if missing := set(range(len(split.classes))) - labeled_classes:
            raise SettingsError(f"no text of class {split.classes[min(missing)]!r} has a label; label at least one")
        self._pretrained = load_classifier(settings.encoder, split.classes, seed=settings.seed, linear_head=True)
        model = self._pretrained.model.to(accelerator.device)  # pyright: ignore[reportArgumentType]
        if not can_be_linear(model):
            raise SettingsError(
                f"a baseline needs a linear head, and the head of a {model.config.model_type!r} model cannot be one "
                "linear layer; choose another encoder (BERT, RoBERTa, DistilBERT)"
            )
        if not is_linear(model):  # the encoder comes with the head of a classifier
            make_linear(model)
        check_head_is_separable(model)
        limit_to_settings(self._pretrained.tokenizer, settings.max_tokens, settings.keep_tokens)
        self.frozen = encoder_of(model, self._pretrained.tokenizer, settings, shared=frozen)
        self._fusion: FittedFusion | None = None
        if fusion is not None:
            self._fusion = FittedFusion(fusion, FittedColumns.fit(split.labeled.texts, split.unlabeled))
            self._join = self._fusion.attach(model, tune=settings.tune, seed=settings.seed)

    def run(self) -> dict[str, Any]:
        """Fit, evaluate and write the run; returns the content of result.json."""
        rows = self.encode()
        stopwatch = Stopwatch()  # as in fine-tuning, encoding does not count
        linear = self.fit(rows.fit)
        predictions = self.predict(linear, rows)
        evaluation = self.evaluation(predictions)
        write_evaluation(self.directory, self.accelerator, evaluation and evaluation.record())
        return self.finish(linear, predictions, rows, stopwatch.elapsed())

    def encode(self) -> "EncodedRows":
        """The rows of this task, as the encoder gives them."""
        split = self.split
        of_labeled = self._inputs(self._rows(split.labeled.texts, kind="labeled"))
        of_unlabeled = of_labeled[:0]
        if self.baseline.needs.unlabeled_rows:
            of_unlabeled = self._inputs(self._rows(split.unlabeled, kind="unlabeled"))
        return EncodedRows(
            fit=FitRows(of_labeled, np.asarray(split.labeled.labels), of_unlabeled),
            dev=self._rows(split.dev.texts, kind="dev") if len(split.dev) else None,
            test=self._rows(split.test.texts, kind="test"),
        )

    def fit(self, rows: "FitRows") -> Linear:
        """The linear function of rows as `encode` gives them."""
        scales = None if self._fusion is None else scales_of(rows.labeled, width=self._width)
        linear = self.baseline.fit(
            _divided(rows.labeled, scales),
            rows.labels,
            _divided(rows.unlabeled, scales),
            classes=len(self.split.classes),
            seed=self.settings.seed,
        )
        return replace(linear, weight=_divided(linear.weight, scales))

    def predict(self, linear: Linear, rows: "EncodedRows") -> Predictions:
        """The predictions of the model with this linear function, which it keeps."""
        self._set_weights(linear.weight, linear.bias)
        return Predictions.of(self._pretrained.model, rows.dev, rows.test)

    def evaluation(self, predictions: Predictions) -> Evaluation | None:
        """On the development rows, if there are some."""
        return None if predictions.dev is None else score(predictions.dev, np.asarray(self.split.dev.labels))

    def finish(self, linear: Linear, predictions: Predictions, rows: "EncodedRows", elapsed: Elapsed) -> dict[str, Any]:
        """Write the model and the result; returns the content of result.json."""
        split, directory, model = self.split, self.directory, self._pretrained.model
        return write_result(
            directory,
            split,
            model,
            self._pretrained.tokenizer,
            last=predictions,
            chosen=predictions,
            selected_by="last",
            best_step=0,
            steps=0,
            elapsed=elapsed,
            unlabeled=split.unlabeled if self.baseline.needs.unlabeled_rows else (),
            fusion=self._fusion,
            more={
                "augmentation": None,
                "changed": None,
                "baseline": None,
                **errors_of_modes(model, rows.test, split.test.labels),
                "fit": dict(linear.fit),
                "warnings": [*linear.warnings, *warnings_in(directory.read_metrics(), steps=1)],
            },
        )

    def _rows(self, texts: Sequence[str], *, kind: str) -> FeatureRows | ColumnRows:
        kind = kind if self._name is None else f"{self._name}, {kind}"
        with followed(f"encode ({kind})", "texts", shown=distributed.is_main()) as on_progress:
            rows = self.frozen.rows(texts, progress=on_progress)
        return rows if self._fusion is None else ColumnRows(rows, self._fusion.columns.encode(texts))

    @property
    def _width(self) -> int:
        """Of the features; 0 where the fit reads the columns without them."""
        return text_width(self._pretrained.model.config.hidden_size, self._fusion and self._fusion.settings)

    def _inputs(self, rows: FeatureRows | ColumnRows) -> np.ndarray:
        """What the baseline reads: features, then columns, (N, D + M)."""
        batch = Features(rows.values) if isinstance(rows, FeatureRows) else rows.batch(np.arange(len(rows)))
        assert isinstance(batch, Features)
        return baseline_inputs(batch.values, batch.columns, width=self._width)

    def _set_weights(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """The fitted weights, (C, D + M), and bias, (C,), in the model."""
        of_text, of_columns = map(torch.from_numpy, np.split(weight, [self._width], axis=1))
        constant, zeros = torch.from_numpy(bias), torch.zeros(len(bias))
        if self._width:
            set_linear(self._pretrained.model, of_text, constant)
        if self._fusion is not None:
            assert isinstance(self._join, LateJoin | ColumnsJoin), "the plan of the run lets no other pass"
            self._join.of_columns.set_linear(of_columns, zeros if self._width else constant)


@dataclass(frozen=True)
class FitRows:
    """What a fit reads: L labeled and U unlabeled rows."""

    labeled: np.ndarray  # (L, D + M)
    labels: np.ndarray  # (L,)
    unlabeled: np.ndarray  # (U, D + M); U is 0 where no unlabeled row is read


@dataclass(frozen=True, kw_only=True)
class EncodedRows:
    """The rows of a task: those of the fit, and those that evaluate it."""

    fit: FitRows
    dev: FeatureRows | ColumnRows | None
    test: FeatureRows | ColumnRows


def write_evaluation(directory: RunDirectory, accelerator: Accelerator, evaluation: Mapping[str, float] | None) -> None:
    """Write metrics.jsonl: the line of the evaluation, or none without development rows."""
    distributed.on_main(lambda: directory.keep_metrics_until(-1))  # of a fit that was killed
    if evaluation is not None:
        with Metrics(directory, accelerator, steps=1) as metrics:
            metrics.evaluation(0, evaluation)


def _divided(values: np.ndarray, scales: np.ndarray | None) -> np.ndarray:
    """Without scales it is no copy."""
    return values if scales is None else values / scales
