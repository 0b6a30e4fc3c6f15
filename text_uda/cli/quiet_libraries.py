"""Silence for the libraries below: a weight-loading bar or an info log is no news here."""

import logging
import os
import sys
import warnings

import click

from text_uda.cli.output import printable

_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # the bar over the weights of transformers follows it too
    "TOKENIZERS_PARALLELISM": "false",  # else it warns in each worker process
}
_LOGGERS = ("transformers", "datasets", "huggingface_hub", "accelerate", "httpx")


class _OneLine(logging.Handler):
    """Our own warnings: `warning: ...` on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {printable(record.getMessage())}", err=True)


def quiet_libraries() -> None:
    """Call before transformers, datasets or tokenizers are imported. What the environment says stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for own in map(logging.getLogger, ("text_uda", "translation_cache")):
        if not any(isinstance(handler, _OneLine) for handler in own.handlers):
            own.addHandler(_OneLine())
    if not sys.warnoptions:  # python -W and PYTHONWARNINGS have the say
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
