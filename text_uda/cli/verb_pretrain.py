"""`pretrain`: from the texts of a task to an encoder that has read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from text_uda.cli.failures import keeps
from text_uda.cli.output import emit_json, is_main_process, printable
from text_uda.cli.shared_options import COUNT, FOLDER, DataChoice, data_options, encoder_option, ends, gathered


@dataclass(frozen=True, kw_only=True)
class PretrainChoice:
    """Fields of text_uda.training.pretraining.PretrainSettings; None leaves the default there."""

    steps: int | None
    seed: int
    tokens_per_step: int | None
    learning_rate: float | None
    warmup_steps: int | None
    mask_rate: float | None
    max_tokens: int | None
    keep_tokens: str | None
    evaluate_every: int | None
    checkpoint_every: int | None
    precision: str | None
    tokens_per_pass: int | None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


_pretrain_options = gathered(
    PretrainChoice,
    click.option("--steps", type=COUNT, metavar="N", help="Steps of the optimiser. [default: 1000]"),
    click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of order, masks and dropout."),
    click.option("--tokens-per-step", type=COUNT, metavar="N", help="About how many tokens a step. [default: 8192]"),
    click.option("--learning-rate", type=float, metavar="R", help="Highest rate. [default: 1e-4]"),
    click.option("--warmup-steps", type=int, metavar="N", help="Steps over which the rate grows. [default: 0]"),
    click.option("--mask-rate", type=float, metavar="SHARE", help="Share of the words to predict. [default: 0.15]"),
    click.option("--max-tokens", type=COUNT, metavar="N", help="Tokens of a text that are read. [default: 256]"),
    click.option("--keep-tokens", type=click.Choice(("first", "last")), help="Which ones of a longer text."),
    click.option("--evaluate-every", type=COUNT, metavar="N", help="Steps between looks at held-out texts."),
    click.option("--checkpoint-every", type=COUNT, metavar="N", help="Steps between checkpoints."),
    click.option("--precision", type=click.Choice(("auto", "fp32", "bf16")), help="Numbers of the forward pass."),
    click.option("--tokens-per-pass", type=COUNT, metavar="N", help="Tokens in the encoder at one time."),
    under="choice",
)


@click.command(short_help="Go on with an encoder's pretraining on the texts of DATA.")
@data_options()
@encoder_option
@_pretrain_options
@click.option("--max-minutes", type=float, metavar="M", help="Stop after M minutes, to go on later.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Run directory to write.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from the last checkpoint in DIR.")
@ends
def pretrain(
    data: DataChoice,
    encoder: str,
    choice: PretrainChoice,
    max_minutes: float | None,
    out: Path,
    resume: bool,
    as_json: bool,
) -> None:
    """Train an encoder to predict masked words of the training texts of DATA; no label and no test text is read.

    DIR is then an encoder's name, and DIR/model a folder that transformers opens.

    \b
    Example:
      text-uda pretrain movie-snippets --encoder minilm-l6 --steps 300 --out pretrained
      text-uda train movie-snippets --labels 100 --tune last:2 --encoder pretrained --out run
    """
    from text_uda.training.pretraining import PretrainSettings
    from text_uda.training.pretraining import pretrain as run_pretraining

    settings = PretrainSettings(encoder=encoder, **choice.given())
    texts = data.training_texts()
    if not as_json and is_main_process():
        click.echo(f"{printable(data.load().name)}: {len(texts):,} training texts")
    with keeps(f"the last checkpoint is kept in {out}; the same command goes on from there"):
        result = run_pretraining(texts, settings=settings, out=out, resume=resume, max_minutes=max_minutes)
    if not is_main_process():
        return
    if as_json:
        emit_json(result)
        return
    click.echo(
        f"{result['tokens']:,} tokens in {result['steps']:,} steps; held-out perplexity"
        f" {result['start_perplexity']:,.2f} before, {result['perplexity']:,.2f} after"
        f" ({result['held_out']:,} of the texts are held out)"
    )
    if result["new_head"]:
        click.echo("the encoder came without a head that predicts words: it began with a random one")
    click.echo(f"the encoder is in {printable(str(out))}: text-uda train ... --encoder {printable(str(out))}")
