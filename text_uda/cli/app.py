"""The command `text-uda`: its verbs, and the one place where a failure becomes a line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from text_uda.cli.ablating import ablate
from text_uda.cli.caching import cache
from text_uda.cli.failures import explain
from text_uda.cli.preparing import data, paraphrase
from text_uda.cli.pretraining import pretrain
from text_uda.cli.quiet import quiet_libraries
from text_uda.cli.reporting import demo, report
from text_uda.cli.shared_options import Invocation
from text_uda.cli.training import train
from text_uda.cli.using import evaluate, predict
from text_uda.cli.verbs import Verbs


class Application(Verbs):
    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:
        """Run one verb and leave the process; each failure is one line on standard error."""
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
            line, code = explain(error)
            if invocation.debug and not isinstance(error, click.ClickException):
                traceback.print_exc()
            click.echo(line, err=True)
            _drop_unwritable_output()
        sys.exit(code)


def _drop_unwritable_output() -> None:
    """Where standard output takes no more (a full disk, a reader that left), do not try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(
    cls=Application,
    name="text-uda",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="text-uda")
def main() -> None:
    """Train text classifiers from a few labels and many unlabeled texts.

    \b
    text-uda demo                            the whole way on real text, on a CPU, in minutes
    text-uda paraphrase movie-snippets --method synonym --cache paraphrases
    text-uda train movie-snippets --labels 60 --augment synonym --cache paraphrases --out run
    text-uda report run --out report.html

    Each verb has its own --help with an example. Exit codes: 0 done, 1 failed, 2 something for you to mend,
    130 interrupted.
    """


for verb in (demo, data, paraphrase, cache, pretrain, train, evaluate, predict, ablate, report):
    main.add_command(verb)
