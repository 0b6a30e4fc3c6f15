"""A file or a folder is whole or absent, and durable when the write returns."""

import errno
import os
import time
from pathlib import Path

import pytest

from translation_cache.atomic import (
    PREFIX,
    remove_leftovers,
    unfinished_name,
    whole_file,
    whole_folder,
    write_whole,
)


def write_file(path: Path, content: str, *, error: BaseException | None = None) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(content)
        if error is not None:
            raise error


def write_folder(path: Path, content: str, *, error: BaseException | None = None, replace: bool = False) -> None:
    with whole_folder(path, replace=replace) as unfinished:
        (unfinished / "a.txt").write_text(content)
        (unfinished / "inner").mkdir()
        (unfinished / "inner" / "b.txt").write_text(content)
        if error is not None:
            raise error


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The calls of fsync and rename in order, each with the name of its file or folder."""
    calls = []
    fsync = os.fsync

    def record_fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record_fsync)
    for name in ("replace", "rename"):
        step = getattr(os, name)
        monkeypatch.setattr(os, name, lambda a, b, _step=step: (calls.append(("rename", Path(b).name)), _step(a, b))[1])
    return calls


def is_unfinished(name: str, of: str) -> bool:
    return name.startswith(f"{PREFIX}{of}.")


def test_a_file_is_synced_then_renamed_then_its_folder_is_synced(tmp_path: Path, recorded):
    write_whole(tmp_path / "a.txt", "text")
    (first, unfinished), *others = recorded
    assert first == "fsync" and is_unfinished(unfinished, "a.txt")
    assert others == [("rename", "a.txt"), ("fsync", tmp_path.name)]
    assert contents(tmp_path) == {"a.txt": "text"}


def test_every_entry_of_a_folder_is_synced_before_the_rename(tmp_path: Path, recorded):
    write_folder(tmp_path / "model", "text")
    renamed = recorded.index(("rename", "model"))
    before = {name for call, name in recorded[:renamed] if call == "fsync"}
    assert {"a.txt", "b.txt", "inner"} <= before and any(is_unfinished(name, "model") for name in before)
    assert recorded[renamed + 1 :] == [("fsync", tmp_path.name)]


def test_missing_parents_are_made_durable(tmp_path: Path, recorded):
    write_whole(tmp_path / "one" / "two" / "a.txt", b"bytes")
    synced = [name for call, name in recorded if call == "fsync"]
    assert synced[:2] == [tmp_path.name, "one"] and synced[-1] == "two"


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_an_exception_in_the_block_leaves_what_was_there(tmp_path: Path, error, there):
    if there:
        write_file(tmp_path / "a.txt", "old")
        write_folder(tmp_path / "model", "old")
    before = contents(tmp_path)
    with pytest.raises(type(error)):
        write_file(tmp_path / "a.txt", "new", error=error)
    with pytest.raises(type(error)):
        write_folder(tmp_path / "model", "new", error=error, replace=True)
    assert contents(tmp_path) == before and len(list(tmp_path.iterdir())) == 2 * there


@pytest.mark.parametrize("step", ["fsync", "replace", "rename"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch, step):
    write_file(tmp_path / "a.txt", "old")
    write_folder(tmp_path / "model", "old")
    before = contents(tmp_path)

    def full(*_arguments):
        raise OSError("full")

    monkeypatch.setattr(os, step, full)
    if step != "rename":
        with pytest.raises(OSError, match="full"):
            write_file(tmp_path / "a.txt", "new")
    if step != "replace":
        with pytest.raises(OSError, match="full"):
            write_folder(tmp_path / "model", "new", replace=True)
    assert contents(tmp_path) == before and len(list(tmp_path.iterdir())) == 2


def test_a_folder_is_replaced_where_that_is_asked_for_and_stays_otherwise(tmp_path: Path):
    write_folder(tmp_path / "model", "first")
    write_folder(tmp_path / "model", "second")
    assert set(contents(tmp_path).values()) == {"first"}
    write_folder(tmp_path / "model", "third", replace=True)
    assert set(contents(tmp_path).values()) == {"third"} and [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("write", [write_file, write_folder])
@pytest.mark.parametrize("step", ["fsync", "open", "mkdir", "rename", "replace"])
def test_an_error_names_the_entry_that_was_to_be_written(tmp_path: Path, monkeypatch, write, step):
    """Not the unfinished one, which is removed."""
    call = getattr(os, step)

    def refused(path, *arguments, **options):
        if step == "open" and not arguments[0] & os.O_CREAT:
            return call(path, *arguments, **options)
        raise OSError(errno.EIO, "refused", *(() if step == "fsync" else (str(path), None, *map(str, arguments[:1]))))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refused)
        try:
            write(tmp_path / "new", "content")
        except OSError as error:
            assert str(error) == f"[Errno {errno.EIO}] refused: '{tmp_path / 'new'}'" or step == "fsync"
            assert PREFIX not in str(error) and str(tmp_path) in str(error) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o666, 0o777)])
def test_permissions_follow_the_umask(tmp_path: Path, umask, file, folder):
    """Also where the block replaces the file by one of its owner alone, as safetensors does."""
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "a.txt") as unfinished:
            unfinished.unlink()
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT, 0o600))
        with whole_folder(tmp_path / "model") as unfinished:
            os.close(os.open(unfinished / "weights", os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.txt", "model/weights", "model")]
    assert modes == [file, file, folder]


def test_a_mount_that_decides_the_permissions_is_written_to(tmp_path: Path, monkeypatch):
    """FAT gives each file those of its mount, often 0755, and refuses to change them."""

    def refuse(path: Path, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    with whole_folder(tmp_path / "model") as unfinished:
        os.close(os.open(unfinished / "weights", os.O_WRONLY | os.O_CREAT, 0o700))
    assert (tmp_path / "model" / "weights").exists()


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path: Path):
    write_folder(tmp_path / "model", "text")
    (tmp_path / ".hidden").write_text("")
    before = contents(tmp_path)
    names = [unfinished_name(name) for name in ("a.safetensors", "model", "b.txt")]
    assert len(set(names)) == 3 and not any(name.endswith(".safetensors") for name in names)
    (tmp_path / names[0]).write_text("half")
    (tmp_path / names[1] / "inner").mkdir(parents=True)
    (tmp_path / names[2]).write_text("of a writer that is at work")
    an_hour_ago = time.time() - 3600
    for name in names[:2]:
        os.utime(tmp_path / name, (an_hour_ago, an_hour_ago))
    remove_leftovers(tmp_path, older_than_s=600)
    assert contents(tmp_path) == before | {names[2]: "of a writer that is at work"}
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == before
    remove_leftovers(tmp_path / "none")


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_write_removes_old_leftovers_of_its_own_name(tmp_path: Path, write):
    names = [unfinished_name("new"), unfinished_name("new"), unfinished_name("newer")]
    for name in names:
        (tmp_path / name).touch()
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (time.time() - 100_000,) * 2)
    write(tmp_path / "new", "content")
    assert {path.name for path in tmp_path.iterdir()} == {"new", *names[1:]}


def test_a_kill_while_a_folder_is_replaced_keeps_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_folder(tmp_path / "model", "earlier")
    rename = os.rename

    def killed_before_the_second(source: Path, target: Path) -> None:
        if Path(target).name == "model":
            os._exit(9)
        rename(source, target)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(os, "rename", killed_before_the_second)
        write_folder(tmp_path / "model", "later", replace=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / "model").exists()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert set(contents(tmp_path / "model").values()) == {"earlier"}


def test_a_link_to_nothing_is_no_folder(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="symbolic link to nothing"):
        write_whole(tmp_path / "link" / "file", "content")


def test_a_full_disk_is_that_of_the_file(tmp_path: Path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write raises it
    with pytest.raises(OSError, match="No space left") as error:
        write_file(tmp_path / "file", "content", error=full)
    assert error.value.filename == str(tmp_path / "file") and not (tmp_path / "file").exists()
