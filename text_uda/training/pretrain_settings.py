"""The settings of pretraining."""

from dataclasses import dataclass
from typing import Literal

from text_uda.errors import SettingsError
from text_uda.model.precision import Precision, check_precision


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """Settings of pretraining on in-domain text."""

    encoder: str = "google-bert/bert-base-uncased"
    """A hub id, a folder, or "minilm-l6", the encoder that the extra `demo` installs."""

    steps: int = 1000
    seed: int = 0
    """Decides the order of the rows, the masks, the dropout, and the head of an encoder that comes without one."""

    tokens_per_step: int = 8192
    """Approximate number of tokens of a step; at least `max_tokens`."""

    learning_rate: float = 1e-4
    """The largest rate of the schedule. The default is BERT's (Devlin et al. 2019, Appendix A.2)."""

    warmup_steps: int = 0
    """Steps of linear warm-up; then the rate decays linearly to 0."""

    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    mask_rate: float = 0.15
    """Share of the tokens that are masked and predicted."""

    max_tokens: int = 256
    """Longer texts are truncated to this length."""

    keep_tokens: Literal["first", "last"] = "last"
    """Which tokens of a truncated text are kept; choose as for the classifier."""

    evaluate_every: int = 100
    """Steps between two evaluations on the held-out texts."""

    checkpoint_every: int = 500
    """Steps between two checkpoints."""

    log_every: int = 10
    """Steps between two lines of metrics."""

    tokens_per_pass: int | None = None
    """Limit on the tokens of one pass through the encoder, where a step does not fit into memory; the gradients are
    accumulated. None runs the whole step in one pass."""

    precision: Precision = "auto"
    """auto: bf16 where it is faster (CUDA from compute capability 8; CPUs with AMX), else fp32."""

    def __post_init__(self) -> None:
        positive = (
            "steps tokens_per_step learning_rate max_grad_norm max_tokens evaluate_every checkpoint_every log_every"
        )
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give a number above 0")
        if self.tokens_per_pass is not None and self.tokens_per_pass <= 0:
            raise SettingsError(f"tokens_per_pass={self.tokens_per_pass}: give a number above 0, or None")
        for name in ("warmup_steps", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name}={getattr(self, name)}: give 0 or more")
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
