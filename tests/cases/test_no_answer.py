"""A hub that does not answer, and an object store without credentials, are one clear line, after one question."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from translation_cache import Cache
from translation_cache.credentials import missing_credentials
from translation_cache.errors import CacheError


class BlackHole:
    """An address that takes connections, counts them, and never answers."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self.connections.append(self._server.accept()[0])

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    hole = BlackHole()
    yield hole
    hole.close()


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, black_hole: BlackHole) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", black_hole.address)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{black_hole.address}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/cache", "gcloud auth application-default login"),
        ("gcs://bucket/cache", "gcloud auth application-default login"),
        ("s3://bucket/cache", "AWS_ACCESS_KEY_ID"),
    ],
)
@pytest.mark.usefixtures("no_credentials")
def test_a_store_without_credentials(uri: str, said: str, black_hole: BlackHole) -> None:
    with pytest.raises(CacheError, match=said) as error:
        Cache(uri)
    assert len(black_hole.connections) <= 1
    assert str(error.value).startswith(f"cannot open {uri}: no ")


@pytest.mark.usefixtures("no_credentials")
def test_a_key_file_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")
    with pytest.raises(CacheError, match=r"names /no/such/key.json, which is not a file"):
        Cache("gs://bucket/cache")


@pytest.mark.usefixtures("no_credentials")
def test_a_public_bucket_needs_no_credentials() -> None:
    assert missing_credentials("gs://anonymous@bucket/cache") is None


_QUESTIONS = [
    ("from text_uda.model.pretrained import load_tokenizer", "load_tokenizer('google-bert/bert-base-uncased')"),
    ("from text_uda.data import load", "load('imdb')"),
    ("from text_uda.data import load; import datasets", "load('owner/name')"),
    ("from text_uda.augment import METHODS", "METHODS['mlm']()(['a good film'], [0])"),
    ("from text_uda.augment import BackTranslation", "BackTranslation(translator='marian:a/b,a/c').settings()"),
]

_ASK = """
import os, sys, transformers
import text_uda.model.pretrained, text_uda.augment, text_uda.data
from text_uda.errors import DataError, SettingsError
for number, (imports, call) in enumerate({questions!r}):
    if os.fork():  # each question in a process of its own: a process asks the hub once
        assert os.wait()[1] == 0
        continue
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{{number}}.{{name}}", os.O_WRONLY | os.O_CREAT), stream)
    exec(imports)
    try:
        eval(call)
    except (DataError, SettingsError) as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.parametrize("answers", [False, True], ids=["silent", "refuses"])
def test_a_hub_that_does_not_answer(black_hole: BlackHole, tmp_path: Path, answers: bool) -> None:
    """The hub is asked once: the libraries ask many times, each with a timeout of its own."""
    if answers:  # nothing listens there any more: the connection is refused
        black_hole.close()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {"HF_ENDPOINT": f"http://{black_hole.address}", "HF_HOME": str(tmp_path), "HF_HUB_ETAG_TIMEOUT": "1"}
    command = [sys.executable, "-c", _ASK.format(questions=_QUESTIONS, folder=tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    for number, (_, call) in enumerate(_QUESTIONS):
        out, errors = ((tmp_path / f"{number}.{name}").read_text() for name in ("out", "err"))
        assert errors.count(f"the hub http://{black_hole.address} does not answer") == 1, (call, errors)
        assert out.startswith("cannot ") and out.count("\n") == 1, (call, out)
    assert len(black_hole.connections) == (0 if answers else len(_QUESTIONS))
