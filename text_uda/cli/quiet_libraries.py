"""Silence the progress bars and the info logs of the libraries."""

import logging
import os
import sys
import warnings

from text_uda.cli.output import echo_aside, printable

_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # also hides the weight-loading bar of transformers
    "TOKENIZERS_PARALLELISM": "false",  # otherwise it warns in each worker process
}
_LOGGERS = ("transformers", "datasets", "huggingface_hub", "accelerate", "httpx")


class _OneLine(logging.Handler):
    """The warnings of this project as `warning: ...` on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        echo_aside(f"{record.levelname.lower()}: {printable(record.getMessage())}")


def quiet_libraries() -> None:
    """Call before transformers, datasets or tokenizers are imported. Variables that are set keep their values."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for logger in map(logging.getLogger, ("text_uda", "translation_cache")):
        if not any(isinstance(handler, _OneLine) for handler in logger.handlers):
            logger.addHandler(_OneLine())
    if not sys.warnoptions:  # python -W and PYTHONWARNINGS decide
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
