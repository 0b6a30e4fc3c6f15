"""`demo`: every step on real text."""

from pathlib import Path

from text_uda.cli.failures import keeps
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json
from text_uda.cli.parameter_types import FOLDER
from text_uda.cli.shared_options import ends


@verb()
@option(
    "--out",
    type=FOLDER,
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Folder of the demonstration.",
)
@ends
def demo(out: Path, as_json: bool) -> None:
    """Run every step on real text, on a CPU, in minutes: paraphrase, train in five ways, compare, report.

    \b
    Example:
      text-uda demo
    """
    from text_uda.experiment.demo import run_demo

    with keeps(f"finished steps are kept in {out}; rerun the same command to resume"):
        record = run_demo(out)
    if as_json:
        emit_json(record if isinstance(record, dict) else {"out": str(out)})
