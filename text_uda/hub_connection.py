"""Which names are asked for on the hub, and whether it answers.

A name that is meant as a path is never asked for: `is_local` is the only place that decides this. The hub is asked once
for each process whether it answers, so that a dead network is an error within seconds: its libraries ask again and
again, so one missing file takes 50 seconds or, if the network drops packets, many minutes.
"""

import functools
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from text_uda.errors import listed, reason_of

TIMEOUT_S = 5.0
NOT_DOWNLOADED = "the hub is not available, and the files were not downloaded earlier"
_PATH = re.compile(r"[/.~]|.*\\|.*/.*/|.*/$|[A-Za-z]:", re.DOTALL)  # matched at the start of a name
_log = logging.getLogger(__name__)


def is_local(name: str | os.PathLike[str]) -> bool:
    """Whether a name means a file or a folder of this machine, present or missing, so that no hub is asked for it.

    It exists, or has the form of a path (`/x`, `./x`, `~/x`, `x/`, `x/y/z`, with a backslash or a drive), or is `x/y`
    where a folder `x` exists.
    """
    text = os.fspath(name)
    return _PATH.match(text) is not None or os.path.exists(text) or os.path.isdir(os.path.dirname(text))


def why_local(name: str) -> str:
    """What to add to the message about a missing local name, where it could be a hub id too."""
    return "" if _PATH.match(name) else f", and as the folder {os.path.dirname(name)} is here, the hub is not asked"


def loading_options(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The options of each `from_pretrained`; sets DISABLE_SAFETENSORS_CONVERSION, in the whole process, if it is unset.

    No code of others runs, and nothing is fetched for a local folder. The variable keeps transformers from having the
    hub convert a `pytorch_model.bin`, which it asks for in a thread that goes on.

    Raises:
        ValueError: an index in the folder names files elsewhere, which no digest of the folder covers.
    """
    _check_indices(Path(name))
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # there is no other switch
    return {"trust_remote_code": False, "local_files_only": is_local(name)}


def _check_indices(folder: Path) -> None:
    for index in folder.glob("*.index.json") if folder.is_dir() else ():
        try:
            files = {str(file) for file in json.loads(index.read_bytes())["weight_map"].values()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # transformers says what is wrong, if it needs it
        if outside := sorted(file for file in files if re.search(r"[/\\]", file)):
            raise ValueError(f"{index.name} names {listed(outside, most=2)}: its files have to be in the folder itself")


def missing_folder(name: str | os.PathLike[str]) -> str | None:
    """What is wrong with a local name that is no folder; None for a folder and for a hub id."""
    text = os.fspath(name)
    if not is_local(text) or os.path.isdir(text):
        return None
    if os.path.exists(text):
        return f"{text} is a file, not a folder"
    return f"there is no folder {text}" + why_local(text)


def hub_may_answer(name: str | os.PathLike[str]) -> bool:
    """Whether a hub id can be looked up; True for a path, which needs no hub.

    If the hub does not answer within TIMEOUT_S (or HF_HUB_ETAG_TIMEOUT, if it is set), the process goes offline, so
    that files downloaded earlier are used at once and others are errors, and a warning says so.
    """
    return is_local(name) or not is_hub_id(os.fspath(name)) or _reachable()


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id; a relative path with one separator has it too."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


@functools.cache
def _reachable() -> bool:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.is_offline_mode():
        return False
    given = os.environ.get("HF_HUB_ETAG_TIMEOUT")
    timeout = float(given) if given else TIMEOUT_S
    try:
        get_session().head(constants.ENDPOINT, timeout=timeout)
    except Exception as error:  # the client of the hub has its own kinds of exceptions
        reason = reason_of(error)
        from translation_cache.credentials import without_secrets

        _log.warning(
            "the hub %s does not answer (%s; asked for %g s, HF_HUB_ETAG_TIMEOUT sets another time): only files that "
            "were downloaded earlier can be used",
            *(without_secrets(constants.ENDPOINT), without_secrets(reason), timeout),
        )
        constants.HF_HUB_OFFLINE = True  # read at each request, by transformers too
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are imported later, and for worker processes
        return False
    return True
