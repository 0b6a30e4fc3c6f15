"""The trainer's settings."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from text_uda.errors import SettingsError
from text_uda.model.precision import Precision, check_precision
from text_uda.objectives.schedules import SCHEDULES, Schedule
from text_uda.runs.evaluation import SelectBy


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a run trains. What it trains on is in the split, what it minimises in the objectives."""

    encoder: str = "google-bert/bert-base-uncased"
    """A hub id, a folder, or "minilm-l6", the packaged one of the extra `demo`."""

    tune: str = "all"
    """What is trained: "head" (features are computed once), "last:N" layers and the head, or "all"."""

    steps: int = 1000
    seed: int = 0
    """Of the new head, the order of the rows and the dropout."""

    labeled_batch: int = 8
    """Labeled rows a step."""

    unlabeled_ratio: int = 3
    """Unlabeled pairs for each labeled row of a step."""

    samples: int = 1
    """Paraphrases of a text that take turns from epoch to epoch."""

    learning_rate: float | None = None
    """The highest rate of the encoder, or of the head where that alone is trained. None: 5e-5 for a whole encoder, 1e-4
    for its last layers, 0.1 for a linear head (see `text_uda.model.linear_head`) and 1e-3 for another."""

    head_learning_rate: float | None = None
    """That of the head beside an encoder that is trained. None: 100 times `learning_rate` for a linear head, which acts
    on vectors of length 1, else the same."""

    schedule: Schedule = "linear"
    """What the rates do after the warm-up: fall to 0 in a straight line ("linear") or along half a cosine ("cosine"),
    fall along 7/16 of a cosine, as in FixMatch and the benchmark USB ("cosine-7-16"), or stay ("constant"). With
    `FastSWA` they follow its cycles instead."""

    warmup_steps: int | None = None
    """Steps over which the rates grow from 0. None: a tenth of all where layers of the encoder are trained, else 0."""

    weight_decay: float = 0.01
    """Of AdamW, on matrices; a linear head has `head_penalty` in its place."""

    head_penalty: float | None = None
    """lambda of lambda/2 |W|^2 on the weights of a linear head. None: with tune="head" 1/n, where n counts the rows
    that are trained on, unlabeled ones too, which is scikit-learn's C = 1 (of two classes, for which it has one vector
    in place of two, C = 2); else 0."""

    max_grad_norm: float | None = 1.0
    """Longer gradients are cut to this length; None for none."""

    patience: int | None = None
    """Evaluations without a better one after which the run ends; None runs all steps."""

    max_tokens: int = 256
    """Tokens of a text that the encoder sees."""

    keep_tokens: Literal["first", "last"] = "last"
    """Which ones of a longer text: UDA keeps the last, where a review says its verdict."""

    evaluate_every: int = 100
    """Steps between two looks at the development split."""

    select_by: SelectBy = "error"
    """By which figure of the development split the weights are chosen, the earlier of equal ones: the error, macro-F1,
    or the balanced error (see `text_uda.runs.per_class`). "last" takes the weights after the last step."""

    checkpoint_every: int = 500
    """Steps between two checkpoints."""

    log_every: int = 10
    """Steps between two lines of metrics."""

    precision: Precision = "auto"
    """Of the encoder's forward passes; auto: bf16 where it was measured to be faster, else fp32 (see
    `text_uda.model.precision`). A head on features that are computed once is trained in fp32: it is too small to be
    faster in bf16; its test errors are those of these features. Where layers are trained, test errors are those of fp32
    passes, in which the model will be used."""

    tokens_per_pass: int | None = None
    """How many tokens go through the encoder at one time, where a step has more than memory; what a pass remembers for
    the gradient is then made again, a third more work, and the gradient is the same. None for all of a step at once.
    Mixed rows (ICT, MixMatch, TMix, MixMixup) are not cut up."""

    compile: bool = False
    """Compile the encoder's layers (torch.compile), a minute or two at the start."""

    layer_decay: float | None = None
    """Factor on the learning rate from each layer to the one below it (see `text_uda.training.optimizer`); 1 is off.
    None: 0.75 where the whole encoder is trained, else 1."""

    reinit_layers: int = 0
    """How many of the top layers, and the pooler with them, begin with new random weights."""

    dropout: float | None = None
    """Of all dropouts of the encoder and its head; None leaves what the encoder came with."""

    def __post_init__(self) -> None:
        positive = "steps labeled_batch unlabeled_ratio samples max_tokens evaluate_every checkpoint_every log_every"
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give a number above 0")
        for name in ("tokens_per_pass", "learning_rate", "head_learning_rate", "max_grad_norm", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name}={value}: give a number above 0, or None")
        for name in ("learning_rate", "head_learning_rate", "weight_decay", "head_penalty"):
            if getattr(self, name) == math.inf:
                raise SettingsError(f"{name}=inf: give a finite number")
        if self.head_penalty is not None and not self.head_penalty >= 0:
            raise SettingsError(f"head_penalty={self.head_penalty}: give 0 or more, or None")
        if self.schedule not in SCHEDULES:
            raise SettingsError(f"schedule={self.schedule!r}: choose {', '.join(SCHEDULES)}")
        if self.patience is not None and self.select_by == "last":
            raise SettingsError(
                "patience waits for a better evaluation, and select_by='last' chooses none: leave one out"
            )
        if self.head_learning_rate is not None and self.tune == "head":
            raise SettingsError(
                "head_learning_rate is for a head beside an encoder; with tune='head' give learning_rate"
            )
        for name in ("weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give 0 or more")
        if self.warmup_steps is not None and not self.warmup_steps >= 0:
            raise SettingsError(f"warmup_steps={self.warmup_steps}: give 0 or more, or None")
        if not re.fullmatch(r"all|head|last:[1-9][0-9]*", self.tune):
            raise SettingsError(f"tune={self.tune!r}: choose head, last:N (such as last:2) or all")
        check_precision(self.precision)
        if self.select_by not in get_args(SelectBy):
            raise SettingsError(f"select_by={self.select_by!r}: choose {', '.join(get_args(SelectBy))}")
        if self.keep_tokens not in ("first", "last"):
            raise SettingsError(f"keep_tokens={self.keep_tokens!r}: choose first or last")
        self._check_fine_tuning()

    def _check_fine_tuning(self) -> None:
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise SettingsError(f"layer_decay={self.layer_decay}: give a number above 0, at most 1 (1 is off)")
        if self.layer_decay is not None and self.layer_decay < 1 and self.tune == "head":
            raise SettingsError("layer_decay says nothing with tune='head', which trains no layer: leave it out")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout={self.dropout}: give a number in [0, 1), or leave it out")
        if self.reinit_layers < 0:
            raise SettingsError(f"reinit_layers={self.reinit_layers}: give 0 or more")
        trained = {"head": "0", "all": None}.get(self.tune, self.tune.removeprefix("last:"))
        if trained is not None and self.reinit_layers > int(trained):
            raise SettingsError(
                f"reinit_layers={self.reinit_layers}: new layers have to be trained, and tune={self.tune!r} trains "
                f"{trained} of them; give tune='last:{self.reinit_layers}' or more, or all"
            )

    def base_learning_rate(self, *, linear: bool) -> float:
        """
        Args:
            linear: whether the head is one (see `text_uda.model.linear_head`).
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return {"all": 5e-5, "head": 0.1 if linear else 1e-3}.get(self.tune, 1e-4)

    def warmup(self) -> int:
        """Steps."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return 0 if self.tune == "head" else self.steps // 10

    def decay_of_layers(self, *, known: bool) -> float:
        """
        Args:
            known: whether the layers of the encoder are.
        """
        if self.layer_decay is not None:
            return self.layer_decay
        return 0.75 if self.tune == "all" and known else 1.0

    def head_factor(self, *, linear: bool) -> float:
        """By what the head's rate is larger than the base rate.

        Args:
            linear: whether the head is one.
        """
        if self.head_learning_rate is not None:
            return self.head_learning_rate / self.base_learning_rate(linear=linear)
        return 100.0 if linear and self.tune != "head" else 1.0

    def penalty(self, rows: int) -> float:
        """Of a linear head that is trained on so many rows."""
        if self.head_penalty is not None:
            return self.head_penalty
        return 1 / rows if self.tune == "head" else 0.0

    def unlabeled_batch(self) -> int:
        return self.labeled_batch * self.unlabeled_ratio
