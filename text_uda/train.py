"""The training loop: reads top to bottom, and calls everything by name."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import Accelerator
from torch import Tensor

from text_uda import checkpoint
from text_uda.augment.in_step import InStep, OnEmbeddings, OnTokens, check_in_step, kind_of, special_ids
from text_uda.batch import Batch
from text_uda.data import Split
from text_uda.errors import SettingsError, UserError
from text_uda.evaluate import Evaluation, probabilities, score
from text_uda.filters import Filters
from text_uda.interruption import Interrupted, stop_signals
from text_uda.keyed import keyed_seed
from text_uda.model import (
    check_embeddings_can_be_given,
    check_head_can_be_cut,
    choose_trained_weights,
    keyed_random,
    load_classifier,
)
from text_uda.objectives import UDA, Objective, Supervised
from text_uda.pairs import MakeRows, Originals, Pairs, pair_table
from text_uda.paraphrase import Location, read_paraphrases
from text_uda.progress import followed, progress
from text_uda.rows import FrozenEncoder, ModelRows, TokenRows
from text_uda.run import RunDirectory, provenance
from text_uda.sampling import RowStream
from text_uda.schedules import linear_decay
from text_uda.settings import TrainSettings
from text_uda.step import Step
from translation_cache import Cache, Job, digest

log = logging.getLogger("text_uda")

COLLAPSED_SHARE = 0.9  # of the development rows predicted as one class, above which the trainer warns
EXAMPLES = 200


class DivergedError(UserError):
    """The loss is no number any more."""


def train(
    split: Split,
    *,
    objectives: Sequence[Objective] = (Supervised(), UDA()),
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
        objectives: their losses are added.
        augmentation: needed when an objective reads pairs: what made the paraphrases, or, without a cache, one that
            makes the second view of a text in the training step, anew each time (Cutoff, SwitchOut).
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
    needs_pairs = any(objective.needs_pairs for objective in objectives)
    views = _views(split, augmentation, cache, filters, settings) if needs_pairs else None
    directory = RunDirectory(Path(out))
    method = _method(augmentation) if needs_pairs and augmentation is not None else "none"
    directory.open(
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
            "augmentation": augmentation.settings() if needs_pairs and augmentation is not None else None,
            "cache_digest": digest(cache, augmentation.settings()) if needs_pairs and augmentation and cache else None,
            "filters": asdict(filters) if needs_pairs and filters else None,
            "settings": asdict(settings),
            **({"in_step": kind_of(augmentation)} if needs_pairs and cache is None else {}),
            **provenance(),
        },
        resume=resume,
    )
    if (finished := directory.result()) is not None:
        return finished
    return _Training(split, objectives, views, method, settings, directory, frozen).run()


def _method(augmentation: Job | InStep) -> str:
    return str(augmentation.settings()["method"])


def _views(
    split: Split,
    augmentation: Job | InStep | None,
    cache: Cache | None,
    filters: Filters | None,
    settings: TrainSettings,
) -> pa.Table | InStep:
    """Where the second view of the unlabeled texts comes from: pairs that a cache holds, or the training step."""
    if augmentation is None:
        raise SettingsError(_NEEDS_PAIRS)
    if not split.unlabeled:
        raise SettingsError("there are no unlabeled texts; ask for fewer labels or give a file of unlabeled texts")
    method = _method(augmentation)
    if cache is not None:
        if not isinstance(augmentation, Job):
            raise SettingsError(f"{method} makes no texts that a cache could hold: it works in the step; give no cache")
        made = read_paraphrases(split.unlabeled, augmentation, cache, samples=settings.samples, filters=filters)
        return pair_table(split.unlabeled, made)
    if not isinstance(augmentation, OnTokens | OnEmbeddings):
        raise SettingsError(f"{_NEEDS_PAIRS}; {method} makes paraphrases offline")
    check_in_step(augmentation, settings, filters)
    return augmentation


_NEEDS_PAIRS = (
    "a consistency objective needs pairs: name an augmentation and the cache it filled, or one that works in the "
    "training step (Cutoff, SwitchOut)"
)


class _Training:
    """One run: what is prepared once, and the loop over it."""

    def __init__(
        self,
        split: Split,
        objectives: Sequence[Objective],
        views: pa.Table | InStep | None,
        method: str,
        settings: TrainSettings,
        directory: RunDirectory,
        frozen: FrozenEncoder | None,
    ) -> None:
        self.split, self.settings, self.directory = split, settings, directory
        self.accelerator = Accelerator(mixed_precision=settings.mixed_precision())
        if self.accelerator.num_processes > 1:
            raise SettingsError("training on several processes is not supported yet: start one process")
        self.pretrained = load_classifier(settings.encoder, split.classes, seed=settings.seed)
        self.pretrained.tokenizer.truncation_side = "left" if settings.keep_tokens == "last" else "right"
        choose_trained_weights(self.pretrained.model, settings.tune)
        make_rows = self._make_rows(frozen)
        self.labeled = make_rows(split.labeled.texts)
        self.labels = torch.tensor(split.labeled.labels)
        self.dev = make_rows(split.dev.texts)
        self.unlabeled = self.unlabeled_stream = None
        if isinstance(views, pa.Table):
            self.unlabeled = Pairs(views, make_rows, method=method)
            _write_examples(directory, views, method)
        elif views is not None:
            self.unlabeled = Originals(split.unlabeled, make_rows)
            if isinstance(views, OnEmbeddings):
                check_embeddings_can_be_given(self.pretrained.model)
        if self.unlabeled is not None:
            self.unlabeled_stream = RowStream(len(self.unlabeled), seed=settings.seed, name="unlabeled")
        self.test = make_rows(split.test.texts)
        step = Step(
            self.pretrained.model,
            objectives,
            steps=settings.steps,
            augmentation=None if isinstance(views, pa.Table) else views,
            special=special_ids(self.pretrained.tokenizer),
        )
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(step, settings.weight_decay), lr=settings.base_learning_rate(), fused=True
        )
        self.step, self._accelerated = self.accelerator.prepare(step, self.optimizer)
        self.labeled_stream = RowStream(len(self.labeled), seed=settings.seed, name="labeled")
        self._collapse_told = False
        self.best: checkpoint.Best | None = None

    def _make_rows(self, frozen: FrozenEncoder | None) -> MakeRows:
        settings = self.settings
        if settings.tune != "head":
            return lambda texts: TokenRows(texts, self.pretrained.tokenizer, max_tokens=settings.max_tokens)
        check_head_can_be_cut(self.pretrained.model)
        encoder = frozen or FrozenEncoder(
            self.pretrained.model, self.pretrained.tokenizer, max_tokens=settings.max_tokens
        )

        def rows(texts: Sequence[str]) -> ModelRows:
            with followed("encode", "texts") as on_progress:
                return encoder.rows(texts, progress=on_progress)

        return rows

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        settings, directory = self.settings, self.directory
        started = time.monotonic()
        done, self.best = checkpoint.load(directory.checkpoints, self.step, self.optimizer)
        directory.keep_metrics_until(done)
        self.step.train()
        with (
            directory.metrics.open("a", encoding="utf-8") as metrics,
            progress(settings.steps, "train", "steps", done=done) as bar,
            stop_signals() as stop,
        ):
            for step in range(done, settings.steps):
                rows_started = time.monotonic()
                loss, terms = self._update(step)
                if step % settings.log_every == 0:
                    record = {name: round(float(value), 6) for name, value in terms.items()}
                    seconds = time.monotonic() - rows_started
                    record |= {"rows_per_s": round(self._rows_per_step() / seconds, 1)}
                    _append(metrics, {"kind": "train", "step": step + 1, "loss": round(float(loss), 6)} | record)
                last = step + 1 == settings.steps
                if (step + 1) % settings.evaluate_every == 0 or last:
                    evaluation = self._consider(step + 1)
                    _append(
                        metrics,
                        {
                            "kind": "dev",
                            "step": step + 1,
                            "error": evaluation.error,
                            "largest_class_share": evaluation.largest_class_share,
                        },
                    )
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
        """One step of the optimiser. Rows, augmented views and dropout depend on (seed, step) alone."""
        settings = self.settings
        factor = linear_decay(step=step, steps=settings.steps, warmup_steps=settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.base_learning_rate() * factor
        batch = self._batch(step).to(self.accelerator.device)
        noise, augment = (keyed_seed(settings.seed, use, step) >> 65 for use in ("noise", "augment"))  # torch: 63 bits
        generator = torch.Generator(self.accelerator.device).manual_seed(augment)
        with keyed_random(noise):
            loss, terms = self.step(batch, step, generator)
        if not torch.isfinite(loss):
            found = ", ".join(f"{name} {float(value):g}" for name, value in terms.items())
            raise DivergedError(
                f"the loss is not finite at step {step + 1:,} ({found}); lower the learning rate "
                f"({settings.base_learning_rate():g}) and start anew; the last checkpoint is kept"
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.step.parameters(), settings.max_grad_norm)
        self._accelerated.step()
        self._accelerated.zero_grad()
        return loss.detach(), terms | {"learning_rate": settings.base_learning_rate() * factor}

    def _batch(self, step: int) -> Batch:
        settings = self.settings
        indices, _ = self.labeled_stream.take(step, settings.labeled_batch)
        labeled, labels = self.labeled.batch(indices), self.labels[torch.from_numpy(indices)]
        if self.unlabeled is None:
            return Batch(labeled, labels)
        assert self.unlabeled_stream is not None
        original, augmented = self.unlabeled.batch(*self.unlabeled_stream.take(step, settings.unlabeled_batch()))
        return Batch(labeled, labels, original, augmented)

    def _rows_per_step(self) -> int:
        pairs = 0 if self.unlabeled is None else 2 * self.settings.unlabeled_batch()
        return self.settings.labeled_batch + pairs

    def _consider(self, done: int) -> Evaluation:
        """Evaluate on the development split, keep the best weights, warn of a collapse."""
        evaluation = score(probabilities(self._model, self.dev), np.asarray(self.split.dev.labels))
        if self.best is None or evaluation.error < self.best.error:
            self.best = checkpoint.Best(evaluation.error, done, checkpoint.trained_weights(self._unwrapped))
        if evaluation.largest_class_share > COLLAPSED_SHARE and not self._collapse_told:
            self._collapse_told = True
            log.warning(_collapse_words(done, evaluation.largest_class_share))
        return evaluation

    @property
    def _unwrapped(self) -> Step:
        return self.accelerator.unwrap_model(self.step)

    @property
    def _model(self):
        return self._unwrapped.model

    def _save(self, done: int) -> None:
        checkpoint.save(self.directory.checkpoints, self._unwrapped, self.optimizer, done=done, best=self.best)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, seconds: float) -> dict[str, Any]:
        """Read the test set, once, with the last and with the chosen weights; write model and result."""
        assert self.best is not None, "the last step is always evaluated"
        test_labels = np.asarray(self.split.test.labels)
        last = score(probabilities(self._model, self.test), test_labels)
        last_dev = score(probabilities(self._model, self.dev), np.asarray(self.split.dev.labels))
        checkpoint.put_weights(self._unwrapped, self.best.weights)
        chosen = score(probabilities(self._model, self.test), test_labels)
        self._write_model()
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
            "warnings": self._warnings(),
        }
        self.directory.write("result.json", result)
        shutil.rmtree(self.directory.checkpoints, ignore_errors=True)
        return result

    def _warnings(self) -> list[str]:
        """From the metrics, so that a run that was stopped and went on warns of the same."""
        looks = [record for record in self.directory.read_metrics() if record["kind"] == "dev"]
        collapsed = [look for look in looks if look["largest_class_share"] > COLLAPSED_SHARE]
        return [_collapse_words(look["step"], look["largest_class_share"]) for look in collapsed[:1]]

    def _write_model(self) -> None:
        aside = self.directory.path / ".model"
        shutil.rmtree(aside, ignore_errors=True)
        self._model.save_pretrained(aside)
        self.pretrained.tokenizer.save_pretrained(aside)
        for path in aside.iterdir():
            path.chmod(0o644)  # safetensors makes files that are their owner's alone
        shutil.rmtree(self.directory.model, ignore_errors=True)
        aside.rename(self.directory.model)


def _parameter_groups(step: Step, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and layer norms do not (as BERT)."""
    trained = [p for p in step.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _collapse_words(step: int, share: float) -> str:
    return (
        f"step {step:,}: {share:.0%} of the development rows are predicted as one class: the model has collapsed. "
        "Raise the confidence threshold or the temperature, add a ramp-up or distribution alignment, or lower the "
        "learning rate"
    )


def _append(metrics, record: dict[str, Any]) -> None:
    metrics.write(json.dumps(record) + "\n")
    metrics.flush()


def _write_examples(directory: RunDirectory, pairs: pa.Table, method: str) -> None:
    """The first texts with their first sample."""
    first = pairs.filter((pc.field("sample") == 0) & (pc.field("text") < EXAMPLES))
    with (directory.path / "examples.jsonl").open("w", encoding="utf-8") as file:
        for example in first.select(["source", "paraphrase", "status", "pivot"]).to_pylist():
            file.write(json.dumps(example | {"method": method}, ensure_ascii=False) + "\n")
