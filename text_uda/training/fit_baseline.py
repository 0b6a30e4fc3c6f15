"""A run of a baseline: features, one fit, and the run directory that training leaves."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError
from text_uda.model.frozen_encoder import FeatureRows, FrozenEncoder, encoder_of
from text_uda.model.linear_head import can_be_linear, is_linear, make_linear, set_linear
from text_uda.model.pretrained import load_classifier
from text_uda.objectives.baseline import Baseline
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import score
from text_uda.training.elapsed import Spent
from text_uda.training.final_evaluation import Answers, finish
from text_uda.training.metrics import Metrics
from text_uda.training.run_warnings import warnings_in
from text_uda.training.settings import TrainSettings
from text_uda.training.stopping import Stop

# Settings that decide what a baseline comes to; the others are of steps, and it takes none. `tune` tells beside which
# runs a report shows it.
DECISIVE = ("encoder", "tune", "seed", "max_tokens", "keep_tokens", "precision")


class Fitting:
    """A baseline's run. It takes no step and keeps no checkpoint: one that was stopped begins again."""

    def __init__(
        self,
        split: Split,
        baseline: Baseline,
        settings: TrainSettings,
        directory: RunDirectory,
        accelerator: Accelerator,
        frozen: FrozenEncoder | None,
    ) -> None:
        self.split, self.baseline, self.settings = split, baseline, settings
        self.directory, self.accelerator = directory, accelerator
        if baseline.needs.unlabeled and not split.unlabeled:
            raise SettingsError("there are no unlabeled texts; ask for fewer labels or give a file of unlabeled texts")
        if missing := set(range(len(split.classes))) - set(split.labeled.labels):
            raise SettingsError(f"no text of class {split.classes[min(missing)]!r} has a label; give each class one")
        self._made = load_classifier(settings.encoder, split.classes, seed=settings.seed, linear_head=True)
        model = self._made.model.to(accelerator.device)  # pyright: ignore[reportArgumentType]
        if not can_be_linear(model):
            raise SettingsError(
                f"the head of a {model.config.model_type!r} model cannot be one linear layer, and a baseline is one; "
                "choose another encoder (BERT, RoBERTa, DistilBERT)"
            )
        if not is_linear(model):  # a classifier that came with a head of its own
            make_linear(model)
        self._encoder = encoder_of(model, self._made.tokenizer, settings, shared=frozen)

    def run(self, _stop: Stop) -> dict[str, Any]:
        split, settings, directory = self.split, self.settings, self.directory
        labeled, test = self._rows(split.labeled.texts), self._rows(split.test.texts)
        dev = self._rows(split.dev.texts) if len(split.dev) else None
        unlabeled = self._rows(split.unlabeled) if self.baseline.needs.unlabeled else FeatureRows(labeled.values[:0])
        started = Spent.now()  # of training, too, the time is that after the encoding
        linear = self.baseline.fit(
            labeled.values.numpy(),
            np.asarray(split.labeled.labels),
            unlabeled.values.numpy(),
            classes=len(split.classes),
            seed=settings.seed,
        )
        model = self._made.model
        set_linear(model, torch.from_numpy(linear.weight), torch.from_numpy(linear.bias))
        answers = Answers.of(model, dev, test)
        distributed.on_main(lambda: directory.keep_metrics_until(-1))  # of a fit that was killed
        if answers.dev is not None:
            with Metrics(directory, self.accelerator, steps=1) as metrics:
                metrics.look(0, score(answers.dev, np.asarray(split.dev.labels)))
        return finish(
            directory,
            split,
            model,
            self._made.tokenizer,
            last=answers,
            chosen=answers,
            selected_by="last",
            best_step=0,
            steps=0,
            spent=started.until_now(),
            more={
                "augmentation": None,
                "changed": None,
                "baseline": None,
                "fit": dict(linear.fit),
                "warnings": [*linear.warnings, *warnings_in(directory.read_metrics(), steps=1)],
            },
        )

    def _rows(self, texts: Any) -> FeatureRows:
        with followed("encode", "texts", shown=distributed.is_main()) as on_progress:
            return self._encoder.rows(texts, progress=on_progress)
