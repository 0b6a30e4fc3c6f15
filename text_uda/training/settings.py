"""The trainer's settings."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from text_uda.errors import SettingsError
from text_uda.model.precision import Precision, check_precision
from text_uda.objectives.schedules import SCHEDULES, Schedule
from text_uda.ranges import Count, Fraction, NotNegative, Positive, Probability, WholeNumber, check_ranges
from text_uda.runs.evaluation import SelectBy


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a run trains. The split holds its data, the objectives its loss.

    These fields are options of `text-uda train`. The first sentence of a docstring is the option's help, and a sentence
    that begins with "None:" is shown as its default.
    """

    encoder: str = "minilm-l6"
    """Encoder: minilm-l6 (small, packaged in the extra `demo`, needs no hub), a hub id such as
    google-bert/bert-base-uncased, or a folder that transformers opens."""

    tune: str = "all"
    """Which weights are trained: the head alone, the last N layers and the head, or all. "head" computes the features
    of the frozen encoder once."""

    steps: Count = 1000
    """Steps of the optimizer."""

    seed: WholeNumber = 0
    """Seed of the split, the new head, the order of the rows and the dropout."""

    labeled_batch: Count = 8
    """Labeled rows in a step."""

    unlabeled_ratio: Count = 3
    """Unlabeled rows in a step for each labeled row."""

    samples: Count = 1
    """Paraphrases of a text, used in turn from epoch to epoch."""

    learning_rate: Positive | None = None
    """Peak learning rate of the encoder, or of the head if only the head is trained. None: 5e-5 with tune="all", 1e-4
    with "last:N"; with "head" 0.1 for a linear head and 1e-3 for another. See `text_uda.model.linear_head`."""

    head_learning_rate: Positive | None = None
    """Peak learning rate of the head beside a trained encoder. None: 100 times the learning rate for a linear head,
    else the same rate. A linear head reads vectors of length 1 and needs the larger rate."""

    schedule: Schedule = "linear"
    """Learning rate after the warm-up. "linear" and "cosine" (half a cosine) fall to 0, "cosine-7-16" follows 7/16 of a
    cosine as FixMatch and the benchmark USB do, and "constant" stays. `FastSWA` replaces it by its cycles."""

    warmup_steps: WholeNumber | None = None
    """Steps in which the learning rate rises from 0. None: 0 with tune="head", else a tenth of the steps."""

    weight_decay: NotNegative = 0.01
    """Weight decay of AdamW on matrices, without the weights of a linear head. A linear head has `head_penalty`."""

    head_penalty: NotNegative | None = None
    """L2 penalty lambda/2 |W|^2 on the weights of a linear head. None: 1/rows with tune="head", else 0. The rows are
    all training rows, labeled and unlabeled, so 1/rows is scikit-learn's C = 1 (C = 2 for two classes, where
    scikit-learn has one vector in place of two)."""

    max_grad_norm: Positive | None = 1.0
    """Largest gradient norm; a larger gradient is scaled down to it. None leaves gradients as they are."""

    patience: Count | None = None
    """Stop after this many evaluations without improvement. None: run all steps."""

    max_tokens: Count = 256
    """Tokens of a text that the encoder reads."""

    keep_tokens: Literal["first", "last"] = "last"
    """Which tokens of a longer text are read. UDA reads the last ones, where a review gives its verdict."""

    evaluate_every: Count = 100
    """Steps between evaluations on the development rows."""

    select_by: SelectBy = "error"
    """Figure of the development rows that selects the weights; "last" takes the last step. Of equal evaluations the
    earlier one is selected. See `text_uda.runs.per_class` for macro-F1 and the balanced error."""

    checkpoint_every: Count = 500
    """Steps between checkpoints."""

    log_every: Count = 10
    """Steps between lines of metrics.jsonl."""

    precision: Precision = "auto"
    """Precision of the encoder's forward passes; auto takes bf16 where it is measured to be faster, else fp32. See
    `text_uda.model.precision`. A head on features that are computed once trains in fp32, since it is too small to gain
    from bf16, and its test errors are measured on these features. If layers are trained, test errors are measured with
    fp32 passes, the precision in which the model is used."""

    tokens_per_pass: Count | None = None
    """Largest number of tokens in the encoder at once, to save memory. None: all tokens of a step. Smaller passes
    compute their activations a second time for the gradient, a third more work, and the gradient is the same. Mixed
    rows (ICT, MixMatch, TMix, MixMixup) are not divided."""

    compile: bool = False
    """Compile the encoder's layers with torch.compile, which takes a minute or two at the start."""

    layer_decay: Fraction | None = None
    """Factor on the learning rate from each layer to the layer below; 1 is off. None: 0.75 with tune="all" if the
    encoder's layers are known, else 1. See `text_uda.training.optimizer`."""

    reinit_layers: WholeNumber = 0
    """Top layers, and the pooler, that start from new random weights."""

    dropout: Probability | None = None
    """Dropout of the encoder and the head. None: the encoder's configuration."""

    def __post_init__(self) -> None:
        check_ranges(self)
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
        if not re.fullmatch(r"all|head|last:[1-9][0-9]*", self.tune):
            raise SettingsError(f"tune={self.tune!r}: choose head, last:N (such as last:2) or all")
        check_precision(self.precision)
        if self.select_by not in get_args(SelectBy):
            raise SettingsError(f"select_by={self.select_by!r}: choose {', '.join(get_args(SelectBy))}")
        if self.keep_tokens not in ("first", "last"):
            raise SettingsError(f"keep_tokens={self.keep_tokens!r}: choose first or last")
        self._check_fine_tuning()

    def _check_fine_tuning(self) -> None:
        if self.layer_decay is not None and self.layer_decay < 1 and self.tune == "head":
            raise SettingsError("layer_decay has no effect with tune='head', which trains no layer: leave it out")
        if self.compile and self.tune == "head":
            raise SettingsError("compile has no effect with tune='head', which trains no layer: leave it out")
        trained = {"head": "0", "all": None}.get(self.tune, self.tune.removeprefix("last:"))
        if trained is not None and self.reinit_layers > int(trained):
            raise SettingsError(
                f"reinit_layers={self.reinit_layers}: new layers have to be trained, and tune={self.tune!r} trains "
                f"{trained} of them; give tune='last:{self.reinit_layers}' or more, or all"
            )

    def base_learning_rate(self, *, linear: bool) -> float:
        """The peak learning rate of the encoder, or of the head if only the head is trained.

        Args:
            linear: whether the head is linear (see `text_uda.model.linear_head`).
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return {"all": 5e-5, "head": 0.1 if linear else 1e-3}.get(self.tune, 1e-4)

    def warmup(self) -> int:
        """Number of warm-up steps."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return 0 if self.tune == "head" else self.steps // 10

    def decay_of_layers(self, *, known: bool) -> float:
        """Factor on the learning rate from each layer to the layer below.

        Args:
            known: whether the layers of the encoder are known.
        """
        if self.layer_decay is not None:
            return self.layer_decay
        return 0.75 if self.tune == "all" and known else 1.0

    def head_factor(self, *, linear: bool) -> float:
        """The head's learning rate divided by the base learning rate.

        Args:
            linear: whether the head is linear.
        """
        if self.head_learning_rate is not None:
            return self.head_learning_rate / self.base_learning_rate(linear=linear)
        return 100.0 if linear and self.tune != "head" else 1.0

    def penalty(self, rows: int) -> float:
        """The L2 penalty on the weights of a linear head that is trained on `rows` rows."""
        if self.head_penalty is not None:
            return self.head_penalty
        return 1 / rows if self.tune == "head" else 0.0

    def unlabeled_batch(self) -> int:
        """Unlabeled rows in a step."""
        return self.labeled_batch * self.unlabeled_ratio
