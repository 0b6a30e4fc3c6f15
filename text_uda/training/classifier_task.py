"""One task of a run: its data, the model and its step, evaluations, and the end. `FineTuning` trains it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.fusion import Fusion
from text_uda.fusion.fitted_columns import ColumnRows, FittedColumns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.fusion.trial import check_fusion_works
from text_uda.model import cuda
from text_uda.model.capabilities import (
    check_accepts_embeddings,
    check_head_is_separable,
    check_hidden_is_trained,
    check_last_layer_is_linear,
    check_layers_can_be_mixed,
    has_known_layers,
)
from text_uda.model.classifier import layers
from text_uda.model.compiled_layers import compile_layers
from text_uda.model.frozen_encoder import FrozenEncoder, encoder_of
from text_uda.model.inputs import Batch
from text_uda.model.linear_head import add_penalty, is_linear
from text_uda.model.precision import ResolvedPrecision, resolve_precision
from text_uda.model.pretrained import Pretrained, choose_trained_weights, limit_to_settings, load_classifier
from text_uda.model.tokenized import ModelRows, TokenRows
from text_uda.objectives import Needs, Objective, all_needs, in_use
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import Evaluation, score
from text_uda.runs.prediction import probabilities
from text_uda.training.batches import BatchStream
from text_uda.training.elapsed import Elapsed
from text_uda.training.final_evaluation import Predictions, errors_of_modes, write_result
from text_uda.training.in_step_augmentation import InStep, OnEmbeddings, special_ids
from text_uda.training.labels_only_reference import RegressionReference, fit_reference, worse_than
from text_uda.training.optimizer import parameter_groups
from text_uda.training.run_warnings import warnings_at_the_end, warnings_in
from text_uda.training.settings import SelectBy, TrainSettings
from text_uda.training.step import Step, StepLoss
from text_uda.training.unlabeled_views import Views

log = logging.getLogger("text_uda")


def load_pretrained(classes: Sequence[str], settings: TrainSettings) -> Pretrained:
    """The encoder of a run with a new head, and its tokenizer."""
    return load_classifier(
        settings.encoder,
        classes,
        seed=settings.seed,
        linear_head=settings.tune == "head",
        reinit_layers=settings.reinit_layers,
        dropout=settings.dropout,
    )


def check_modes(split: Split, modes: Sequence[Fusion], settings: TrainSettings) -> None:
    """Raise SettingsError if one of the fusions does not work with the encoder."""
    model = load_pretrained(split.classes, settings).model
    choose_trained_weights(model, settings.tune)
    if settings.tune == "head":
        check_head_is_separable(model)
    columns = FittedColumns.fit(split.labeled.texts, split.unlabeled)
    for mode in modes:
        fusion = FittedFusion(mode, columns)
        fusion.attach(model, tune=settings.tune, seed=settings.seed)
        check_fusion_works(model, fusion)


class ClassifierTask:
    """A task on this process's part of each batch."""

    def __init__(
        self,
        split: Split,
        objectives: Sequence[Objective],
        views: Views | None,
        settings: TrainSettings,
        directory: RunDirectory,
        device: torch.device,
        pretrained: Pretrained,
        *,
        frozen: FrozenEncoder | None = None,
        fusion: Fusion | None = None,
        choice: Mapping[str, Any] | None = None,
        label_share: Sequence[float] | None = None,
        name: str | None = None,
    ) -> None:
        """
        Args:
            settings: the seed decides the order of the rows.
            directory: of the files about this task.
            frozen: with tune="head", an encoder that may have the features already.
            fusion: joins the columns of the rows with their texts.
            choice: for result.json, why it is this fusion.
            label_share: share of each class, for priors and class weights, (C,); None for the labeled rows' shares.
            name: of the task, in messages of a run of several.
        """
        self._name, self._choice = name, choice
        self.split, self.settings, self.directory, self._device = split, settings, directory, device
        self.pretrained = pretrained
        model = pretrained.model.to(device)  # pyright: ignore[reportArgumentType]
        limit_to_settings(pretrained.tokenizer, settings.max_tokens, settings.keep_tokens)
        choose_trained_weights(model, settings.tune)
        in_step = views.in_step if views is not None else None
        self.needs = all_needs(in_use(objectives).values())
        _check_model(model, self.needs, in_step, settings)
        self.precision: ResolvedPrecision = "fp32" if settings.tune == "head" else resolve_precision(settings.precision)
        self.frozen: FrozenEncoder | None = None
        if settings.tune == "head":
            self.frozen = encoder_of(model, pretrained.tokenizer, settings, shared=frozen)
        self.fusion: FittedFusion | None = None
        if fusion is not None:
            self.fusion = FittedFusion(fusion, FittedColumns.fit(split.labeled.texts, split.unlabeled))
            self.fusion.attach(model, tune=settings.tune, seed=settings.seed)
            check_fusion_works(model, self.fusion)
        labeled = self._with_columns(self._rows(split.labeled.texts, kind="labeled"), split.labeled.texts)
        self.dev: ModelRows | None = None
        if len(split.dev):
            self.dev = self._with_columns(self._rows(split.dev.texts, kind="dev"), split.dev.texts)
        self.select_by: SelectBy = "last" if self.dev is None else settings.select_by
        self.unlabeled = views and views.rows(partial(self._rows, kind="unlabeled"))
        self.test = self._with_columns(self._rows(split.test.texts, kind="test"), split.test.texts)
        columns = self.fusion and views and self.fusion.columns.encode(split.unlabeled)
        labels = torch.tensor(split.labeled.labels)
        self.stream = BatchStream(labeled, labels, self.unlabeled, settings, columns=columns)
        if views is not None and distributed.is_main():
            views.write_examples(directory)
        if settings.head_penalty is not None and not is_linear(model):
            raise SettingsError("head_penalty needs a linear head, and the head of this model is not linear: omit it")
        self.module = Step(
            model,
            objectives,
            steps=settings.steps,
            augmentation=in_step,
            special=special_ids(pretrained.tokenizer),
            unlabeled=0 if self.unlabeled is None else len(self.unlabeled),
            label_share=torch.tensor(split.label_share if label_share is None else label_share),
            tokens_per_pass=settings.tokens_per_pass,
            fusion=self.fusion,
        )
        rows = len(labeled) + (0 if self.unlabeled is None else len(self.unlabeled))
        self._penalty = settings.penalty(rows) if is_linear(model) else 0.0

    def _rows(self, texts: Sequence[str], *, kind: str) -> ModelRows:
        """Texts as the model reads them: token ids, or features that are computed once. `kind` is for the bar."""
        settings, tokenizer = self.settings, self.pretrained.tokenizer
        kind = kind if self._name is None else f"{self._name}, {kind}"
        if self.frozen is not None:
            with followed(f"encode ({kind})", "texts", shown=distributed.is_main()) as on_progress:
                return self.frozen.rows(texts, progress=on_progress)
        with followed(f"tokenise ({kind})", "texts", shown=distributed.is_main()) as on_progress:
            return TokenRows(
                texts,
                tokenizer,
                max_tokens=settings.max_tokens,
                folder=self.directory.tokens,
                progress=on_progress,
            )

    def _with_columns(self, rows: ModelRows, texts: Sequence[str]) -> ModelRows:
        return rows if self.fusion is None else ColumnRows(rows, self.fusion.columns.encode(texts))

    # --- the optimizer ------------------------------------------------------------------------------------------------

    @property
    def base_rate(self) -> float:
        """The peak learning rate, which the factor of a parameter group multiplies."""
        return self.settings.base_learning_rate(linear=is_linear(self.module.model))

    def parameter_groups(self) -> list[dict[str, Any]]:
        model, settings = self.module.model, self.settings
        return parameter_groups(
            model,
            weight_decay=settings.weight_decay,
            layer_decay=settings.decay_of_layers(known=has_known_layers(model)),
            head_factor=settings.head_factor(linear=is_linear(model)),
            fusion_factor=1.0 if self.fusion is None else self.fusion.settings.learning_rate / self.base_rate,
        )

    def compile(self) -> None:
        graphs = cuda.is_used() and self.settings.tokens_per_pass is None
        compile_layers(layers(self.module.model), graphs=graphs)

    # --- a step -------------------------------------------------------------------------------------------------------

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches for steps [first, last)."""
        return self.stream.batches(first, last, self._device)

    def backward(self, run: Callable[[Batch], StepLoss], batch: Batch) -> StepLoss:
        """Set the gradients of a step; `run` is a pass forward and backward."""
        result = run(batch)
        self.add_penalty()
        return result

    def add_penalty(self) -> None:
        """Add the gradient of the penalty on a linear head, if this step has a gradient of the head."""
        if self._penalty:
            add_penalty(self.module.model, self._penalty)

    def row_indices(self, batch: Batch) -> Mapping[str, list[int]]:
        return self.stream.row_indices(batch)

    def rows_in(self, batch: Batch) -> int:
        """Texts of this step in all processes; each view of a text counts."""
        needs = self.module.needs
        unlabeled_views = 1 + needs.second_view if needs.unlabeled_rows else 0
        labeled_views = 1 + ("labeled again" in needs.views)
        return labeled_views * self.settings.labeled_batch + unlabeled_views * self.settings.unlabeled_batch()

    # --- an evaluation ------------------------------------------------------------------------------------------------

    def dev_evaluation(self, model: PreTrainedModel) -> Evaluation | None:
        """In the precision of the training: four times as fast in bf16, and it only chooses weights."""
        if self.dev is None:
            return None
        return score(probabilities(model, self.dev, precision=self.precision), np.asarray(self.split.dev.labels))

    def predictions(self, model: PreTrainedModel) -> Predictions:
        return Predictions.of(model, self.dev, self.test, dev_precision=self.precision)

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(
        self, *, last: Predictions, chosen: Predictions, best_step: int, steps: int, planned: int, elapsed: Elapsed
    ) -> dict[str, Any]:
        """Write model and result of the chosen weights, which the model has; returns the content of result.json.

        Args:
            planned: the steps of the whole run; a run can stop earlier.
        """
        split, directory = self.split, self.directory
        metrics, warnings = directory.read_metrics(), []
        reference = self._reference()
        if reference is not None and chosen.dev is not None:
            warning = worse_than(reference, chosen.dev, split.dev.labels)
            warnings += [] if warning is None else [warning]
        if distributed.is_main():
            # Those of a run of several tasks come at the end, because its own metrics are of all tasks.
            late = warnings_at_the_end if self._name is None else warnings_in
            for warning in (*late(metrics, steps=planned), *warnings):
                log.warning(warning if self._name is None else f"{self._name}: {warning}")
        coverage = None if self.unlabeled is None else self.unlabeled.coverage
        return write_result(
            directory,
            split,
            self.module.model,
            self.pretrained.tokenizer,
            last=last,
            chosen=chosen,
            selected_by=self.select_by,
            best_step=best_step,
            steps=steps,
            elapsed=elapsed,
            unlabeled=split.unlabeled if self.needs.unlabeled_rows else (),
            fusion=self.fusion,
            more={
                "augmentation": None if coverage is None else asdict(coverage),
                "changed": directory.mean_of("changed"),
                "baseline": None if reference is None else reference.record(),
                "warnings": [*warnings_in(metrics, steps=planned), *warnings],
                **errors_of_modes(self.module.model, self.test, split.test.labels),
                **({} if self._choice is None else {"choice": dict(self._choice)}),
            },
        )

    def _reference(self) -> RegressionReference | None:
        """Logistic regression on the labels, for a run that reads unlabeled texts."""
        if not self.needs.unlabeled_rows:
            return None
        return fit_reference(self.split, self.settings, self._device, self.frozen, self.fusion)


def _check_model(model: PreTrainedModel, needs: Needs, in_step: InStep | None, settings: TrainSettings) -> None:
    """Raise SettingsError where the encoder lacks what the objectives or the augmentation need."""
    if settings.tune == "head":
        check_head_is_separable(model)
    elif needs.embeddings or isinstance(in_step, OnEmbeddings):
        check_accepts_embeddings(model)
    if needs.hidden:
        check_last_layer_is_linear(model)
    if needs.no_head_gradient:
        check_hidden_is_trained(model, tune=settings.tune)
    if needs.layers and settings.tune != "head":
        check_layers_can_be_mixed(model)
