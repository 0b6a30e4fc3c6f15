"""Options of the trainer: `text_uda.training.settings.TrainSettings` on the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from text_uda.cli.shared_options import COUNT, Verb, gathered
from text_uda.errors import SettingsError

# The names of text_uda.training.settings.SelectBy, not imported here because it imports torch. A test compares.
SELECT_BY = ("error", "macro-f1", "balanced-error", "last")

# The names of text_uda.objectives.schedules.SCHEDULES, not imported here. A test compares.
SCHEDULES = ("linear", "cosine", "cosine-7-16", "constant")


@dataclass(frozen=True, kw_only=True)
class LoopChoice:
    """Fields of text_uda.training.settings.TrainSettings; None leaves the default there."""

    steps: int | None
    seed: int
    tune: str | None
    labeled_batch: int | None
    unlabeled_ratio: int | None
    learning_rate: float | None
    head_learning_rate: float | None
    schedule: str | None
    warmup_steps: int | None
    weight_decay: float | None
    head_penalty: float | None
    max_grad_norm: float | None
    patience: int | None
    max_tokens: int | None
    keep_tokens: str | None
    evaluate_every: int | None
    select_by: str | None
    checkpoint_every: int | None
    precision: str | None
    tokens_per_pass: int | None
    compile: bool | None
    layer_decay: float | None
    reinit_layers: int | None
    dropout: float | None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def check_reads_features(self, objective: str | None) -> None:
        """Raise SettingsError where something is given that says nothing to a method without a step."""
        if unread := self.given().keys() - OF_FEATURES:
            option = min(unread).replace("_", "-")
            raise SettingsError(f"--objective {objective} takes no step, and reads no --{option}: leave it out")


# Of those what a baseline reads: text_uda.training.fit_baseline.DECISIVE, not imported here. A test compares.
OF_FEATURES = frozenset(("seed", "tune", "max_tokens", "keep_tokens", "precision"))


def _optional(*names: str, kind: Any, metavar: str, words: str) -> Callable[[Verb], Verb]:
    return click.option(*names, type=kind, default=None, metavar=metavar, help=words)


loop_options = gathered(
    LoopChoice,
    _optional("--steps", kind=COUNT, metavar="N", words="Steps of the optimiser."),
    click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the split and of the training."),
    _optional("--tune", kind=str, metavar="head|last:N|all", words="Which weights are trained."),
    _optional("--labeled-batch", kind=COUNT, metavar="N", words="Labeled texts a step."),
    _optional("--unlabeled-ratio", kind=COUNT, metavar="N", words="Unlabeled texts a step, for each labeled one."),
    _optional("--learning-rate", kind=click.FloatRange(0, min_open=True), metavar="R", words="Highest rate."),
    _optional(
        "--head-learning-rate",
        kind=click.FloatRange(0, min_open=True),
        metavar="R",
        words="Highest rate of the head, beside an encoder that is trained.",
    ),
    click.option("--schedule", type=click.Choice(SCHEDULES), help="What the rate does after the warm-up."),
    _optional("--warmup-steps", kind=int, metavar="N", words="Steps over which the rate grows."),
    _optional("--weight-decay", kind=click.FloatRange(0), metavar="D", words="Decay of matrices but a linear head's."),
    _optional("--head-penalty", kind=click.FloatRange(0), metavar="P", words="L2 penalty on a linear head."),
    _optional(
        "--max-grad-norm", kind=click.FloatRange(0, min_open=True), metavar="G", words="Scale larger gradients down."
    ),
    _optional("--patience", kind=COUNT, metavar="N", words="End after N evaluations without a better one."),
    _optional("--max-tokens", kind=COUNT, metavar="N", words="Tokens of a text that are read."),
    click.option("--keep-tokens", type=click.Choice(("first", "last")), help="Which ones of a longer text."),
    _optional("--evaluate-every", kind=COUNT, metavar="N", words="Steps between readings of the dev error."),
    click.option("--select-by", type=click.Choice(SELECT_BY), help="What of the dev texts chooses the weights."),
    _optional("--checkpoint-every", kind=COUNT, metavar="N", words="Steps between checkpoints."),
    click.option("--precision", type=click.Choice(("auto", "fp32", "bf16")), help="Numbers of the forward pass."),
    _optional("--tokens-per-pass", kind=COUNT, metavar="N", words="Tokens in the encoder at one time, to save memory."),
    click.option("--compile", is_flag=True, default=None, help="Compile the encoder's layers (torch.compile)."),
    _optional("--layer-decay", kind=float, metavar="D", words="Factor on the rate from each layer to the one below."),
    _optional("--reinit-layers", kind=int, metavar="N", words="Top layers that begin with new random weights."),
    _optional("--dropout", kind=float, metavar="P", words="Dropout of the whole model. [default: the encoder's]"),
    under="loop",
)
