"""A hub that does not answer, and an object store without credentials, are one clear line within seconds."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from translation_cache import Cache
from translation_cache.credentials import missing_credentials
from translation_cache.errors import CacheError

SECONDS = 3.0  # for the answer; the command's own time is not counted


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, black_hole: str) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", black_hole)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{black_hole}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/cache", "gcloud auth application-default login"),
        ("gcs://bucket/cache", "gcloud auth application-default login"),
        ("s3://bucket/cache", "AWS_ACCESS_KEY_ID"),
    ],
)
@pytest.mark.usefixtures("no_credentials")
def test_a_store_without_credentials(uri: str, said: str) -> None:
    started = time.monotonic()
    with pytest.raises(CacheError, match=said) as error:
        Cache(uri)
    assert time.monotonic() - started < SECONDS
    assert str(error.value).startswith(f"cannot open {uri}: no ")


@pytest.mark.usefixtures("no_credentials")
def test_a_key_file_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")
    with pytest.raises(CacheError, match=r"names /no/such/key.json, which is not a file"):
        Cache("gs://bucket/cache")


@pytest.mark.usefixtures("no_credentials")
def test_a_public_bucket_needs_no_credentials() -> None:
    assert missing_credentials("gs://anonymous@bucket/cache") is None


_ASK = """
import time
from text_uda.errors import DataError, SettingsError
{imports}
started = time.monotonic()
try:
    {call}
except (DataError, SettingsError) as error:
    print(error)
print(time.monotonic() - started)
"""


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("from text_uda.model.pretrained import load_tokenizer", "load_tokenizer('google-bert/bert-base-uncased')"),
        ("from text_uda.data import load", "load('imdb')"),
        ("from text_uda.data import load; import datasets", "load('owner/name')"),
        ("from text_uda.augment import METHODS", "METHODS['mlm']()(['a good film'], [0])"),
        ("from text_uda.augment import BackTranslation", "BackTranslation(translator='marian:a/b,a/c').settings()"),
    ],
)
@pytest.mark.parametrize("answers", [False, True], ids=["silent", "refuses"])
def test_a_hub_that_does_not_answer(black_hole: str, tmp_path: Path, imports: str, call: str, answers: bool) -> None:
    """One warning says which hub; the error says what is missing. Before: 50 seconds, or many minutes."""
    if answers:  # nothing listens there: the connection is refused
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            black_hole = f"127.0.0.1:{closed.getsockname()[1]}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {"HF_ENDPOINT": f"http://{black_hole}", "HF_HOME": str(tmp_path), "HF_HUB_ETAG_TIMEOUT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _ASK.format(imports=imports, call=call)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    message, seconds = done.stdout.splitlines()
    assert done.stderr.count(f"the hub http://{black_hole} does not answer") == 1, done.stderr
    assert message.startswith("cannot ")
    assert float(seconds) < 10
