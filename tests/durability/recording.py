"""Records each step of real code that changes a real folder, as snapshots of the model of a disk.

The calls of `os` that change a folder are the steps. What native code has written between two of them (safetensors,
Arrow, tokenizers) is a step of its own, seen by looking at the folder before each call.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from disk_model import Change, Disk, Edit, Entry

_CALLS = ("open", "fsync", "fdatasync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "chmod", "truncate")
_RECENT_NS = 50_000_000  # a file that was changed so recently can change again with the same time


class Recorder:
    """The steps of one block below a folder, which itself is durable, as are the files that are there before."""

    def __init__(self, root: Path) -> None:
        self._root, self._busy = root, False
        self._open, self._close = os.open, os.close
        self._held: dict[tuple[int, int], int] = {}  # open entries: the system gives no other file their number
        self._entries: dict[tuple[int, int], Entry] = {}
        self._read: dict[Entry, tuple[int, int, int]] = {}  # size and times of a file when it was read
        self._names: dict[Entry, dict[str, Entry]] = {}
        self.disk = Disk(self._entry(root.stat(), root))
        self.steps: list[str] = []
        self.snapshots: list[tuple[Disk, int]] = []  # with the number of acknowledgements before it
        self.acknowledged = 0
        self._look("at the start")
        for folder in list(self.disk.folders):
            self.disk.sync(folder)
        self.disk.durable |= self.disk.content
        self.steps.clear()
        self.snapshots.clear()

    def acknowledge(self) -> None:
        """What was called has returned: from here on its result must survive."""
        self._look("write")
        self.acknowledged += 1
        self.snapshots.append((self.disk.copy(), self.acknowledged))

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, self._step(name, getattr(os, name)))
            try:
                yield self
                self._look("write")
            finally:
                for descriptor in self._held.values():
                    self._close(descriptor)
                self._held.clear()

    def _step(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            if self._busy or (name == "open" and not arguments[1] & (os.O_CREAT | os.O_TRUNC)):
                return call(*arguments, **options)
            self._look("write")
            result = call(*arguments, **options)
            if name in ("fsync", "fdatasync"):
                status = os.fstat(arguments[0])
                entry = self._entries.get((status.st_dev, status.st_ino))
                if entry is not None:
                    self.disk.sync(entry)
                    self._snapshot("sync a folder" if stat.S_ISDIR(status.st_mode) else "sync a file")
            else:
                self._look(name)
            return result

        return recorded

    def _snapshot(self, step: str) -> None:
        self.steps.append(step)
        self.snapshots.append((self.disk.copy(), self.acknowledged))

    def _look(self, step: str) -> None:
        """Take over what has changed since the last look."""
        self._busy = True
        try:
            names, written = self._scan()
        finally:
            self._busy = False
        changes = list(_changes(self._names, names))
        self._names = names
        self.disk.changes += changes
        if changes or written:
            self._snapshot(step)

    def _scan(self) -> tuple[dict[Entry, dict[str, Entry]], bool]:
        """The names in each folder, and whether a file was written to."""
        names, written, ahead = {}, False, [(self.disk.root, self._root)]
        while ahead:
            folder, path = ahead.pop()
            names[folder] = {}
            self.disk.folders.add(folder)
            for name in sorted(os.listdir(path)):
                status = os.lstat(path / name)
                entry = self._entry(status, path / name)
                names[folder][name] = entry
                if stat.S_ISDIR(status.st_mode):
                    ahead.append((entry, path / name))
                else:
                    written |= self._take_content(entry, status, path / name)
        return names, written

    def _entry(self, status: os.stat_result, path: Path) -> Entry:
        key = (status.st_dev, status.st_ino)
        if key not in self._entries:
            self._held[key] = self._open(path, os.O_RDONLY)
            self._entries[key] = len(self._entries)
        return self._entries[key]

    def _take_content(self, entry: Entry, status: os.stat_result, path: Path) -> bool:
        state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if self._read.get(entry) == state and time.time_ns() - status.st_mtime_ns > _RECENT_NS:
            return False
        self._read[entry] = state
        content = path.read_bytes()
        if self.disk.content.get(entry) == content:
            return False
        self.disk.content[entry] = content
        return True


def _changes(before: dict[Entry, dict[str, Entry]], after: dict[Entry, dict[str, Entry]]) -> Iterator[Change]:
    """What happened to the names: an entry that has another name was renamed."""
    removed = {
        entry: Edit(folder, name, entry, removes=True)
        for folder, entries in before.items()
        for name, entry in entries.items()
        if after.get(folder, {}).get(name) != entry
    }
    for folder, entries in after.items():
        for name, entry in entries.items():
            if before.get(folder, {}).get(name) != entry:
                added = Edit(folder, name, entry, removes=False)
                yield (removed.pop(entry), added) if entry in removed else (added,)
    remaining = {entry for entries in after.values() for entry in entries.values()}
    for entry, edit in removed.items():
        replaced = after.get(edit.folder, {}).get(edit.name) is not None
        if entry not in remaining and not replaced:
            yield (edit,)
