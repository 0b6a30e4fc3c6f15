"""One run of training: what is prepared once, and the loop over it, which calls everything by name."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
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
    has_known_layers,
)
from text_uda.model.classifier import layers
from text_uda.model.frozen_encoder import FrozenEncoder, encoder_of
from text_uda.model.inputs import Batch
from text_uda.model.keyed_tensors import keyed_random
from text_uda.model.linear_head import add_penalty, is_linear
from text_uda.model.packing import compile_layers
from text_uda.model.precision import ResolvedPrecision, autocast, resolve_precision
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.model.tokenized import ModelRows, TokenRows
from text_uda.objectives import Needs, Objective, all_needs, in_use
from text_uda.objectives.schedules import SCHEDULES
from text_uda.objectives.weight_averaging import Averaged, Averaging, FastSWA
from text_uda.progress import followed, progress
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import Evaluation, probabilities, score
from text_uda.training import checkpoint
from text_uda.training.batches import Feed
from text_uda.training.elapsed import Spent
from text_uda.training.final_evaluation import Answers, finish
from text_uda.training.in_step_augmentation import InStep, OnEmbeddings, special_ids
from text_uda.training.labels_alone import LabelsAlone, labels_alone, worse_than
from text_uda.training.metrics import Metrics, Pace
from text_uda.training.non_finite import DivergedError, diverged
from text_uda.training.optimizer import parameter_groups
from text_uda.training.run_warnings import warnings_at_the_end, warnings_in
from text_uda.training.settings import SelectBy, TrainSettings
from text_uda.training.step import Step, Sum
from text_uda.training.stopping import Interrupted, Stop
from text_uda.training.unlabeled_views import Views

log = logging.getLogger("text_uda")


class Training:
    """A run on this process's part of each batch; with several processes it writes in the main one."""

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
            steps: after so many of `settings.steps`, which all schedules go by, the run ends; None for all.
            label_share: of each class, what priors and class weights go by, (C,); None for that of the labeled rows.
        """
        self.split, self.settings, self.directory, self.accelerator = split, settings, directory, accelerator
        self._steps = settings.steps if steps is None else steps
        self.pretrained = load_classifier(
            settings.encoder,
            split.classes,
            seed=settings.seed,
            linear_head=settings.tune == "head",
            reinit_layers=settings.reinit_layers,
            dropout=settings.dropout,
        )
        model = self.pretrained.model.to(accelerator.device)  # pyright: ignore[reportArgumentType]
        self.pretrained.tokenizer.truncation_side = "left" if settings.keep_tokens == "last" else "right"
        choose_trained_weights(model, settings.tune)
        in_step = views.in_step if views is not None else None
        self.needs = all_needs(in_use(objectives).values())
        _check_model(model, self.needs, in_step, settings)
        self._numbers: ResolvedPrecision = "fp32" if settings.tune == "head" else resolve_precision(settings.precision)
        self._encoder = None
        if settings.tune == "head":
            self._encoder = encoder_of(model, self.pretrained.tokenizer, settings, shared=frozen)
        labeled, self.dev = self._rows(split.labeled.texts), self._rows(split.dev.texts) if len(split.dev) else None
        self._selected_by: SelectBy = "last" if self.dev is None else settings.select_by
        self.unlabeled = views and views.rows(self._rows)
        self.test = self._rows(split.test.texts)
        self.feed = Feed(labeled, torch.tensor(split.labeled.labels), self.unlabeled, settings)
        if views is not None and distributed.is_main():
            views.write_examples(directory)
        if settings.head_penalty is not None and not is_linear(model):
            raise SettingsError("head_penalty is for a linear head, and this model has another: leave it out")
        step = Step(
            model,
            objectives,
            steps=settings.steps,
            augmentation=in_step,
            special=special_ids(self.pretrained.tokenizer),
            unlabeled=0 if self.unlabeled is None else len(self.unlabeled),
            label_share=torch.tensor(label_share or split.label_share),
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
        self.averaged = averaging and Averaged(self._unwrapped.model, averaging, steps=settings.steps)
        if settings.compile:  # after the average was copied, which is not compiled
            compile_layers(layers(model))
        self.best: checkpoint.Best | None = None
        rows = len(labeled) + (0 if self.unlabeled is None else len(self.unlabeled))
        self._penalty = settings.penalty(rows) if is_linear(model) else 0.0

    def _rows(self, texts: Sequence[str]) -> ModelRows:
        """Texts as the model reads them: token ids, or features that are computed once."""
        settings, tokenizer = self.settings, self.pretrained.tokenizer
        if self._encoder is not None:
            with followed("encode", "texts", shown=distributed.is_main()) as on_progress:
                return self._encoder.rows(texts, progress=on_progress)
        with followed("tokenise", "texts", shown=distributed.is_main()) as on_progress:
            return TokenRows(
                texts,
                tokenizer,
                max_tokens=settings.max_tokens,
                folder=self.directory.tokens,
                progress=on_progress,
            )

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, stop: Stop) -> dict[str, Any]:
        try:
            return self._run(stop)
        except torch.OutOfMemoryError as error:
            raise self._too_large() from error

    def _run(self, stop: Stop) -> dict[str, Any]:
        settings, directory = self.settings, self.directory
        done, self.best, before = checkpoint.load(directory.checkpoints, self._unwrapped, self.optimizer, self.averaged)
        started = Spent.now(before)
        distributed.on_main(lambda: directory.keep_metrics_until(done))
        if self._has_waited(done):  # it was stopped after its last evaluation
            return self._finish(done, started.until_now())
        self.step.train()
        with (
            Metrics(directory, self.accelerator, steps=self._steps) as metrics,
            progress(self._steps, "train", "steps", done=done, shown=distributed.is_main()) as bar,
            stop.on_signals(),
            Pace() as pace,
        ):
            for step, batch in enumerate(self.feed.batches(done, self._steps, self.accelerator.device), done):
                result, rate = self._update(step, batch)
                pace.add(self._rows_per_step(), self._unwrapped.traffic)
                if step % settings.log_every == 0:
                    metrics.step(step + 1, result, {"learning_rate": rate} | pace.told(self.accelerator.device))
                last = step + 1 == self._steps
                if (step + 1) % settings.evaluate_every == 0 or last:
                    with pace.paused():
                        evaluation = self._consider(step + 1)
                    if evaluation is not None:
                        metrics.look(step + 1, evaluation)
                    dev = "" if evaluation is None else f", dev error {evaluation.error:.1f}%"
                    bar.note(f"loss {float(result.loss):.3f}{dev}")
                    last = last or self._has_waited(step + 1)
                bar.advance()
                if distributed.any_of(stop.is_set()):
                    self._save(step + 1, started.until_now())
                    raise Interrupted(stop.words(step + 1, self._steps, directory.path))
                if last:
                    return self._finish(step + 1, started.until_now())
                if (step + 1) % settings.checkpoint_every == 0:
                    with pace.paused():
                        self._save(step + 1, started.until_now())
            return self._finish(done, started.until_now())

    def _update(self, step: int, batch: Batch) -> tuple[Sum, float]:
        """One step of the optimiser; what it came to, and its learning rate.

        Rows, draws and dropout depend on (seed, step) alone, the dropout on the process as well.
        """
        settings, device = self.settings, self.accelerator.device.type
        rate = self._base_rate * self._learning_rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        noise = keyed_seed(settings.seed, "noise", step, distributed.rank()) >> 65  # torch: 63 bits
        key = keyed_seed(settings.seed, "draws", step) >> 65
        with keyed_random(noise), autocast(device, self._numbers):
            result: Sum = self.step(batch, step, key, self.averaged and self.averaged.model)
        broken = [name for name, part in result.parts.items() if not torch.isfinite(part)]
        if distributed.any_of(bool(broken)):
            what = f"the loss of {', '.join(broken) or 'another process'}"
            raise self._diverged(what, step, batch, result, kept=bool(broken))
        self.accelerator.backward(result.loss)
        if self._penalty:
            add_penalty(self._unwrapped.model, self._penalty)
        most = np.inf if settings.max_grad_norm is None else settings.max_grad_norm
        norm = self.accelerator.clip_grad_norm_(self.step.parameters(), most)
        if norm is not None and not np.isfinite(float(norm)):
            raise self._diverged("the gradient", step, batch, result, kept=distributed.is_main())
        self._accelerated.step()
        self._accelerated.zero_grad()
        if self.averaged is not None:
            self.averaged.update(self._unwrapped.model, step)
        return result._replace(loss=result.loss.detach()), rate

    def _too_large(self) -> SettingsError:
        tokens = self._unwrapped.traffic.tokens
        less = min(self.settings.tokens_per_pass or tokens, tokens) // 2
        return SettingsError(
            f"a step does not fit into memory: {tokens:,} tokens of it had been run; give tokens_per_pass "
            f"(--tokens-per-pass {max(1, less)}), which comes to the same gradient, or lower max_tokens; the last "
            "checkpoint is kept, and the run goes on from there with either"
        )

    def _learning_rate_factor(self, step: int) -> float:
        cycles = self.averaging.learning_rate_factor if isinstance(self.averaging, FastSWA) else None  # its method
        schedule = cycles or SCHEDULES[self.settings.schedule]
        return schedule(step=step, steps=self.settings.steps, warmup_steps=self.settings.warmup())

    def _diverged(self, what: str, step: int, batch: Batch, result: Sum, *, kept: bool) -> DivergedError:
        return diverged(
            what,
            self.directory,
            kept=kept,
            step=step,
            parts={name: float(value) for name, value in result.parts.items()},
            terms={name: float(value) for name, value in result.terms.items()},
            rows=self.feed.rows_named(batch),
            learning_rate=self._base_rate,
        )

    def _rows_per_step(self) -> int:
        """Texts of a step, each view of one counted."""
        needs = self._unwrapped.needs  # of the step that was made
        views = 1 + needs.second_view if needs.unlabeled_rows else 0
        again = "labeled again" in needs.views
        return (1 + again) * self.settings.labeled_batch + views * self.settings.unlabeled_batch()

    def _consider(self, done: int) -> Evaluation | None:
        """Evaluate on the development split, and keep the weights that it chooses; without one, the last."""
        evaluation, by = self._judged_by_dev(self._judged), self._selected_by
        value = 0.0 if evaluation is None else evaluation.criterion(by)
        if done == self._steps if by == "last" else self.best is None or value < self.best.criterion:
            self.best = checkpoint.Best(value, done, self._weights())
        return evaluation

    def _judged_by_dev(self, model: PreTrainedModel) -> Evaluation | None:
        """In the numbers of the training: four times as fast, and it only chooses."""
        if self.dev is None:
            return None
        return score(probabilities(model, self.dev, numbers=self._numbers), np.asarray(self.split.dev.labels))

    def _has_waited(self, done: int) -> bool:
        """Whether the last `patience` evaluations were no better: a pure function of what checkpoints keep."""
        settings = self.settings
        if settings.patience is None or self.best is None:
            return False
        return done - self.best.step >= settings.patience * settings.evaluate_every

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are evaluated: those in training, or their average."""
        return checkpoint.trained_weights(self._unwrapped, self.averaged)

    @property
    def _unwrapped(self) -> Step:
        return self.accelerator.unwrap_model(self.step)

    @property
    def _judged(self) -> PreTrainedModel:
        return self._unwrapped.model if self.averaged is None else self.averaged.model

    def _save(self, done: int, spent: Spent) -> None:
        def save() -> None:
            checkpoint.save(
                self.directory.checkpoints,
                self._unwrapped,
                self.optimizer,
                self.averaged,
                done=done,
                best=self.best,
                spent=spent,
            )

        distributed.on_main(save)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, steps: int, spent: Spent) -> dict[str, Any]:
        """After so many steps: read the test set, once, with last and chosen weights; write model and result."""
        assert self.best is not None, "the last step is always evaluated"
        split, directory, by_dev = self.split, self.directory, self._numbers
        last = Answers.of(self._judged, self.dev, self.test, dev_numbers=by_dev)
        checkpoint.put_weights(self._unwrapped, self.best.weights)
        model = self._unwrapped.model
        same = self.best.step == steps  # the test rows of a whole encoder take a while
        chosen = last if same else Answers.of(model, self.dev, self.test, dev_numbers=by_dev)
        metrics, warnings = directory.read_metrics(), []
        alone = self._labels_alone()
        if alone is not None and chosen.dev is not None:
            words = worse_than(alone, chosen.dev, split.dev.labels)
            warnings += [] if words is None else [words]
        if distributed.is_main():
            for words in (*warnings_at_the_end(metrics, steps=self._steps), *warnings):
                log.warning(words)
        coverage = None if self.unlabeled is None else self.unlabeled.coverage
        return finish(
            directory,
            split,
            model,
            self.pretrained.tokenizer,
            last=last,
            chosen=chosen,
            selected_by=self._selected_by,
            best_step=self.best.step,
            steps=steps,
            spent=spent,
            more={
                "augmentation": None if coverage is None else asdict(coverage),
                "changed": directory.mean_of("changed"),
                "baseline": None if alone is None else alone.record(),
                "warnings": [*warnings_in(metrics, steps=self._steps), *warnings],
            },
        )

    def _labels_alone(self) -> LabelsAlone | None:
        """What the run is held against where it reads unlabeled texts."""
        if not self.needs.unlabeled_rows:
            return None
        return labels_alone(self.split, self.settings, self.accelerator.device, self._encoder)


def _check_model(model: PreTrainedModel, needs: Needs, in_step: InStep | None, settings: TrainSettings) -> None:
    """Raise SettingsError where the encoder cannot do what the objectives or the augmentation ask of it."""
    if settings.tune == "head":
        check_head_is_separable(model)
    elif needs.embeddings or isinstance(in_step, OnEmbeddings):
        check_accepts_embeddings(model)
    if needs.hidden:
        check_last_layer_is_linear(model)
    if needs.trained_hidden:
        check_hidden_is_trained(model, tune=settings.tune)
    if needs.layers:
        layers(model)
