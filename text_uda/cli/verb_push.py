"""`push`: the model of a run to a hub."""

from pathlib import Path

import click

from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json, printable
from text_uda.cli.shared_options import ends, run_argument


@verb()
@run_argument
@click.argument("repository", metavar="REPO")
@option("--private", is_flag=True, help="Make the repository private, if it is new.")
@option("--revision", metavar="BRANCH", help="Branch to write to; made if there is none.", default_words="main")
@ends
def push(run: Path, repository: str, private: bool, revision: str | None, as_json: bool) -> None:
    """Upload the model of RUN with its model card to REPO on the Hugging Face hub: the refit's, where there is one.

    The token is that of `hf auth login` or HF_TOKEN; HF_ENDPOINT names another hub. Metrics and checkpoints stay here.

    \b
    Example:
      text-uda push run ada/tickets --private
      text-uda push run ada/tickets --revision proportional
    """
    from text_uda.runs.publish import push as publish

    url = publish(run, repository, private=private, revision=revision)
    if as_json:
        emit_json({"run": str(run), "url": url})
    else:
        click.echo(f"the model is at {printable(url)}")
