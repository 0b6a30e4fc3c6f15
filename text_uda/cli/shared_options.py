"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from text_uda.cli.declarations import declared_class
from text_uda.cli.failures import Invocation
from text_uda.cli.grouped_help import option
from text_uda.cli.parameter_types import FOLDER, CacheLocation, CountOrFile, Shard

Verb = Callable[..., Any]


def _set_debug(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, Invocation):
        context.obj.debug = True


debug_option = option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of a failure."
)
json_option = option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line, for machines.")
dev_option = option(
    "--dev",
    "dev_rows",
    group="Labels",
    type=CountOrFile(),
    metavar="N|FILE",
    help="Development rows, which select the model: N rows of the training side, or the rows of a file.",
    default_words="as many as labels, at most a fifth of the remaining rows and 1000",
)
label_sampling_option = option(
    "--label-sampling",
    group="Labels",
    type=click.Choice(("balanced", "proportional")),
    default="balanced",
    show_default=True,
    help="Draw the same number of labeled texts for each class, or in proportion to the classes (at least one each).",
)
max_minutes_option = option(
    "--max-minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="Stop after M minutes with a checkpoint; a rerun resumes.",
    default_words="no limit",
)
precision_option = option(
    "--precision",
    group="Precision and memory",
    type=click.Choice(("auto", "fp32", "bf16")),
    default="fp32",
    show_default=True,
    help="Of the forward passes. fp32 gives the labels of transformers' pipeline; auto takes bf16 where it is faster,"
    " which can change the label of a text between two classes.",
)
text_column_option = option(
    "--text-column",
    group="Data",
    metavar="NAME",
    help="Column of the text.",
    default_words="the only one, or the one with a usual name",
)
_encoder = declared_class("text_uda.training.settings", "TrainSettings").fields["encoder"]


def encoder_option(*, group: str = "Training", help: str = _encoder.summary) -> Callable[[Verb], Verb]:
    return option("--encoder", group=group, default=_encoder.default, show_default=True, metavar="NAME", help=help)


def cache_option(*, group: str = "Augmentation", required: bool = False, default: str = "") -> Callable[[Verb], Verb]:
    return option(
        "--cache",
        "cache_path",
        group=group,
        type=CacheLocation(),
        required=required,
        metavar="DIR",
        help="Folder of paraphrases, local or on an object store (s3://bucket/folder).",
        default_words=default,
    )


def shard_option(things: str) -> Callable[[Verb], Verb]:
    words = f"Only the i-th of n shares of the {things}, i from 1."
    return option("--shard", type=Shard(), metavar="i/n", help=words, default_words=f"all {things}")


def out_option(metavar: str, words: str) -> Callable[[Verb], Verb]:
    return option("--out", type=FOLDER, required=True, metavar=metavar, help=words)


def resume_option(folder: str) -> Callable[[Verb], Verb]:
    words = f"Resume from the last checkpoint in {folder}, or start again."
    return option("--resume/--no-resume", default=True, show_default=True, help=words)


run_argument = click.argument("run", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))


def ends(function: Verb) -> Verb:
    """--json and --debug, which every verb has."""
    return json_option(debug_option(function))
