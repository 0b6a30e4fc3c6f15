"""Uploads the model of a finished run to a hub, in one commit: the folder is there as a whole, or not at all."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_session, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from text_uda.errors import SettingsError, UserError
from text_uda.runs.directory import REFIT, RunDirectory
from translation_cache.credentials import without_secrets

CONNECT_TIMEOUT_S = 5.0
FIRST_ANSWER_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 120.0  # between two bytes, not of the whole upload

_CODES = {
    401: "the token is not valid, or the repository is private and of somebody else: `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there: use a token with the right to write, and a namespace of yours",
    404: "there is no such repository, user or organization",
}


class PublishError(UserError):
    """The hub did not take the model; the message says why."""


def model_folder(run: str | Path) -> Path:
    """The model for use of a finished run: that of its refit, where there is one.

    Raises:
        SettingsError: the run or its refit is not finished, its model is damaged, or there is no run.
    """
    directory = RunDirectory(Path(run))
    refit = RunDirectory(directory.path / REFIT)
    for one in (directory, *([refit] if refit.path.exists() else [])):
        one.check_finished()
        directory = one
    directory.check_model()
    return directory.model


def push(run: str | Path, repository: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload the model of a run, without checkpoints and metrics, and return the URL of its page.

    The hub is that of HF_ENDPOINT, the token that of HF_TOKEN or `hf auth login`. The repository is made if there is
    none. Pushing again makes a new commit, or none if no file has changed.

    Args:
        repository: USER/NAME, or NAME in the namespace of the user.
        private: whether a new repository is private; an existing one stays as it is.
        revision: a branch, made if there is none; None for the main one.
    Raises:
        SettingsError: the run is not finished, or the name of the repository is not valid.
        PublishError: no token, no connection within seconds, or the hub refuses.
    """
    folder, api = model_folder(run), HfApi()
    if get_token() is None:
        raise PublishError("no token of a hub: run `hf auth login`, or set HF_TOKEN")
    session = get_session()  # which waits for ever by default
    timeout = type(session.timeout)
    session.timeout = timeout(FIRST_ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    files = [
        CommitOperationAdd(path.relative_to(folder).as_posix(), path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    try:
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        session.timeout = timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        api.create_commit(name, files, commit_message="Upload a model of text-uda", revision=revision)
    except HFValidationError as error:
        raise SettingsError(f"{repository!r} cannot name a repository ({_line(error)}); use USER/NAME") from error
    except OfflineModeIsEnabled as error:
        raise PublishError("HF_HUB_OFFLINE is set, so no hub is asked: unset it to push") from error
    except Exception as error:  # of the HTTP library, whose classes are not those of the hub
        raise PublishError(_reason(error, repository, api.endpoint, revision)) from error
    return f"{without_secrets(api.endpoint)}/{name}" + ("" if revision is None else f"/tree/{revision}")


def _reason(error: BaseException, repository: str, endpoint: str, revision: str | None) -> str:
    cause: BaseException | None = error
    while cause is not None:  # an upload in a thread wraps the answer of the hub
        if isinstance(cause, HfHubHTTPError):
            code = cause.response.status_code
            if isinstance(cause, RevisionNotFoundError):
                return f"{endpoint} has no branch {revision!r} of {repository!r}"
            if isinstance(cause, RepositoryNotFoundError) and code != 401:
                code = 404
            words = _CODES.get(code, _line(cause))
            return f"{endpoint} does not take {repository!r} ({code}): {words}"
        cause = cause.__cause__ or cause.__context__
    return f"{endpoint} does not answer ({type(error).__name__}: {_line(error)}); look at the network and HF_ENDPOINT"


def _line(error: BaseException) -> str:
    """The first line of a message of the hub, which holds no token."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
