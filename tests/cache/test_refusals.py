"""What the disk refuses: one clear line, nothing lost, and a later run completes."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from contents import content
from jobs import Upper

from translation_cache import Cache, CacheError, Job, Paraphrase, fill, join, stats, verify

TEXTS = [f"text {number}" for number in range(50)]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to become somebody else")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@needs_root
def test_a_disk_that_may_only_be_read(disk: Path):
    cache = Cache(disk / "cache")
    fill(cache, Upper(), TEXTS[:20])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(CacheError, match="Read-only file system; get write permission, or name another folder"):
        fill(cache, Upper(), TEXTS)
    assert stats(cache)["rows"] == 20 and verify(cache)["damaged"] == [], "it can still be read"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert fill(cache, Upper(), TEXTS).computed == 30


def fill_as_nobody(location: str, other: str, answer: Connection) -> None:
    fill(Cache(other), Upper(), TEXTS)  # imports all that it needs, as long as it may
    os.setuid(65534)
    try:
        fill(Cache(location), Upper(), TEXTS)
        answer.send("it could")
    except CacheError as error:
        answer.send(str(error))


@needs_root
@pytest.mark.parametrize("secret", [False, True], ids=["not to be written", "not to be read"])
def test_a_folder_of_somebody_else(disk: Path, tmp_path: Path, secret: bool):
    cache = Cache(disk / "cache")
    fill(cache, Upper(), TEXTS[:20])
    before = content(cache)
    for folder in (tmp_path, *tmp_path.parents[:3], disk):
        os.chmod(folder, 0o755)
    os.chmod(disk / "cache", 0o700 if secret else 0o755)
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=fill_as_nobody, args=(str(cache), str(tmp_path / "other"), theirs))
    process.start()
    theirs.close()  # so that a process that dies without an answer is an end of file, and no wait for ever
    line = ours.recv()
    process.join(30)
    assert line.startswith(f"cannot {'read' if secret else 'write'} {cache}") and "Permission denied" in line
    assert "\n" not in line and content(cache) == before


def test_no_space_for_what_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = Cache(tmp_path / "cache")
    fill(cache, Upper(), TEXTS)

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.ipc.new_file", full)
        with pytest.raises(CacheError, match="No space left on device; set TMPDIR to a folder that has space"):
            join(cache, Upper().settings(), TEXTS, folder=tmp_path)
    assert not list(tmp_path.glob("translation-cache-*"))
    assert join(cache, Upper().settings(), TEXTS, folder=tmp_path)["status"].null_count == 0
    assert not list(tmp_path.glob("translation-cache-*"))


def test_a_member_of_a_job_can_be_a_field_without_a_default():
    @dataclass(frozen=True)
    class Sized(Job):
        batch_size: int

        def settings(self):
            return {"method": "sized"}

        def __call__(self, sources, samples):
            return [Paraphrase(source[::-1]) for source in sources]

    assert Sized(batch_size=7).batch_size == 7 and Sized(7).max_samples is None
