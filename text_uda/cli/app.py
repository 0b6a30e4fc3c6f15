"""The command `text-uda`: its verbs, and the place where a failure becomes a line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from text_uda.cli.failures import Invocation, explain, signals_interrupt
from text_uda.cli.grouped_help import LazyVerbs
from text_uda.cli.quiet_libraries import quiet_libraries

VERBS = {
    "demo": "Run every step on real text, on a CPU, in minutes.",
    "data": "List the data sets known by name, or describe one.",
    "paraphrase": "Fill a cache with paraphrases of the training texts.",
    "cache": "Look at, check and reshape a folder of paraphrases.",
    "pretrain": "Continue an encoder's pretraining on the texts of DATA.",
    "train": "Train a classifier from few labels and unlabeled texts.",
    "evaluate": "Measure the error of a trained run on a data set.",
    "predict": "Classify the rows of a file, or standard input.",
    "pseudo-label": "Write the unlabeled rows that a run labels with confidence.",
    "push": "Upload the model of a run to a hub.",
    "ablate": "Run a study: many runs over methods and seeds, a table, a page.",
    "report": "Write one page that compares runs.",
}


class Application(LazyVerbs):
    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:
        """Run one verb and exit; a failure is one line on standard error."""
        with signals_interrupt():
            self._run(args, extra)

    def _run(self, args: Sequence[str] | None, extra: dict[str, Any]) -> NoReturn:
        quiet_libraries()
        invocation = Invocation(debug=bool(os.environ.get("TEXT_UDA_DEBUG")))
        extra |= {"standalone_mode": False, "prog_name": "text-uda"}
        try:
            code = super().main(args, **extra, obj=invocation) or 0
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = 2
        except (Exception, KeyboardInterrupt) as error:
            from translation_cache.credentials import without_secrets

            line, code = explain(error)
            if invocation.debug and not isinstance(error, click.ClickException):
                click.echo(without_secrets(traceback.format_exc()), err=True)
            with suppress(OSError):  # the terminal is closed
                click.echo(without_secrets(line), err=True)
            _drop_unwritable_output()
        sys.exit(code)


def _drop_unwritable_output() -> None:
    """If standard output cannot be written (a full disk, a closed pipe), do not try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(
    cls=Application,
    name="text-uda",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="text-uda")
def main() -> None:
    """Train text classifiers from a few labels and many unlabeled texts.

    \b
    text-uda demo                            every step on real text, on a CPU, in minutes
    text-uda paraphrase movie-snippets --method synonym --cache paraphrases
    text-uda train movie-snippets --labels 60 --augment synonym --cache paraphrases --out run
    text-uda report run --out report.html

    Each verb has its own --help with an example. Exit codes: 0 done, 1 failed, 2 wrong usage or input,
    130 interrupted (Ctrl-C, SIGTERM, SIGHUP, a time limit): the line says what is kept.
    """
