"""The cache: a folder of immutable shards. The rows themselves record what is done; there is no second list.

DIR/<fingerprint>/_settings.json       the canonical JSON of the settings; the fingerprint is its hash
DIR/<fingerprint>/<digest>.parquet     rows; a file appears whole or not at all, and never changes
DIR/_set-aside/<fingerprint>/          damaged files that `fill` moved here; nothing reads them
"""

import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from translation_cache.errors import CacheError, DamagedError
from translation_cache.key import canonical_json
from translation_cache.key import fingerprint as fingerprint_of
from translation_cache.shard import SUFFIX, Row, decode, encode, to_table
from translation_cache.storage import File, open_storage

log = logging.getLogger("translation_cache")

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
SETTINGS_FILE = "_settings.json"
SET_ASIDE = "_set-aside"
SCORES = "_scores"  # what other programs compute of the rows and keep beside them
T = TypeVar("T")
_READ_AHEAD = 3  # shards that are read and checked in advance


class Cache:
    """Paraphrases by (settings, source, sample). A missing folder is an empty cache.

    Any number of processes can write, compact and read concurrently, on one machine or many. Every reader gets each key
    once, with the same row. Copying the files of one cache into another merges them. A damaged file is named in a
    warning and never read.

    Args:
        location: a folder, or its URI on an object store (see `open_storage`).
    Raises:
        CacheError: the path is a file, or a folder with other files.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        with suppress(Exception):  # a pandas that was built for another NumPy raises ValueError
            import pandas  # noqa: F401  Arrow would import it from C++ at its first array, and lose a Ctrl-C meanwhile
        with suppress(Exception):
            pa.array([])  # Arrow hands on such an error the first time, then takes pandas as not installed

        self._storage = open_storage(location)
        self._damaged: set[str] = set()  # paths of the damaged files that were read
        self._with_settings: set[str] = set()  # fingerprints whose settings file exists
        entries = self._storage.files()
        if entries and not any(map(_is_ours, entries)):
            raise CacheError(f"{self} holds files that are not of a cache; choose an empty folder for the cache")

    def __str__(self) -> str:
        """The location, for messages."""
        return self._storage.root

    # --- writing ------------------------------------------------------------------------------------------------------

    def add(self, settings: Mapping[str, Any], rows: Iterable[Row]) -> int:
        """Write rows (source, sample, paraphrase) as one shard, which is durable on return. Returns the row count.

        Raises:
            CacheError: the disk is full, the store is unreachable, or UTF-8 cannot encode a text.
        """
        table = to_table(fingerprint_of(settings), rows)
        if len(table):
            self.write(settings, table)
        return len(table)

    def write(self, settings: Mapping[str, Any], table: pa.Table) -> str:
        """Write a table of the cache's schema as one shard; returns its name."""
        return self.write_to(fingerprint_of(settings), settings, table)

    def write_to(self, fingerprint: str, settings: Mapping[str, Any] | None, table: pa.Table) -> str:
        """As `write`, for settings of which perhaps only the fingerprint is known."""
        name, content = encode(table)
        self.put(fingerprint, name, content, settings)
        return name

    def put(self, fingerprint: str, name: str, content: bytes | memoryview, settings: Mapping[str, Any] | None) -> None:
        """Write an encoded shard, and the settings if they are known."""
        if settings and fingerprint not in self._with_settings:
            if SETTINGS_FILE not in {file.name for file in self._storage.files(fingerprint)}:
                self._storage.write(f"{fingerprint}/{SETTINGS_FILE}", _settings_file(settings))
            self._with_settings.add(fingerprint)
        # An existing shard is written again, because another process may be about to compact it away.
        self._storage.write(f"{fingerprint}/{name}", content)

    def make_durable(self, fingerprint: str) -> None:
        """Make the shards that are seen durable; see Storage.make_durable."""
        self._storage.make_durable(fingerprint)

    def remove(self, fingerprint: str, names: Iterable[str]) -> None:
        """Remove shards whose rows are in other shards."""
        for name in names:
            self._storage.remove(f"{fingerprint}/{name}")

    def set_damage_aside(self, settings: Mapping[str, Any]) -> None:
        """Set aside the shards of these settings that a read found damaged; write a damaged settings file again."""
        fingerprint = fingerprint_of(settings)
        prefix = f"{fingerprint}/"
        for path in sorted(path for path in self._damaged if path.startswith(prefix) and path.endswith(SUFFIX)):
            self.move_aside(path)
        if self._storage.files(fingerprint):
            try:
                self.read_settings(fingerprint)
            except DamagedError:
                self._storage.write(f"{fingerprint}/{SETTINGS_FILE}", _settings_file(settings))

    def move_aside(self, path: str, *, even_if_sound: bool = False) -> None:
        """Move a damaged shard to where nothing reads it; a sound shard stays, except with `even_if_sound`."""
        self._damaged.discard(path)
        fingerprint, _, name = path.partition("/")
        if not even_if_sound and self.is_sound(fingerprint, name):
            return
        used = {file.name for file in self._storage.files(f"{SET_ASIDE}/{fingerprint}")}
        candidates = (name, *(f"{number}-{name}" for number in range(2, len(used) + 3)))
        free = next(candidate for candidate in candidates if candidate not in used)
        destination = f"{SET_ASIDE}/{fingerprint}/{free}"
        self._storage.move(path, destination)
        # Another process may have just written it again.
        if not even_if_sound and self.is_sound(fingerprint, name, destination):
            self._storage.write(path, self._storage.read(destination))
            return
        log.warning("%s is set aside as %s", self.at(path), self.at(destination))

    def is_sound(self, fingerprint: str, name: str, path: str | None = None) -> bool:
        """Whether the shard exists and its content matches its name; `path` is where it lies, if elsewhere."""
        try:
            content = self._storage.read(path or f"{fingerprint}/{name}")
            decode(name, content, fingerprint=fingerprint, columns=["key"])
        except (FileNotFoundError, DamagedError):
            return False
        return True

    def lock(self, fingerprint: str) -> AbstractContextManager[bool]:
        """See Storage.lock."""
        return self._storage.lock(fingerprint)

    # --- reading ------------------------------------------------------------------------------------------------------

    def fingerprints(self) -> list[str]:
        return [entry.name for entry in self._storage.files() if _FINGERPRINT.fullmatch(entry.name) and entry.is_folder]

    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings of the rows by fingerprint; {} and a warning if their file is damaged."""
        settings_of = {}
        for fingerprint in self.fingerprints():
            try:
                settings_of[fingerprint] = self.read_settings(fingerprint)
            except DamagedError as error:
                self.warn_of_damage(f"{fingerprint}/{SETTINGS_FILE}", error)
                settings_of[fingerprint] = {}
        return settings_of

    def read_settings(self, fingerprint: str) -> dict[str, Any]:
        """Raises DamagedError if the file does not match the name of its folder."""
        try:
            settings = json.loads(self._storage.read(f"{fingerprint}/{SETTINGS_FILE}"))
            if isinstance(settings, dict) and fingerprint_of(settings) == fingerprint:
                return settings
        except FileNotFoundError:
            raise DamagedError("the file is missing") from None
        except (ValueError, CacheError, RecursionError):
            pass
        raise DamagedError("its content does not match the name of its folder")

    def files(self, fingerprint: str) -> list[File]:
        """All files in the folder of these settings."""
        return self._storage.files(fingerprint)

    def shards(self, fingerprint: str) -> list[File]:
        return [file for file in self._storage.files(fingerprint) if file.name.endswith(SUFFIX) and not file.is_folder]

    def table(
        self, fingerprint: str, name: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> pa.Table:
        """The rows of one shard.

        Args:
            checked: names of shards whose digest was checked before; this shard is added.
        Raises:
            FileNotFoundError: another process compacted it away.
            DamagedError: it is damaged, or not a shard of a cache.
        """
        content = self._storage.read(f"{fingerprint}/{name}")
        known = checked is not None and name in checked
        table = decode(name, content, fingerprint=fingerprint, columns=columns, checked=known)
        if checked is not None:
            checked.add(name)
        return table

    def tables(
        self, fingerprint: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> Iterator[pa.Table]:
        """The shards one by one, with a warning for each damaged one; a row can occur in several.

        Memory is a few shards. Every row that exists at the start is yielded, also if shards are compacted meanwhile.
        For `checked` see `table`.
        """
        for _, table in self.named_tables(fingerprint, columns, checked=checked):
            yield table

    def named_tables(
        self, fingerprint: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> Iterator[tuple[str, pa.Table]]:
        """As `tables`, with the names of the shards."""
        return self._read_shards(fingerprint, lambda name: self.table(fingerprint, name, columns, checked=checked))

    def contents(self, fingerprint: str) -> Iterator[tuple[str, bytes]]:
        """The shards as (name, bytes), with the guarantees of `tables`."""

        def content(name: str) -> bytes:
            content = self._storage.read(f"{fingerprint}/{name}")
            decode(name, content, fingerprint=fingerprint, columns=["key"])
            return content

        return self._read_shards(fingerprint, content)

    def _read_shards(self, fingerprint: str, read: Callable[[str], T]) -> Iterator[tuple[str, T]]:
        seen: set[str] = set()
        vanished = True
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            while vanished:  # compacted away: the next listing has the newer shard with its rows
                vanished = False
                # A listing can miss both a shard that is removed meanwhile and the newer one with its rows: list twice.
                listed = {file.name for _ in range(2) for file in self.shards(fingerprint)}
                new = sorted(listed - seen)
                seen.update(new)
                for name, future in _started_ahead((name, pool.submit(read, name)) for name in new):
                    try:
                        yield name, future.result()
                    except FileNotFoundError:
                        vanished = True
                    except DamagedError as error:
                        self.warn_of_damage(f"{fingerprint}/{name}", error)

    def foreign_files(self) -> list[str]:
        """Files beside the folders of settings that are not of a cache."""
        return [file.name for file in self._storage.files() if not _is_ours(file)]

    def set_aside(self) -> list[str]:
        """Damaged files that were set aside."""
        fingerprints = [folder.name for folder in self._storage.files(SET_ASIDE)]
        return [
            f"{fingerprint}/{file.name}"
            for fingerprint in fingerprints
            for file in self._storage.files(f"{SET_ASIDE}/{fingerprint}")
        ]

    def warn_of_damage(self, path: str, error: DamagedError) -> None:
        """Name a damaged file in a warning, once."""
        if path not in self._damaged:
            self._damaged.add(path)
            log.warning("%s is damaged and not read: %s; `text-uda paraphrase` repairs it", self.at(path), error)

    def at(self, path: str) -> str:
        """The location of a file of the cache, for messages."""
        return self._storage.at(path)

    @property
    def address(self) -> str:
        """The location, valid in other processes."""
        return self._storage.address

    @property
    def scores_folder(self) -> Path | None:
        """Where other programs can keep what they compute of the rows; None on an object store."""
        return None if self._storage.folder is None else self._storage.folder / SCORES

    def explain(self, settings: Mapping[str, Any]) -> str:
        """Why there are no rows with these settings, for messages: the differences to the method's nearest settings."""
        others = self.settings()
        if not others:
            return f"{self} is empty or does not exist"
        fingerprint = fingerprint_of(settings)
        if damaged := sorted(path for path in self._damaged if path.startswith(f"{fingerprint}/")):
            return f"{self.at(damaged[0])} is damaged (`text-uda cache verify {self}` lists all damaged files)"
        if fingerprint in others:
            return f"{self} has rows with these settings, but not for all texts"
        method = settings.get("method")
        of_method = {other: known for other, known in others.items() if known.get("method") == method}
        if not of_method:
            methods = sorted({str(known.get("method")) for known in others.values()})
            return f"{self} holds paraphrases of {', '.join(methods)}; none of {method}"
        differences = {other: _differences(known, settings) for other, known in of_method.items()}
        nearest = min(differences, key=lambda other: (len(differences[other]), other))
        return f"{self} was filled with other settings ({'; '.join(differences[nearest][:6])})"


def _is_ours(file: File) -> bool:
    return file.is_folder and (_FINGERPRINT.fullmatch(file.name) is not None or file.name in (SET_ASIDE, SCORES))


def _settings_file(settings: Mapping[str, Any]) -> bytes:
    return canonical_json(settings).encode("ascii") + b"\n"


def _started_ahead(jobs: Iterator[T]) -> Iterator[T]:
    """The same jobs; a few are started before they are requested."""
    started = deque(islice(jobs, _READ_AHEAD))
    while started:
        yield started.popleft()
        started.extend(islice(jobs, 1))


def _differences(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {json.dumps(stored.get(name))} stored, {json.dumps(requested.get(name))} requested"
        for name in sorted(stored.keys() | requested.keys())
        if stored.get(name) != requested.get(name)
    ]
