"""Token ids in a file: those of memory, made once, whole or absent, never taken from a file of something else."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from text_uda.model.token_ids import in_memory, in_temporary_file, load_or_create, read, type_for
from translation_cache.atomic import PREFIX

BLOCKS = [[[1, 2, 3], []], [[4], [65535, 0]], [[7] * 9]]
ROWS = 5


def rows_of(ids) -> list[list[int]]:
    return [ids[row].tolist() for row in range(len(ids))]


def make(folder: Path, dtype: np.dtype | None = None):
    dtype = dtype or type_for(1 << 16)
    return load_or_create(folder, "key", lambda: BLOCKS, dtype, rows=ROWS)


@pytest.mark.parametrize(("vocabulary", "bytes_each"), [(1 << 16, 2), ((1 << 16) + 1, 4)])
def test_everywhere_the_same_rows(tmp_path: Path, vocabulary: int, bytes_each: int):
    dtype = type_for(vocabulary)
    assert dtype.itemsize == bytes_each and np.iinfo(dtype).max >= vocabulary - 1
    expected = [row for block in BLOCKS for row in block]
    for ids in (
        in_temporary_file(BLOCKS, dtype, rows=ROWS),
        make(tmp_path, dtype=dtype),
        load_or_create(tmp_path, "key", never, dtype, rows=ROWS),
    ):
        assert rows_of(ids) == expected and ids.ids.dtype == dtype and ids.offsets.dtype == np.int64
    assert rows_of(in_memory(BLOCKS)) == expected and rows_of(in_memory([])) == []


def never():
    raise AssertionError("it was there")


def test_the_file_is_one_of_safetensors(tmp_path: Path):
    ids = make(tmp_path)
    tensors = load_file(tmp_path / "key.safetensors")
    assert tensors["ids"].tolist() == ids.ids.tolist() and tensors["offsets"].tolist() == ids.offsets.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "key.safetensors"]


def flip(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize(
    "change",
    [
        flip,
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:500],
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content[:1024] + bytes(len(content) - 1024),
        lambda content: b"PAR1" * 1000,
        lambda content: content[:8] + b"[1]".ljust(1016) + content[1024:],
        lambda content: content.replace(b'"key": "key"', b'"key": "yek"'),
    ],
)
def test_a_damaged_or_foreign_file_is_made_again(tmp_path: Path, change, caplog):
    make(tmp_path)
    path = tmp_path / "key.safetensors"
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    assert read(path, "key", rows=ROWS) is None
    assert rows_of(make(tmp_path)) == [row for block in BLOCKS for row in block] and path.read_bytes() == whole
    assert ("is damaged" in caplog.text) == (b'"yek"' not in change(whole))


def test_rows_that_are_not_as_many_are_not_taken(tmp_path: Path):
    make(tmp_path)
    assert read(tmp_path / "key.safetensors", "key", rows=ROWS + 1) is None
    assert read(tmp_path / "key.safetensors", "key", rows=ROWS) is not None


def test_an_error_while_it_is_made_leaves_nothing(tmp_path: Path):
    def blocks():
        yield BLOCKS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_create(tmp_path, "key", blocks, type_for(9), rows=ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_kill_while_it_is_made_leaves_nothing_whole(tmp_path: Path):
    code = f"""
import os, signal
from pathlib import Path
from text_uda.model.token_ids import load_or_create, type_for

def blocks():
    yield [[1] * 100_000]
    os.kill(os.getpid(), signal.SIGKILL)

load_or_create(Path({str(tmp_path)!r}), "key", blocks, type_for(9), rows=2)
"""
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    assert killed.returncode == -signal.SIGKILL and not list(tmp_path.glob("*.safetensors"))
    assert list(tmp_path.glob(f"{PREFIX}*")), "the kill came while it was written"
    assert rows_of(make(tmp_path)) == [row for block in BLOCKS for row in block]
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def test_of_two_that_ask_at_once_one_makes_it(tmp_path: Path):
    made, begun = [], threading.Event()

    def blocks():
        made.append(1)
        begun.set()
        other.join(0.2)  # the other one would come in here
        yield from BLOCKS

    other = threading.Thread(target=lambda: begun.wait() and make_with(blocks))

    def make_with(blocks):
        return load_or_create(tmp_path, "key", blocks, type_for(9), rows=ROWS)

    other.start()
    make_with(blocks)
    other.join()
    assert len(made) == 1
