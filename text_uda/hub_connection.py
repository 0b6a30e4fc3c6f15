"""Whether the hub answers: asked once for each process, so that a dead network is an error within seconds.

The libraries of the hub ask again and again: without this, one missing file takes 50 seconds or, if the network drops
packets, many minutes.
"""

import functools
import logging
import os
from pathlib import Path

TIMEOUT_S = 5.0
NOT_DOWNLOADED = "the hub is not available, and the files were not downloaded earlier"
_log = logging.getLogger(__name__)


def hub_may_answer(name: str | os.PathLike[str]) -> bool:
    """Whether a hub id can be looked up; True for a path, which needs no hub.

    If the hub does not answer within TIMEOUT_S (or HF_HUB_ETAG_TIMEOUT, if it is set), the process goes offline, so
    that files downloaded earlier are used at once and others are errors, and a warning says so.
    """
    return Path(name).exists() or not is_hub_id(os.fspath(name)) or _reachable()


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
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _log.warning(
            "the hub %s does not answer (%s; asked for %g s, HF_HUB_ETAG_TIMEOUT sets another time): only files that "
            "were downloaded earlier can be used",
            *(constants.ENDPOINT, reason, timeout),
        )
        constants.HF_HUB_OFFLINE = True  # read at each request, by transformers too
        os.environ["HF_HUB_OFFLINE"] = "1"  # for libraries that are imported later, and for worker processes
        return False
    return True
