"""Lets one call to the disk fail: the N-th that opens a file for writing, writes, syncs, renames, makes or removes.

Native code (safetensors, Arrow) fails with its own errors: a full disk is /dev/full.
"""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import SafetensorError
from transformers import modeling_utils

from text_uda.training import checkpoint

_CALLS = ("open", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "chmod")
_WRITES = os.O_CREAT | os.O_WRONLY | os.O_RDWR


class Failure:
    """The calls below a folder, of which one fails.

    Args:
        at: the number of the call that fails; None lets none fail.
        code: of its error.
    """

    def __init__(self, root: Path, at: int | None = None, code: int = 0) -> None:
        self._root, self._at, self._code = str(root), at, code
        self.calls: list[str] = []

    @property
    def call(self) -> str:
        return "none" if self._at is None or self._at >= len(self.calls) else self.calls[self._at]

    def count(self, name: str, path: str) -> None:
        path = os.path.abspath(path)
        if not path.startswith(f"{self._root}/"):
            return
        self.calls.append(f"{name} {path.removeprefix(self._root)}")
        if len(self.calls) - 1 == self._at:
            named = () if name in ("write", "fsync") else (path,)
            raise OSError(self._code, os.strerror(self._code), *named)

    @contextmanager
    def in_calls(self) -> Iterator["Failure"]:
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, self._counted(name, getattr(os, name)))
            for module in (io, builtins):
                patch.setattr(module, "open", self._open(io.open))
            for module, name in ((checkpoint, "save_file"), (modeling_utils, "safe_save_file")):
                patch.setattr(module, name, self._safetensors(getattr(module, name)))
            for module, name in ((pa, "output_stream"), (pa, "OSFile"), (pq, "ParquetWriter")):
                patch.setattr(module, name, self._arrow(getattr(module, name)))
            yield self

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if name != "open" or arguments[1] & _WRITES:
                place = arguments[0]
                if isinstance(place, int):
                    place = os.readlink(f"/proc/self/fd/{place}")
                elif options.get("dir_fd") is not None:
                    place = f"{os.readlink('/proc/self/fd/{}'.format(options['dir_fd']))}/{place}"
                self.count(name, os.fspath(place))
            return call(*arguments, **options)

        return counted

    def _open(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return call(file, mode, buffering, *text, **options)
            path, count = os.path.abspath(file), self.count
            count("open", path)

            class Counted(io.FileIO):
                def write(self, content: Any) -> int:
                    count("write", path)
                    return super().write(content)

            raw = Counted(file, mode.replace("t", "").replace("b", ""))
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **options)

        return opened

    def _safetensors(self, call: Callable[..., None]) -> Callable[..., None]:
        def saved(tensors: Any, path: Any, *arguments: Any, **options: Any) -> None:
            try:
                self.count("native write", str(path))
            except OSError as error:
                Path(path).write_bytes(b"half")
                raise SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})") from None
            call(tensors, path, *arguments, **options)

        return saved

    def _arrow(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *arguments: Any, **options: Any) -> Any:
            try:
                self.count("native write", str(path))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return call("/dev/full", *arguments, **options)
                detail = f"Detail: [errno {error.errno}] {error.strerror}"
                raise OSError(error.errno, f"Failed to open local file '{path}'. {detail}") from None
            return call(path, *arguments, **options)

        return opened
