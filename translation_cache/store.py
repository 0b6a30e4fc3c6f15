"""The cache: a folder of immutable shards. The rows are the ledger of what is done; there is no second list.

DIR/<fingerprint>/_settings.json        the canonical JSON that the fingerprint is the hash of
DIR/<fingerprint>/<digest>.parquet     rows; a file appears whole or not at all, and never changes
DIR/_set-aside/<fingerprint>/          damaged files that `fill` moved out of the way; nothing reads them
"""

import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa

from translation_cache.errors import CacheError, DamagedError
from translation_cache.key import canonical_json, fingerprint
from translation_cache.shard import SUFFIX, Row, decode, encode, to_table
from translation_cache.storage import File, open_storage

log = logging.getLogger("translation_cache")

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
SETTINGS_FILE = "_settings.json"
SET_ASIDE = "_set-aside"
T = TypeVar("T")
_READ_AHEAD = 3  # shards that are read and checked while the one before is worked on


class Cache:
    """Paraphrases by (settings, source, sample). A folder that is not there yet is an empty cache.

    Any number of processes may write, compact and read at once, on one machine or many; each key is read once, and it
    is the same row for every reader. Merging two caches is copying files. A file that is damaged is named in a warning
    and read by nobody.

    Args:
        location: a folder, or the URI of one on an object store (see `open_storage`).
    Raises:
        CacheError: the path is a file, or a folder of other things.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        self._storage = open_storage(location)
        self._damaged: set[str] = set()  # paths of shards and settings, as far as they were met
        self._settled: set[str] = set()  # fingerprints whose settings are known to be there
        entries = self._storage.files()
        if entries and not any(map(_is_ours, entries)):
            raise CacheError(f"{self} holds files that no cache made; name an empty folder for the cache")

    def __str__(self) -> str:
        """The location, as people write it."""
        return self._storage.root

    # --- writing ------------------------------------------------------------------------------------------------------

    def add(self, settings: Mapping[str, Any], rows: Iterable[Row]) -> int:
        """Write rows (source, sample, paraphrase) as one shard; when this returns they are on disk. How many.

        Raises:
            CacheError: the disk is full, the store cannot be reached, or a text cannot be written as UTF-8.
        """
        table = to_table(fingerprint(settings), rows)
        if len(table):
            self.write(settings, table)
        return len(table)

    def write(self, settings: Mapping[str, Any], table: pa.Table) -> str:
        """Write a table of the cache's schema as one shard; its name."""
        return self.write_to(fingerprint(settings), settings, table)

    def write_to(self, mark: str, settings: Mapping[str, Any] | None, table: pa.Table) -> str:
        """The same where the settings may not be known, but for their fingerprint."""
        name, content = encode(table)
        self.put(mark, name, content, settings)
        return name

    def put(self, mark: str, name: str, content: bytes | memoryview, settings: Mapping[str, Any] | None) -> None:
        """Write a shard that is encoded already, and the settings, where they are known."""
        if settings and mark not in self._settled:
            if SETTINGS_FILE not in {file.name for file in self._storage.files(mark)}:
                self._storage.write(f"{mark}/{SETTINGS_FILE}", _settings_file(settings))
            self._settled.add(mark)
        # Written even where it is there already: another may be about to compact that one away.
        self._storage.write(f"{mark}/{name}", content)

    def remove(self, mark: str, names: Iterable[str]) -> None:
        """Remove shards whose rows are in others."""
        for name in names:
            self._storage.remove(f"{mark}/{name}")

    def set_damage_aside(self, settings: Mapping[str, Any]) -> None:
        """Move the shards of these settings that were found damaged out of the way; write damaged settings anew."""
        mark = fingerprint(settings)
        for path in sorted(path for path in self._damaged if path.startswith(f"{mark}/") and path.endswith(SUFFIX)):
            self.move_aside(path)
        if self._storage.files(mark):
            try:
                self.read_settings(mark)
            except DamagedError:
                self._storage.write(f"{mark}/{SETTINGS_FILE}", _settings_file(settings))

    def move_aside(self, path: str, *, whatever: bool = False) -> None:
        """Move a damaged shard to where nothing reads it. One that is sound (again) stays, but for `whatever`."""
        self._damaged.discard(path)
        mark, _, name = path.partition("/")
        if not whatever and self.is_sound(mark, name):
            return
        taken = {file.name for file in self._storage.files(f"{SET_ASIDE}/{mark}")}
        names = (name, *(f"{number}-{name}" for number in range(2, len(taken) + 3)))
        free = next(each for each in names if each not in taken)
        aside = f"{SET_ASIDE}/{mark}/{free}"
        self._storage.move(path, aside)
        if not whatever and self.is_sound(mark, name, aside):  # another wrote it anew in this very moment
            self._storage.write(path, self._storage.read(aside))
            return
        log.warning("%s is set aside as %s", self.at(path), self.at(aside))

    def is_sound(self, mark: str, name: str, path: str | None = None) -> bool:
        """Is this shard there, and what its name says? (At `path`, where it lies elsewhere.)"""
        try:
            decode(name, self._storage.read(path or f"{mark}/{name}"), fingerprint=mark, columns=["key"])
        except (FileNotFoundError, DamagedError):
            return False
        return True

    def alone(self, mark: str) -> AbstractContextManager[bool]:
        """See Storage.alone."""
        return self._storage.alone(mark)

    # --- what is there ------------------------------------------------------------------------------------------------

    def fingerprints(self) -> list[str]:
        return [entry.name for entry in self._storage.files() if _is_ours(entry) and entry.name != SET_ASIDE]

    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings that rows were made with, by fingerprint; {} where their file is damaged, which is told."""
        found = {}
        for mark in self.fingerprints():
            try:
                found[mark] = self.read_settings(mark)
            except DamagedError as error:
                self.tell(f"{mark}/{SETTINGS_FILE}", error)
                found[mark] = {}
        return found

    def read_settings(self, mark: str) -> dict[str, Any]:
        """Raises DamagedError where the file is not what the name of its folder says."""
        try:
            settings = json.loads(self._storage.read(f"{mark}/{SETTINGS_FILE}"))
            if isinstance(settings, dict) and fingerprint(settings) == mark:
                return settings
        except FileNotFoundError:
            raise DamagedError("it is not there") from None
        except (ValueError, CacheError, RecursionError):
            pass
        raise DamagedError("its content is not what the name of its folder says")

    def files(self, mark: str) -> list[File]:
        """Everything in the folder of these settings."""
        return self._storage.files(mark)

    def shards(self, mark: str) -> list[File]:
        return [file for file in self._storage.files(mark) if file.name.endswith(SUFFIX) and not file.is_folder]

    def table(
        self, mark: str, name: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> pa.Table:
        """The rows of one shard.

        Args:
            checked: names of shards that need not be checked again; this one is added to it.
        Raises:
            FileNotFoundError: another process compacted it away.
            DamagedError: it is damaged, or is not one of ours.
        """
        content = self._storage.read(f"{mark}/{name}")
        known = checked is not None and name in checked
        table = decode(name, content, fingerprint=mark, columns=columns, checked=known)
        if checked is not None:
            checked.add(name)
        return table

    def tables(
        self, mark: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> Iterator[pa.Table]:
        """The shards one after the other; a row may stand in several. Damaged ones are told and left out.

        Memory is that of a few shards. Every row that was there at the first look is given, also when shards are
        compacted meanwhile. For `checked` see `table`.
        """
        for _, table in self.named_tables(mark, columns, checked=checked):
            yield table

    def named_tables(
        self, mark: str, columns: Sequence[str] | None = None, *, checked: set[str] | None = None
    ) -> Iterator[tuple[str, pa.Table]]:
        """The same, with the name of each shard."""
        return self._each(mark, lambda name: self.table(mark, name, columns, checked=checked))

    def contents(self, mark: str) -> Iterator[tuple[str, bytes]]:
        """The shards as (name, bytes) with the promises of `tables`."""

        def content(name: str) -> bytes:
            content = self._storage.read(f"{mark}/{name}")
            decode(name, content, fingerprint=mark, columns=["key"])
            return content

        return self._each(mark, content)

    def _each(self, mark: str, read: Callable[[str], T]) -> Iterator[tuple[str, T]]:
        seen: set[str] = set()
        vanished = True
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            while vanished:  # compacted away: its rows are in a newer shard, which the next look finds
                vanished = False
                new = [file.name for file in self.shards(mark) if file.name not in seen]
                seen.update(new)
                for name, future in _some_ahead((name, pool.submit(read, name)) for name in new):
                    try:
                        yield name, future.result()
                    except FileNotFoundError:
                        vanished = True
                    except DamagedError as error:
                        self.tell(f"{mark}/{name}", error)

    def strangers(self) -> list[str]:
        """What no cache made, beside the folders of settings."""
        return [file.name for file in self._storage.files() if not _is_ours(file)]

    def set_aside(self) -> list[str]:
        """Damaged files that were moved out of the way."""
        marks = [folder.name for folder in self._storage.files(SET_ASIDE)]
        return [f"{mark}/{file.name}" for mark in marks for file in self._storage.files(f"{SET_ASIDE}/{mark}")]

    def tell(self, path: str, error: DamagedError) -> None:
        """Name a damaged file, once."""
        if path not in self._damaged:
            self._damaged.add(path)
            log.warning("%s is damaged and not read: %s; `text-uda paraphrase` mends it", self.at(path), error)

    def at(self, path: str) -> str:
        """A file of the cache, as people write it."""
        return self._storage.at(path)

    @property
    def address(self) -> str:
        """The location, as another process has to write it."""
        return self._storage.address

    def explain(self, settings: Mapping[str, Any]) -> str:
        """Why there are no rows with these settings, in words: what differs in the nearest settings that are here."""
        others = self.settings()
        if not others:
            return f"{self} is empty, or not there"
        mark = fingerprint(settings)
        if damaged := sorted(path for path in self._damaged if path.startswith(f"{mark}/")):
            return f"{self.at(damaged[0])} is damaged (`text-uda cache verify {self}` names all that are)"
        if mark in others:
            return f"{self} has rows with these settings, but not for all texts"
        differences = {mark: _differences(other, settings) for mark, other in others.items()}
        nearest = min(differences, key=lambda mark: (len(differences[mark]), mark))
        return f"{self} was filled with other settings ({'; '.join(differences[nearest][:6])})"


def _is_ours(file: File) -> bool:
    return file.is_folder and (_FINGERPRINT.fullmatch(file.name) is not None or file.name == SET_ASIDE)


def _settings_file(settings: Mapping[str, Any]) -> bytes:
    return canonical_json(settings).encode("ascii") + b"\n"


def _some_ahead(jobs: Iterator[T]) -> Iterator[T]:
    """The same jobs, of which a few are begun before they are asked for."""
    begun = deque(islice(jobs, _READ_AHEAD))
    while begun:
        yield begun.popleft()
        begun.extend(islice(jobs, 1))


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    words = []
    for name in sorted(there.keys() | asked.keys()):
        one, other = there.get(name), asked.get(name)
        if one != other:
            words.append(f"{name}: {json.dumps(one)} there, {json.dumps(other)} asked")
    return words
