"""Whether the credentials of an object store are there: a store that is asked without them retries for minutes."""

import os
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

_METADATA_TIMEOUT_S = 2.0  # a machine of a cloud answers at once


def missing_credentials(uri: str) -> str | None:
    """What to do if no credentials are found for the store, else None. It takes a few seconds at most."""
    check = _CHECKS.get(uri.partition("://")[0])
    return None if check is None else check(uri)


def _missing_google(uri: str) -> str | None:
    if "://anonymous@" in uri or "endpoint_override=" in uri:
        return None
    if "GOOGLE_APPLICATION_CREDENTIALS" in os.environ:
        path = Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"])
        return (
            None if path.is_file() else f"GOOGLE_APPLICATION_CREDENTIALS names {path}, which is not a file: correct it"
        )
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    if (folder / "application_default_credentials.json").is_file():
        return None
    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    if _answers(Request(f"http://{host}", headers={"Metadata-Flavor": "Google"})):
        return None
    return (
        "no Google credentials: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to "
        "the JSON file of a service account; a public bucket is gs://anonymous@bucket/folder"
    )


def _missing_amazon(uri: str) -> str | None:
    variables = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    if _any_set((*variables, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")):
        return None
    files = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    if any(Path(os.environ.get(name) or Path.home() / ".aws" / file).is_file() for name, file in files.items()):
        return None
    server = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    session = Request(
        f"{server}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true" and _answers(session):
        return None
    return "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`"


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "gs": _missing_google,
    "gcs": _missing_google,
    "s3": _missing_amazon,
}


def _any_set(names: Iterable[str]) -> bool:
    return any(os.environ.get(name) for name in names)


def _answers(request: Request) -> bool:
    """Whether this machine of a cloud has its metadata server, which hands out credentials."""
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_METADATA_TIMEOUT_S):  # it is never behind a proxy
            return True
    except (OSError, ValueError, HTTPException):
        return False
