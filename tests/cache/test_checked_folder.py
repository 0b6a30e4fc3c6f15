"""A folder of an earlier version, which kept no digests."""

import errno
import os
from pathlib import Path

import pytest

from translation_cache import checked_folder
from translation_cache.checked_folder import DIGESTS, load_or_make


def fill(folder: Path) -> None:
    (folder / "file").write_text("new")


def refuse(*_arguments: object, **_named: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("old")
    return folder


def test_it_is_made_again(earlier):
    load_or_make(earlier, fill)
    assert (earlier / "file").read_text() == "new" and (earlier / DIGESTS).exists()


@pytest.mark.parametrize("name", ["exclusive_lock", "whole_folder"])
def test_it_is_read_with_a_warning_where_nothing_can_be_written(earlier, monkeypatch, caplog, name):
    monkeypatch.setattr(checked_folder, name, refuse)
    load_or_make(earlier, fill)
    assert (earlier / "file").read_text() == "old"
    assert caplog.text.count("\n") == 1 and "(Read-only file system): its files are read without a check" in caplog.text


def test_a_damaged_one_with_digests_is_an_error_there(earlier, monkeypatch):
    load_or_make(earlier, fill)
    (earlier / "file").write_text("old")
    monkeypatch.setattr(checked_folder, "exclusive_lock", refuse)
    with pytest.raises(OSError, match="Read-only"):
        load_or_make(earlier, fill)


def test_a_missing_one_is_an_error_there(tmp_path, monkeypatch):
    monkeypatch.setattr(checked_folder, "exclusive_lock", refuse)
    with pytest.raises(OSError, match="Read-only"):
        load_or_make(tmp_path / "folder", fill)
