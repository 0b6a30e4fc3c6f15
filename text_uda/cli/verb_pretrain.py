"""`pretrain`: masked-language-model training on the texts of a task."""

from pathlib import Path
from typing import Any

import click

from text_uda.cli.config_file import given_options
from text_uda.cli.data_options import OTHER_COLUMNS, DataChoice, data_options
from text_uda.cli.failures import keeps, kept_of_run
from text_uda.cli.grouped_help import verb
from text_uda.cli.output import emit_json, is_main_process, printable
from text_uda.cli.settings_options import declared_options
from text_uda.cli.shared_options import encoder_option, ends, max_minutes_option, out_option, resume_option

_settings_options = declared_options(
    ("text_uda.training.pretraining", "PretrainSettings"),
    under="training",
    group="Training",
    groups={"precision": "Precision and memory", "tokens_per_pass": "Precision and memory"},
    leave_out=("encoder", "weight_decay", "max_grad_norm", "log_every"),
)


@verb()
@data_options(leave_out=OTHER_COLUMNS)
@encoder_option()
@_settings_options
@max_minutes_option
@out_option("DIR", "Run directory to write.")
@resume_option("DIR")
@ends
def pretrain(
    data: DataChoice,
    encoder: str,
    training: dict[str, Any],
    max_minutes: float | None,
    out: Path,
    resume: bool,
    as_json: bool,
) -> None:
    """Train an encoder to predict masked words of the training texts of DATA. It reads no label and no test text.
    DATA can be texts alone: a .txt file, a file without a label column, or - for standard input.

    Afterwards, --encoder DIR names the encoder, and transformers opens DIR/model.

    \b
    Example:
      text-uda pretrain movie-snippets --encoder minilm-l6 --steps 300 --out pretrained
      text-uda train movie-snippets --labels 100 --tune last:2 --encoder pretrained --out run
    """
    from text_uda.training.pretraining import PretrainSettings
    from text_uda.training.pretraining import pretrain as run_pretraining

    settings = PretrainSettings(encoder=encoder, **training)
    texts = data.training_texts()
    if not as_json and is_main_process():
        click.echo(f"{printable(data.load_texts().name)}: {len(texts):,} training texts")
    with keeps(lambda: kept_of_run(out)):
        result = run_pretraining(
            texts, settings=settings, out=out, resume=resume, max_minutes=max_minutes, command=given_options()
        )
    if not is_main_process():
        return
    if as_json:
        emit_json({name: value for name, value in result.items() if name != "model_files"})
        return
    before = "" if result["start_perplexity"] is None else f" {result['start_perplexity']:,.2f} before,"
    click.echo(
        f"{result['tokens']:,} tokens in {result['steps']:,} steps; held-out perplexity"
        f"{before} {result['perplexity']:,.2f} after"
        f" ({result['held_out']:,} texts are held out)"
    )
    if result["new_head"]:
        click.echo("the encoder has no head that predicts words: the training started from a random one")
    click.echo(f"the encoder is in {printable(str(out))}: text-uda train ... --encoder {printable(str(out))}")
