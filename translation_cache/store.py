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
        self._sound: set[str] = set()  # paths of shards, as far as they were met
        self._damaged: set[str] = set()  # of shards and settings
        names = [entry.name for entry in self._storage.files()]
        if names and not any(_FINGERPRINT.fullmatch(name) or name == SET_ASIDE for name in names):
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
        name, content = encode(table)
        self.put(settings, name, content)
        return name

    def put(self, settings: Mapping[str, Any], name: str, content: bytes | memoryview) -> None:
        """Write a shard that is encoded already."""
        mark = fingerprint(settings)
        if SETTINGS_FILE not in {file.name for file in self._storage.files(mark)}:
            self._storage.write(f"{mark}/{SETTINGS_FILE}", _settings_file(settings))
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
            self._storage.move(path, f"{SET_ASIDE}/{path}")
            self._damaged.remove(path)
            log.warning("%s/%s is set aside as %s/%s/%s; its rows are made again", self, path, self, SET_ASIDE, path)
        if self._storage.files(mark):
            try:
                self.read_settings(mark)
            except DamagedError:
                self._storage.write(f"{mark}/{SETTINGS_FILE}", _settings_file(settings))

    def alone(self, mark: str):
        """See Storage.alone."""
        return self._storage.alone(mark)

    # --- what is there ------------------------------------------------------------------------------------------------

    def fingerprints(self) -> list[str]:
        return [entry.name for entry in self._storage.files() if _FINGERPRINT.fullmatch(entry.name)]

    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings that rows were made with, by fingerprint; {} where their file is damaged, which is told."""
        found = {}
        for mark in self.fingerprints():
            try:
                found[mark] = self.read_settings(mark)
            except DamagedError as error:
                self._tell(f"{mark}/{SETTINGS_FILE}", error)
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
        return [file for file in self._storage.files(mark) if file.name.endswith(SUFFIX)]

    def table(self, mark: str, name: str, columns: Sequence[str] | None = None, *, again: bool = False) -> pa.Table:
        """The rows of one shard. Read `again`, a shard that was sound is not checked again.

        Raises:
            FileNotFoundError: another process compacted it away.
            DamagedError: it is damaged, or is not one of ours.
        """
        path = f"{mark}/{name}"
        checked = again and path in self._sound
        table = decode(name, self._storage.read(path), fingerprint=mark, columns=columns, checked=checked)
        self._sound.add(path)
        return table

    def tables(self, mark: str, columns: Sequence[str] | None = None, *, again: bool = False) -> Iterator[pa.Table]:
        """The shards one after the other; a row may stand in several. Damaged ones are told and left out.

        Memory is that of a few shards. Every row that was there at the first look is given, also when shards are
        compacted meanwhile.
        """
        for _, table in self._each(mark, lambda name: self.table(mark, name, columns, again=again)):
            yield table

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
                        self._tell(f"{mark}/{name}", error)

    def set_aside(self) -> list[str]:
        """Damaged files that were moved out of the way."""
        marks = [folder.name for folder in self._storage.files(SET_ASIDE)]
        return [f"{mark}/{file.name}" for mark in marks for file in self._storage.files(f"{SET_ASIDE}/{mark}")]

    def _tell(self, path: str, error: DamagedError) -> None:
        if path not in self._damaged:
            self._damaged.add(path)
            log.warning("%s/%s is damaged and not read: %s; `text-uda paraphrase` mends it", self, path, error)

    def explain(self, settings: Mapping[str, Any]) -> str:
        """Why there are no rows with these settings, in words: what differs in the nearest settings that are here."""
        others = self.settings()
        if not others:
            return f"{self} is empty"
        mark = fingerprint(settings)
        if damaged := sorted(path for path in self._damaged if path.startswith(f"{mark}/")):
            return f"{self}/{damaged[0]} is damaged (`text-uda cache verify {self}` names all that are)"
        if mark in others:
            return f"{self} has rows with these settings, but not for all texts"
        differences = {mark: _differences(other, settings) for mark, other in others.items()}
        nearest = min(differences, key=lambda mark: (len(differences[mark]), mark))
        return f"{self} was filled with other settings ({'; '.join(differences[nearest][:6])})"


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
