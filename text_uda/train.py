"""The training loop: reads top to bottom, and calls everything by name."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from text_uda import checkpoint
from text_uda.augment.in_step import InStep, OnEmbeddings, kind_of, special_ids
from text_uda.averaging import EMA, Averaged, Averaging, FastSWA
from text_uda.batch import Batch
from text_uda.data import Split
from text_uda.errors import SettingsError, UserError
from text_uda.evaluate import Evaluation, probabilities, score
from text_uda.filters import Filters
from text_uda.interruption import Interrupted, stop_signals
from text_uda.keyed import keyed_seed
from text_uda.metrics import Metrics, warnings_of
from text_uda.model import (
    check_embeddings_can_be_given,
    check_head_can_be_cut,
    check_last_layer_is_linear,
    layers,
)
from text_uda.noise import keyed_random
from text_uda.objectives import (
    UDA,
    Needs,
    Objective,
    Supervised,
    all_needs,
    check_together,
    in_use,
    method_name,
)
from text_uda.optimizer import parameter_groups
from text_uda.pairs import MakeRows
from text_uda.paraphrase import Location
from text_uda.pretrained import choose_trained_weights, load_classifier
from text_uda.progress import followed, progress
from text_uda.rows import FrozenEncoder, ModelRows, TokenRows
from text_uda.run import RunDirectory, provenance
from text_uda.sampling import RowStream
from text_uda.schedules import linear_decay
from text_uda.settings import TrainSettings
from text_uda.step import Step, Sum
from text_uda.views import Views, find_views
from translation_cache import Cache, Job, digest

NAMED_ROWS = 6  # of a batch in an error; a file has all


class DivergedError(UserError):
    """The loss or its gradient is no number any more."""


def train(
    split: Split,
    *,
    objectives: Sequence[Objective] = (Supervised(), UDA()),
    averaging: Averaging | None = None,
    augmentation: Job | InStep | None = None,
    cache: Cache | Location | None = None,
    filters: Filters | None = None,
    settings: TrainSettings | None = None,
    out: str | Path,
    name: str | None = None,
    resume: bool = True,
    frozen: FrozenEncoder | None = None,
) -> dict[str, Any]:
    """Train a classifier on a split and write the run directory `out`.

    A run that was stopped goes on from its last checkpoint; a finished one is only read.

    Args:
        split: labeled, unlabeled, development and test rows.
        objectives: their losses are added. `PRESETS["mean-teacher"].objectives` and so on are those of the papers.
        averaging: what is evaluated and kept is this average of the weights; None for the weights themselves.
            Objectives that need a teacher get `EMA()` where nothing is said.
        augmentation: makes the second view of the unlabeled texts: what made the paraphrases, or, without a cache, one
            that works in the training step, anew each time (Cutoff, SwitchOut). Some objectives can do without one:
            their second view is the same text with another dropout.
        cache: where the paraphrases lie (see `paraphrase`).
        filters: judge anew which of them are usable; None takes what was judged when they were made.
        settings: of the trainer.
        out: the run directory.
        name: of the run in reports.
        resume: False starts anew and discards what a run left in `out`.
        frozen: an encoder shared between runs with tune="head", so that each text is encoded once.
    Returns:
        what result.json holds: dev_error, test_error (of the weights that the development split chose),
        last_dev_error, last_test_error (percent), best_step, steps, seconds, confusion, augmentation, warnings.
    Raises:
        SettingsError: settings that do not go together, or a folder that holds another run.
        DivergedError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, after a checkpoint.
    """
    settings = settings or TrainSettings()
    cache = cache if cache is None or isinstance(cache, Cache) else Cache(cache)
    check_together(objectives)
    needs = all_needs(in_use(objectives).values())
    if averaging is not None and not isinstance(averaging, EMA | FastSWA):
        raise SettingsError(f"averaging is EMA(), FastSWA() or None; this is {averaging!r}")
    if needs.teacher and isinstance(averaging, FastSWA):
        raise SettingsError("a teacher is a moving average of the weights: give averaging=EMA(), or leave it out")
    averaging = averaging or (EMA() if needs.teacher else None)
    views = find_views(split, needs, augmentation, cache, filters, settings)
    used = augmentation if views is not None and views.method is not None else None
    directory = RunDirectory(Path(out))
    method = method_name(objectives, averaging, views and views.method)
    began = directory.open(
        {
            "name": name or f"{method} seed {settings.seed}",
            "method": method,
            "data": {"name": split.name, "classes": list(split.classes), "digest": split.digest},
            "labels": len(split.labeled.texts),
            "seed": settings.seed,
            "steps": settings.steps,
            "tune": settings.tune,
            "encoder": settings.encoder,
            "objectives": [{"objective": type(o).__name__} | asdict(o) for o in objectives],  # pyright: ignore[reportArgumentType]
            "averaging": averaging and {"averaging": type(averaging).__name__} | asdict(averaging),
            "augmentation": used and used.settings(),
            "cache_digest": digest(cache, used.settings()) if used and cache else None,
            "filters": asdict(filters) if used and filters else None,
            "settings": asdict(settings),
            **({"in_step": kind_of(used)} if used and cache is None else {}),
            **provenance(),
        },
        resume=resume,
    )
    if (finished := directory.result()) is not None:
        return finished
    try:
        training = _Training(split, objectives, averaging, views, settings, directory, frozen)
    except SettingsError:
        if began:  # so that the mended call finds no run with other settings in its way
            shutil.rmtree(directory.path)
        raise
    return training.run()


class _Training:
    """One run: what is prepared once, and the loop over it."""

    def __init__(
        self,
        split: Split,
        objectives: Sequence[Objective],
        averaging: Averaging | None,
        views: Views | None,
        settings: TrainSettings,
        directory: RunDirectory,
        frozen: FrozenEncoder | None,
    ) -> None:
        self.split, self.settings, self.directory = split, settings, directory
        self.accelerator = Accelerator(mixed_precision="no")  # `_update` casts: accelerate has one choice a process
        if self.accelerator.num_processes > 1:
            raise SettingsError("training on several processes is not supported yet: start one process")
        self.pretrained = load_classifier(
            settings.encoder,
            split.classes,
            seed=settings.seed,
            reinit_layers=settings.reinit_layers,
            dropout=settings.dropout,
        )
        model = self.pretrained.model
        self.pretrained.tokenizer.truncation_side = "left" if settings.keep_tokens == "last" else "right"
        choose_trained_weights(model, settings.tune)
        in_step = views.in_step if views is not None else None
        self.needs = all_needs(in_use(objectives).values())
        _check_model(model, self.needs, in_step, settings)
        make_rows = self._make_rows(frozen)
        self.labeled = make_rows(split.labeled.texts)
        self.labels = torch.tensor(split.labeled.labels)
        self.dev = make_rows(split.dev.texts)
        self.unlabeled = self.unlabeled_stream = None
        if views is not None:
            self.unlabeled = views.rows(make_rows)
            self.unlabeled_stream = RowStream(len(self.unlabeled), seed=settings.seed, name="unlabeled")
            views.write_examples(directory)
        self.test = make_rows(split.test.texts)
        step = Step(
            model,
            objectives,
            steps=settings.steps,
            augmentation=in_step,
            special=special_ids(self.pretrained.tokenizer),
            unlabeled=0 if self.unlabeled is None else len(self.unlabeled),
        )
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, weight_decay=settings.weight_decay, layer_decay=settings.layer_decay),
            lr=settings.base_learning_rate(),
            fused=True,
        )
        self.step, self._accelerated = self.accelerator.prepare(step, self.optimizer)
        self.averaging = averaging
        self.averaged = averaging and Averaged(self._unwrapped.model, averaging, steps=settings.steps)
        self.labeled_stream = RowStream(len(self.labeled), seed=settings.seed, name="labeled")
        self.best: checkpoint.Best | None = None

    def _make_rows(self, frozen: FrozenEncoder | None) -> MakeRows:
        settings = self.settings
        if settings.tune != "head":
            return self._tokenised
        encoder = frozen or FrozenEncoder(
            self.pretrained.model, self.pretrained.tokenizer, max_tokens=settings.max_tokens
        )

        def rows(texts: Sequence[str]) -> ModelRows:
            with followed("encode", "texts") as on_progress:
                return encoder.rows(texts, progress=on_progress)

        return rows

    def _tokenised(self, texts: Sequence[str]) -> ModelRows:
        tokenizer, folder = self.pretrained.tokenizer, self.directory.tokens
        with followed("tokenise", "texts") as on_progress:
            return TokenRows(texts, tokenizer, max_tokens=self.settings.max_tokens, folder=folder, progress=on_progress)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        settings, directory = self.settings, self.directory
        started = time.monotonic()
        done, self.best = checkpoint.load(directory.checkpoints, self._unwrapped, self.optimizer, self.averaged)
        directory.keep_metrics_until(done)
        self.step.train()
        with (
            Metrics(directory) as metrics,
            progress(settings.steps, "train", "steps", done=done) as bar,
            stop_signals() as stop,
        ):
            for step in range(done, settings.steps):
                rows_started = time.monotonic()
                loss, terms = self._update(step)
                if step % settings.log_every == 0:
                    seconds = time.monotonic() - rows_started
                    metrics.step(step + 1, loss=loss, terms=terms | {"rows_per_s": self._rows_per_step() / seconds})
                last = step + 1 == settings.steps
                if (step + 1) % settings.evaluate_every == 0 or last:
                    evaluation = self._consider(step + 1)
                    metrics.look(step + 1, evaluation)
                    bar.note(f"loss {float(loss):.3f}, dev error {evaluation.error:.1f}%")
                bar.advance()
                if stop.is_set() and not last:
                    self._save(step + 1)
                    raise Interrupted(
                        f"stopped after step {step + 1:,} of {settings.steps:,}; {directory.path} holds a checkpoint: "
                        "the same command goes on from there"
                    )
                if (step + 1) % settings.checkpoint_every == 0 and not last:
                    self._save(step + 1)
        return self._finish(time.monotonic() - started)

    def _update(self, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """One step of the optimiser. Rows, draws and dropout depend on (seed, step) alone."""
        settings = self.settings
        rate = settings.base_learning_rate() * self._learning_rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        batch = self._batch(step).to(self.accelerator.device)
        noise, key = (keyed_seed(settings.seed, use, step) >> 65 for use in ("noise", "draws"))  # torch: 63 bits
        device, half = self.accelerator.device.type, self.settings.in_bf16()
        with keyed_random(noise), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            result: Sum = self.step(batch, step, key, self.averaged and self.averaged.model)
        if not torch.isfinite(result.loss):
            broken = [name for name, part in result.parts.items() if not torch.isfinite(part)]
            raise self._diverged(f"the loss of {', '.join(broken)}", step, batch, result)
        self.accelerator.backward(result.loss)
        norm = self.accelerator.clip_grad_norm_(self.step.parameters(), settings.max_grad_norm)
        if norm is not None and not np.isfinite(float(norm)):
            raise self._diverged("the gradient", step, batch, result)
        self._accelerated.step()
        self._accelerated.zero_grad()
        if self.averaged is not None:
            self.averaged.update(self._unwrapped.model, step)
        return result.loss.detach(), result.terms | {"learning_rate": rate}

    def _learning_rate_factor(self, step: int) -> float:
        schedule = linear_decay if self.averaging is None else self.averaging.learning_rate_factor
        return schedule(step=step, steps=self.settings.steps, warmup_steps=self.settings.warmup_steps)

    def _diverged(self, what: str, step: int, batch: Batch, result: Sum) -> DivergedError:
        """Says what is no number any more, and keeps which rows it was."""
        assert batch.labeled_rows is not None
        ids = {"labeled": batch.labeled_rows.tolist()}
        if self.unlabeled is not None and batch.unlabeled_rows is not None:
            ids["unlabeled"] = self.unlabeled.texts_of(batch.unlabeled_rows.cpu().numpy()).tolist()
        terms = {name: float(value) for name, value in result.terms.items()}
        parts = {name: float(value) for name, value in result.parts.items()}
        self.directory.write("diverged.json", {"step": step + 1, "parts": parts, "terms": terms, "rows": ids})
        named = "; ".join(
            f"{kind} rows {', '.join(map(str, found[:NAMED_ROWS]))}{', ...' if len(found) > NAMED_ROWS else ''}"
            for kind, found in ids.items()
        )
        return DivergedError(
            f"{what} is not finite at step {step + 1:,} "
            f"({', '.join(f'{name} {value:g}' for name, value in (parts | terms).items())}; {named}; all of them are "
            f"in {self.directory.path / 'diverged.json'}); lower the learning rate "
            f"({self.settings.base_learning_rate():g}) and start anew; the last checkpoint is kept"
        )

    def _batch(self, step: int) -> Batch:
        settings = self.settings
        indices, _ = self.labeled_stream.take(step, settings.labeled_batch)
        rows = torch.from_numpy(indices)
        labeled, labels = self.labeled.batch(indices), self.labels[rows]
        if self.unlabeled is None:
            return Batch(labeled, labels, labeled_rows=rows)
        assert self.unlabeled_stream is not None
        chosen, visits = self.unlabeled_stream.take(step, settings.unlabeled_batch())
        original, augmented = self.unlabeled.batch(chosen, visits)
        return Batch(labeled, labels, original, augmented, rows, torch.from_numpy(chosen))

    def _rows_per_step(self) -> int:
        """Texts of a step, each view of one counted."""
        views = 0 if self.unlabeled is None else 1 + self.needs.second_view
        again = "labeled again" in self.needs.views
        return (1 + again) * self.settings.labeled_batch + views * self.settings.unlabeled_batch()

    def _consider(self, done: int) -> Evaluation:
        """Evaluate on the development split, and keep the best weights."""
        evaluation = score(probabilities(self._judged, self.dev), np.asarray(self.split.dev.labels))
        if self.best is None or evaluation.error < self.best.error:
            self.best = checkpoint.Best(evaluation.error, done, self._weights())
        return evaluation

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are evaluated: those in training, or their average."""
        return checkpoint.trained_weights(self._unwrapped, self.averaged)

    @property
    def _unwrapped(self) -> Step:
        return self.accelerator.unwrap_model(self.step)

    @property
    def _judged(self) -> PreTrainedModel:
        return self._unwrapped.model if self.averaged is None else self.averaged.model

    def _save(self, done: int) -> None:
        checkpoint.save(
            self.directory.checkpoints,
            self._unwrapped,
            self.optimizer,
            self.averaged,
            done=done,
            best=self.best,
        )

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, seconds: float) -> dict[str, Any]:
        """Read the test set, once, with the last and with the chosen weights; write model and result."""
        assert self.best is not None, "the last step is always evaluated"
        test_labels = np.asarray(self.split.test.labels)
        last = score(probabilities(self._judged, self.test), test_labels)
        last_dev = score(probabilities(self._judged, self.dev), np.asarray(self.split.dev.labels))
        checkpoint.put_weights(self._unwrapped, self.best.weights)
        model = self._unwrapped.model
        chosen = score(probabilities(model, self.test), test_labels)
        self.directory.write_model(model, self.pretrained.tokenizer)
        result = {
            "run": str(self.directory.path),
            "dev_error": self.best.error,
            "test_error": chosen.error,
            "last_dev_error": last_dev.error,
            "last_test_error": last.error,
            "best_step": self.best.step,
            "steps": self.settings.steps,
            "seconds": round(seconds, 2),
            "confusion": chosen.confusion,
            "augmentation": asdict(self.unlabeled.coverage) if self.unlabeled and self.unlabeled.coverage else None,
            "changed": self.directory.mean_of("changed"),
            "warnings": warnings_of(self.directory),
        }
        self.directory.write("result.json", result)
        shutil.rmtree(self.directory.checkpoints, ignore_errors=True)
        shutil.rmtree(self.directory.tokens, ignore_errors=True)
        return result


def _check_model(model: PreTrainedModel, needs: Needs, in_step: InStep | None, settings: TrainSettings) -> None:
    """Raise SettingsError where the encoder cannot do what the objectives or the augmentation ask of it."""
    if settings.tune == "head":
        check_head_can_be_cut(model)
    elif needs.embeddings or isinstance(in_step, OnEmbeddings):
        check_embeddings_can_be_given(model)
    if needs.hidden:
        check_last_layer_is_linear(model)
    if needs.layers:
        layers(model)
