"""Credentials of an object store: are they there, and how an address is shown without them.

A store that is asked without credentials retries for minutes.
"""

import base64
import os
import re
import shutil
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

_METADATA_TIMEOUT_S = 2.0  # a machine of a cloud answers at once

HIDDEN = "***"
"""What stands for a secret."""

_SECRETS = (
    # scheme://user:secret@host; a secret can hold slashes, and a number before a slash is a port
    (
        re.compile(
            r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@:'\"]*:(?!\d+[/?#])[^\s@'\"]*(?:@[^\s/?#@'\"]*)*@", re.IGNORECASE
        ),
        rf"\1{HIDDEN}@",
    ),
    (re.compile(r"(\bhttps?://)[^\s/@:'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),  # a token without a user
    (  # in the query of an address, or in a connection string
        re.compile(
            r"((?:[?&;][\w-]*(?:token|secret|password|passwd|signature|credential|key|sig|pwd|auth)"
            r"|\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|HF_TOKEN|AWS_SECRET_ACCESS_KEY))=)"
            r"(?:(?!:\s)[^&;\s'\"])+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(hf_)[A-Za-z0-9]{30,}"), rf"\1{HIDDEN}"),  # no name of a folder is as long
    (  # in a header: the whole value, to its closing quote or the end of the line; of it only a known scheme is shown
        re.compile(
            r"(\b(?:proxy-)?authorization\\*['\"]?[ \t]*[:=][ \t]*(?:b?(\\*['\"]))?"
            r"(?:(?:Basic|Bearer|Digest|Negotiate|Token|AWS4-HMAC-SHA256|SharedKey) +)?)(?(2)(?:(?!\2)\\?.)*|.+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
_WITHOUT_HEADER = re.compile(r"\b((Bearer|Basic) +)([A-Za-z0-9+/=._~-]+)", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """A message or an address with passwords, keys, tokens and signatures replaced by `HIDDEN`."""
    if not any(sign in text for sign in ("://", "=", "hf_", "earer ", "asic ", "uthorization", "UTHORIZATION")):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _WITHOUT_HEADER.sub(_without_credentials, text)


def _without_credentials(match: re.Match[str]) -> str:
    start, scheme, word = match.groups()
    hidden = _is_token(word) if scheme.lower() == "bearer" else _is_basic(word)
    return start + HIDDEN if hidden else match[0]


def _is_token(word: str) -> bool:
    """Whether a word after "Bearer" is no ordinary one, as in "Bearer of news"."""
    mixed_case = word not in (word.lower(), word.upper(), word.capitalize(), word.title())
    return mixed_case or len(word) >= 20 or any(letter.isdigit() for letter in word)


def _is_basic(word: str) -> bool:
    """Whether a word after "Basic" is the base64 of `user:password`, or cut off and like no word."""
    if len(word) >= 16 and re.search(r"[0-9=]", word):
        return True
    word = word.rstrip("=.")
    try:
        decoded = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_" if re.search("[-_]", word) else None)
    except ValueError:
        return False
    return b":" in decoded and all(byte >= 32 for byte in decoded)


def misplaced_secret(uri: str) -> str | None:
    """What to do about an address that cannot be opened because of its secret, else None."""
    if HIDDEN in uri:
        return f"its secret is hidden ({HIDDEN}), as messages and configurations show it; give the address anew"
    if uri.startswith("s3://") and ("@" in urlsplit(uri).netloc or _SECRETS[0][0].match(uri)):
        return (
            "the address of an S3 store takes no keys, which others could read in it; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    return None


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


def _missing_azure(uri: str) -> str | None:
    parts, options = urlsplit(uri), parse_qs(urlsplit(uri).query)
    if ":" in parts.netloc.rpartition("@")[0] or options.keys() & {"sig", "credential_kind", "client_secret"}:
        return None
    if _any_set(("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE")):
        return None
    folder = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    if shutil.which("az") is not None and (folder / "azureProfile.json").is_file():
        return None
    if _any_set(("IDENTITY_ENDPOINT", "MSI_ENDPOINT")):  # of a service of Azure
        return None
    server = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or "http://169.254.169.254"
    if _answers(Request(f"{server}/metadata/instance?api-version=2021-02-01", headers={"Metadata": "true"})):
        return None
    return (
        "no Azure credentials: run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; "
        "a public container is abfs://container@account.dfs.core.windows.net/folder?credential_kind=anonymous"
    )


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "gs": _missing_google,
    "gcs": _missing_google,
    "s3": _missing_amazon,
    "abfs": _missing_azure,
    "abfss": _missing_azure,
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
