"""The settings of pretraining."""

from dataclasses import dataclass
from typing import Literal

from text_uda.errors import SettingsError
from text_uda.model.precision import Precision, check_precision
from text_uda.ranges import Count, NotNegative, Positive, WholeNumber, check_ranges


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """Settings of pretraining on in-domain text."""

    encoder: str = "minilm-l6"
    """A hub id, a folder, or "minilm-l6", the encoder that the extra `demo` installs; the default of every verb."""

    steps: Count = 1000
    """Steps of the optimizer."""

    seed: WholeNumber = 0
    """Seed of the order of the rows, the masks, the dropout, and a new head."""

    tokens_per_step: Count = 8192
    """Approximate number of tokens in a step, at least `max_tokens`."""

    learning_rate: Positive = 1e-4
    """Peak learning rate. The default is BERT's (Devlin et al. 2019, Appendix A.2)."""

    warmup_steps: WholeNumber = 0
    """Steps in which the learning rate rises from 0; afterwards it falls linearly to 0."""

    weight_decay: NotNegative = 0.01
    """Weight decay of AdamW, on matrices."""

    max_grad_norm: Positive | None = 1.0
    """Larger gradients are scaled down to this norm. None: they are not."""

    mask_rate: float = 0.15
    """Share of the words that are masked and predicted."""

    max_tokens: Count = 256
    """Tokens of a text that the encoder reads."""

    keep_tokens: Literal["first", "last"] = "last"
    """Which tokens of a longer text are read. Choose as for the classifier."""

    evaluate_every: Count = 100
    """Steps between two evaluations on the held-out texts."""

    checkpoint_every: Count = 500
    """Steps between two checkpoints."""

    log_every: Count = 10
    """Steps between two lines of metrics."""

    tokens_per_pass: Count | None = None
    """Largest number of tokens in the encoder at once, to save memory; the gradients add up. None: all of a step."""

    precision: Precision = "auto"
    """Precision of the forward passes; auto takes bf16 where it is measured to be faster, else fp32."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not 0 < self.mask_rate < 1:
            raise SettingsError(f"mask_rate={self.mask_rate}: give a share between 0 and 1, such as 0.15")
        if self.tokens_per_step < self.max_tokens:
            raise SettingsError(
                f"tokens_per_step={self.tokens_per_step}: a text has up to max_tokens={self.max_tokens}; "
                "give at least that number, or lower max_tokens"
            )
        if self.keep_tokens not in ("first", "last"):
            raise SettingsError(f"keep_tokens={self.keep_tokens!r}: choose first or last")
        check_precision(self.precision)
