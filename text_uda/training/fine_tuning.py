"""Fine-tuning of a classifier: what one step, one evaluation and the end of the run are; `train_loop` calls them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.model.capabilities import (
    check_accepts_embeddings,
    check_head_is_separable,
    check_hidden_is_trained,
    check_last_layer_is_linear,
    check_layers_can_be_mixed,
    has_known_layers,
)
from text_uda.model.classifier import TokenCounts, layers
from text_uda.model.frozen_encoder import FrozenEncoder, encoder_of
from text_uda.model.inputs import Batch
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import add_penalty, is_linear
from text_uda.model.packing import compile_layers
from text_uda.model.precision import ResolvedPrecision, autocast, resolve_precision
from text_uda.model.pretrained import choose_trained_weights, limit_to_settings, load_classifier
from text_uda.model.tokenized import ModelRows, TokenRows
from text_uda.objectives import Needs, Objective, all_needs, in_use
from text_uda.objectives.schedules import SCHEDULES
from text_uda.objectives.weight_averaging import Averaged, Averaging, FastSWA
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import Evaluation, score
from text_uda.runs.prediction import probabilities
from text_uda.training import checkpoint
from text_uda.training.batches import BatchStream
from text_uda.training.elapsed import Elapsed
from text_uda.training.final_evaluation import Predictions, write_result
from text_uda.training.in_step_augmentation import InStep, OnEmbeddings, special_ids
from text_uda.training.labels_only_reference import RegressionReference, fit_reference, worse_than
from text_uda.training.loop import StepResult
from text_uda.training.non_finite import NonFiniteError, non_finite_error
from text_uda.training.optimizer import parameter_groups
from text_uda.training.run_warnings import warnings_at_the_end, warnings_in
from text_uda.training.settings import SelectBy, TrainSettings
from text_uda.training.step import Step, StepLoss
from text_uda.training.unlabeled_views import Views

log = logging.getLogger("text_uda")


class FineTuning:
    """A training run on this process's part of each batch; of several processes the main one writes."""

    label = "train"
    evaluates_untrained = False

    def __init__(
        self,
        split: Split,
        objectives: Sequence[Objective],
        averaging: Averaging | None,
        views: Views | None,
        settings: TrainSettings,
        directory: RunDirectory,
        accelerator: Accelerator,
        frozen: FrozenEncoder | None,
        *,
        steps: int | None = None,
        label_share: Sequence[float] | None = None,
    ) -> None:
        """
        Args:
            steps: end the run after these steps; schedules still refer to `settings.steps`. None for `settings.steps`.
            label_share: share of each class, for priors and class weights, (C,); None for the labeled rows' shares.
        """
        self.split, self.settings, self.directory, self.accelerator = split, settings, directory, accelerator
        self.steps = settings.steps if steps is None else steps
        self.pretrained = load_classifier(
            settings.encoder,
            split.classes,
            seed=settings.seed,
            linear_head=settings.tune == "head",
            reinit_layers=settings.reinit_layers,
            dropout=settings.dropout,
        )
        model = self.pretrained.model.to(accelerator.device)  # pyright: ignore[reportArgumentType]
        limit_to_settings(self.pretrained.tokenizer, settings.max_tokens, settings.keep_tokens)
        choose_trained_weights(model, settings.tune)
        in_step = views.in_step if views is not None else None
        self.needs = all_needs(in_use(objectives).values())
        _check_model(model, self.needs, in_step, settings)
        self._precision: ResolvedPrecision = (
            "fp32" if settings.tune == "head" else resolve_precision(settings.precision)
        )
        self._frozen = None
        if settings.tune == "head":
            self._frozen = encoder_of(model, self.pretrained.tokenizer, settings, shared=frozen)
        labeled = self._rows(split.labeled.texts, kind="labeled")
        self.dev = self._rows(split.dev.texts, kind="dev") if len(split.dev) else None
        self._select_by: SelectBy = "last" if self.dev is None else settings.select_by
        self.unlabeled = views and views.rows(partial(self._rows, kind="unlabeled"))
        self.test = self._rows(split.test.texts, kind="test")
        self._stream = BatchStream(labeled, torch.tensor(split.labeled.labels), self.unlabeled, settings)
        if views is not None and distributed.is_main():
            views.write_examples(directory)
        if settings.head_penalty is not None and not is_linear(model):
            raise SettingsError("head_penalty needs a linear head, and the head of this model is not linear: omit it")
        step = Step(
            model,
            objectives,
            steps=settings.steps,
            augmentation=in_step,
            special=special_ids(self.pretrained.tokenizer),
            unlabeled=0 if self.unlabeled is None else len(self.unlabeled),
            label_share=torch.tensor(split.label_share if label_share is None else label_share),
            tokens_per_pass=settings.tokens_per_pass,
        )
        self._base_rate = settings.base_learning_rate(linear=is_linear(model))
        self.optimizer = torch.optim.AdamW(
            parameter_groups(
                model,
                weight_decay=settings.weight_decay,
                layer_decay=settings.decay_of_layers(known=has_known_layers(model)),
                head_factor=settings.head_factor(linear=is_linear(model)),
            ),
            lr=self._base_rate,
            fused=True,
        )
        self.step, self._accelerated = accelerator.prepare(step, self.optimizer)
        self.averaging = averaging
        self.averaged = averaging and Averaged(self.module.model, averaging, steps=settings.steps)
        if settings.compile:  # after the average copies the model, because the copy is not compiled
            compile_layers(layers(model))
        self.best: checkpoint.Best | None = None
        rows = len(labeled) + (0 if self.unlabeled is None else len(self.unlabeled))
        self._penalty = settings.penalty(rows) if is_linear(model) else 0.0

    def _rows(self, texts: Sequence[str], *, kind: str) -> ModelRows:
        """Texts as the model reads them: token ids, or features that are computed once. `kind` is for the bar."""
        settings, tokenizer = self.settings, self.pretrained.tokenizer
        if self._frozen is not None:
            with followed(f"encode ({kind})", "texts", shown=distributed.is_main()) as on_progress:
                return self._frozen.rows(texts, progress=on_progress)
        with followed(f"tokenise ({kind})", "texts", shown=distributed.is_main()) as on_progress:
            return TokenRows(
                texts,
                tokenizer,
                max_tokens=settings.max_tokens,
                folder=self.directory.tokens,
                progress=on_progress,
            )

    @property
    def module(self) -> Step:
        return self.accelerator.unwrap_model(self.step)

    @property
    def token_counts(self) -> TokenCounts:
        return self.module.token_counts

    # --- a step -------------------------------------------------------------------------------------------------------

    def batches(self, first: int) -> Iterator[Batch]:
        return self._stream.batches(first, self.steps, self.accelerator.device)

    def update(self, step: int, batch: Batch) -> StepResult:
        """One step of the optimizer. Draws and dropout depend on (seed, step); dropout also on the process."""
        settings, device = self.settings, self.accelerator.device.type
        rate = self._base_rate * self._learning_rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        dropout_seed = keyed_seed(settings.seed, "noise", step, distributed.rank()) >> 65  # torch takes 63 bits
        key = keyed_seed(settings.seed, "draws", step) >> 65
        with seeded_torch(dropout_seed), autocast(device, self._precision):
            result: StepLoss = self.step(batch, step, key, self.averaged and self.averaged.model)
        non_finite = [name for name, part in result.parts.items() if not torch.isfinite(part)]
        if distributed.any_of(bool(non_finite)):
            quantity = f"the loss of {', '.join(non_finite) or 'another process'}"
            raise self._non_finite(quantity, step, batch, result, record=bool(non_finite))
        self.accelerator.backward(result.loss)
        if self._penalty:
            add_penalty(self.module.model, self._penalty)
        max_norm = np.inf if settings.max_grad_norm is None else settings.max_grad_norm
        norm = self.accelerator.clip_grad_norm_(self.step.parameters(), max_norm)
        if norm is not None and not np.isfinite(float(norm)):
            raise self._non_finite("the gradient", step, batch, result, record=distributed.is_main())
        self._accelerated.step()
        self._accelerated.zero_grad()
        if self.averaged is not None:
            self.averaged.update(self.module.model, step)
        terms = {**result.terms, "learning_rate": rate}
        if result.unlabeled is not None:
            terms["unlabeled_loss"] = result.unlabeled
        return StepResult(result.loss.detach(), terms, self._rows_per_step())

    def log_line(self, result: StepResult, throughput: Mapping[str, float]) -> dict[str, Tensor | float]:
        terms = dict(result.terms)
        last = {"unlabeled_loss": terms.pop("unlabeled_loss")} if "unlabeled_loss" in terms else {}
        return {"loss": result.loss, **terms, **throughput, **last}

    def _learning_rate_factor(self, step: int) -> float:
        # fastSWA brings a cyclic schedule, which replaces the one of the settings.
        cyclic = self.averaging.learning_rate_factor if isinstance(self.averaging, FastSWA) else None
        schedule = cyclic or SCHEDULES[self.settings.schedule]
        return schedule(step=step, steps=self.settings.steps, warmup_steps=self.settings.warmup())

    def _non_finite(self, quantity: str, step: int, batch: Batch, result: StepLoss, *, record: bool) -> NonFiniteError:
        return non_finite_error(
            quantity,
            self.directory,
            record=record,
            step=step,
            parts={name: float(value) for name, value in result.parts.items()},
            terms={name: float(value) for name, value in result.terms.items()},
            rows=self._stream.row_indices(batch),
            learning_rate=self._base_rate,
        )

    def _rows_per_step(self) -> int:
        """Texts of this step; each view of a text counts."""
        needs = self.module.needs
        unlabeled_views = 1 + needs.second_view if needs.unlabeled_rows else 0
        labeled_views = 1 + ("labeled again" in needs.views)
        return labeled_views * self.settings.labeled_batch + unlabeled_views * self.settings.unlabeled_batch()

    # --- an evaluation ------------------------------------------------------------------------------------------------

    def evaluate(self, done: int) -> dict[str, float] | None:
        """Evaluate on the development rows, and keep the weights if they are the best so far (or, by `last`, the last).

        A tie keeps the earlier weights.
        """
        evaluation = self._dev_evaluation(self._evaluated_model)
        criterion = 0.0 if evaluation is None else evaluation.criterion(self._select_by)
        if self._select_by == "last":
            is_best = done == self.steps
        else:
            is_best = self.best is None or criterion < self.best.criterion
        if is_best:
            self.best = checkpoint.Best(criterion, done, checkpoint.trained_weights(self.module, self.averaged))
        return None if evaluation is None else evaluation.record()

    def _dev_evaluation(self, model: PreTrainedModel) -> Evaluation | None:
        """In the precision of the training: four times as fast in bf16, and it only chooses weights."""
        if self.dev is None:
            return None
        return score(probabilities(model, self.dev, precision=self._precision), np.asarray(self.split.dev.labels))

    @property
    def _evaluated_model(self) -> PreTrainedModel:
        """With the averaged weights, where there are any."""
        return self.module.model if self.averaged is None else self.averaged.model

    def is_out_of_patience(self, done: int) -> bool:
        """Whether the last `patience` evaluations did not improve on the best one."""
        settings = self.settings
        if settings.patience is None or self.best is None:
            return False
        return done - self.best.step >= settings.patience * settings.evaluate_every

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self, steps: int, elapsed: Elapsed) -> dict[str, Any]:
        """Evaluate the last and the chosen weights on the test rows, which are read only here; write the result."""
        assert self.best is not None, "the last step is always evaluated"
        split, directory, precision = self.split, self.directory, self._precision
        last = Predictions.of(self._evaluated_model, self.dev, self.test, dev_precision=precision)
        checkpoint.put_weights(self.module, self.best.weights)
        model = self.module.model
        if self.best.step == steps:  # the same weights: saves a pass over the test rows
            chosen = last
        else:
            chosen = Predictions.of(model, self.dev, self.test, dev_precision=precision)
        metrics, warnings = directory.read_metrics(), []
        reference = self._reference()
        if reference is not None and chosen.dev is not None:
            warning = worse_than(reference, chosen.dev, split.dev.labels)
            warnings += [] if warning is None else [warning]
        if distributed.is_main():
            for warning in (*warnings_at_the_end(metrics, steps=self.steps), *warnings):
                log.warning(warning)
        coverage = None if self.unlabeled is None else self.unlabeled.coverage
        return write_result(
            directory,
            split,
            model,
            self.pretrained.tokenizer,
            last=last,
            chosen=chosen,
            selected_by=self._select_by,
            best_step=self.best.step,
            steps=steps,
            elapsed=elapsed,
            unlabeled=split.unlabeled if self.needs.unlabeled_rows else (),
            more={
                "augmentation": None if coverage is None else asdict(coverage),
                "changed": directory.mean_of("changed"),
                "baseline": None if reference is None else reference.record(),
                "warnings": [*warnings_in(metrics, steps=self.steps), *warnings],
            },
        )

    def _reference(self) -> RegressionReference | None:
        """Logistic regression on the labels, for a run that reads unlabeled texts."""
        if not self.needs.unlabeled_rows:
            return None
        return fit_reference(self.split, self.settings, self.accelerator.device, self._frozen)


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
