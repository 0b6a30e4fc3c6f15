"""The cache on an S3 store of this machine: the same promises, also when the connection breaks in the middle."""

import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
from contents import content
from jobs import Upper

from translation_cache import (
    Cache,
    CacheError,
    compact,
    digest,
    fill,
    fingerprint,
    lookup,
    merge,
    missing,
    stats,
    storage,
    verify,
)
from translation_cache.atomic import PREFIX

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")]

TEXTS = [f"text {number}" for number in range(60)]
SETTINGS = Upper().settings()
MARK = fingerprint(SETTINGS)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """host:port of an empty S3 store with a bucket `bucket`."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")).close()
        try:
            yield f"{host}:{port}"
        finally:
            server.stop()


_numbers = iter(range(1000))


@pytest.fixture
def location(store: str) -> str:
    return uri(store, f"folder-{next(_numbers)}/cache")


def uri(host: str, folder: str) -> str:
    return f"s3://bucket/{folder}?endpoint_override={host}&scheme=http&region=us-east-1"


def write(location: str, start: int) -> None:
    fill(Cache(location), Upper(), TEXTS[start : start + 40], batch_size=5, commit_every_s=0)


def test_the_whole_way(location: str, tmp_path: Path):
    cache = Cache(location)
    assert missing(cache, SETTINGS, TEXTS).requested == 60 and cache.fingerprints() == []
    fill(cache, Upper(), TEXTS[:40], batch_size=5, commit_every_s=0)
    assert (fill(cache, Upper(), TEXTS).present, len(cache.shards(MARK))) == (40, 9)
    local = Cache(tmp_path / "cache")
    fill(local, Upper(), TEXTS)
    assert content(Cache(location)) == content(local) and digest(cache, SETTINGS) == digest(local, SETTINGS)
    assert lookup(cache, SETTINGS, TEXTS) == lookup(local, SETTINGS, TEXTS)
    compact(cache)
    assert len(cache.shards(MARK)) == 1 and content(cache) == content(local) and verify(cache)["damaged"] == []
    assert stats(cache)["rows"] == 60 and Cache(location).settings() == {MARK: SETTINGS}
    back = Cache(tmp_path / "back")
    merge(back, cache)
    assert content(back) == content(local)


def test_writers_that_overlap(location: str, tmp_path: Path):
    context = get_context("spawn")
    writers = [context.Process(target=write, args=(location, start)) for start in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    local = Cache(tmp_path / "cache")
    fill(local, Upper(), TEXTS)
    assert content(Cache(location)) == content(local)


def test_damage_is_set_aside(location: str):
    cache = Cache(location)
    fill(cache, Upper(), TEXTS, batch_size=30, commit_every_s=0)
    before = content(cache)
    name = cache.shards(MARK)[0].name
    files = storage.open_storage(location)
    files.write(f"{MARK}/{name}", files.read(f"{MARK}/{name}")[:-5])
    cache = Cache(location)
    assert [entry["file"] for entry in verify(cache)["damaged"]] == [cache.at(f"{MARK}/{name}")]
    assert fill(cache, Upper(), TEXTS).computed == 30 and content(cache) == before
    assert stats(cache)["set_aside"] == [f"{MARK}/{name}"] and verify(cache)["damaged"] == []


class Cut:
    """A way to the store whose connections break after so many bytes; None lets all through."""

    def __init__(self, store: str, after_bytes: int | None) -> None:
        self._target = (store.partition(":")[0], int(store.partition(":")[2]))
        self.after_bytes = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(self._target)
            for one, other, limit in ((here, there, self.after_bytes), (there, here, None)):
                threading.Thread(target=self._pump, args=(one, other, limit), daemon=True).start()

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket, limit: int | None) -> None:
        try:
            while data := one.recv(1 << 16 if limit is None else min(1 << 16, limit) or 1):
                other.sendall(data if limit is None else data[:limit])
                if limit is not None:
                    limit -= len(data)
                    if limit <= 0:
                        break
        except OSError:
            pass
        for each in (one, other):
            try:
                each.shutdown(socket.SHUT_RDWR)
                each.close()
            except OSError:
                pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_TIMEOUT_S", 2)
    monkeypatch.setattr(storage, "_ATTEMPTS", 2)


@pytest.mark.parametrize("after_bytes", [3000, 20_000, 150_000])
def test_a_connection_lost_in_the_middle_of_a_put(store: str, tmp_path: Path, impatient: None, after_bytes: int):
    """Texts that do not compress: a shard is some 200 kB, and the put breaks in its head or in its body."""
    import random

    texts = [f"{number} {random.Random(number).randbytes(2000).hex()}" for number in range(60)]
    way, folder = Cut(store, None), f"cut-{after_bytes}"
    try:
        fill(Cache(uri(way.host, folder)), Upper(), texts[:10])
        way.after_bytes = after_bytes
        with pytest.raises(CacheError, match="rerun the command: completed writes are kept") as caught:
            fill(Cache(uri(way.host, folder)), Upper(), texts)
        assert "\n" not in str(caught.value)
        straight = Cache(uri(store, folder))
        assert verify(straight)["damaged"] == [] and stats(straight)["rows"] == 10
        way.after_bytes = None
        report = fill(Cache(uri(way.host, folder)), Upper(), texts)
        assert (report.present, report.computed) == (10, 50)
    finally:
        way.close()
    whole = Cache(tmp_path / "cache")
    fill(whole, Upper(), texts)
    assert content(Cache(uri(store, folder))) == content(whole)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (lambda store: uri("127.0.0.1:9", "x"), "cannot read s3://"),
        (lambda store: uri(store, "x").replace("bucket", "nobucket"), "cannot (read|write) s3://nobucket"),
        (lambda store: "s3://bucket/x?color=red", "unknown option color"),
        (lambda store: "s3:///x", "the bucket is missing"),
        (lambda store: "gopher://x/y", "cannot open gopher://x/y"),
    ],
)
def test_a_store_that_cannot_be_had(store: str, impatient: None, where: Callable[[str], str], words: str):
    with pytest.raises(CacheError, match=words) as caught:
        fill(Cache(where(store)), Upper(), TEXTS[:3])
    assert "\n" not in str(caught.value)


def test_compaction_beside_readers(location: str):
    cache, wrong, stop = Cache(location), [], threading.Event()
    fill(cache, Upper(), TEXTS, batch_size=5, commit_every_s=0)
    before = content(cache)

    def read() -> None:
        try:
            while not stop.is_set():
                if content(Cache(location)) != before:
                    wrong.append("rows")
        except Exception as error:
            wrong.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(4):
        cache.add(SETTINGS, list(zip(TEXTS[:9], [0] * 9, Upper()(TEXTS[:9], [0] * 9), strict=True))[number:])
        compact(cache)
    stop.set()
    reader.join(60)
    assert not wrong and content(cache) == before and len(cache.shards(MARK)) == 1


def test_a_store_that_fsspec_opens_is_never_written_in_place(tmp_path: Path):
    location = f"fsspec+file://{tmp_path}/cache"
    cache = Cache(location)
    fill(cache, Upper(), TEXTS, batch_size=30, commit_every_s=0)
    before = content(cache)
    compact(cache)
    assert content(cache) == before and content(Cache(tmp_path / "cache")) == before
    shard = next((tmp_path / "cache" / MARK).glob("*.parquet"))
    inode = shard.stat().st_ino
    storage.open_storage(location).write(f"{MARK}/{shard.name}", shard.read_bytes())
    assert shard.stat().st_ino != inode, "it was written aside, and took the place of the old one"
    assert content(cache) == before and not list(shard.parent.glob(f"{PREFIX}*"))
