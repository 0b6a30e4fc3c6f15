"""The cache: a folder of immutable shards. The rows are the ledger of what is done; there is no second list.

DIR/<fingerprint>/_settings.json        the canonical JSON that the fingerprint is the hash of
DIR/<fingerprint>/<digest>.parquet     rows; a file appears whole or not at all, and never changes
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.errors import CacheError
from translation_cache.job import Paraphrase
from translation_cache.key import KEY_BYTES, canonical_json, fingerprint, row_key
from translation_cache.shard import Row, rank, read_shard, to_paraphrase, to_table, write_file, write_shard

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


class Cache:
    """Paraphrases by (settings, source, sample). A folder that is not there yet is an empty cache.

    Any number of processes may write; each key is read once, and it is the same row for every reader. Merging two
    caches is copying files. Reading takes time in proportion to the rows of the settings asked for, and memory in
    proportion to the rows given back.

    Raises:
        CacheError: the path is a file, or a folder of other things.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise CacheError(f"{self.path} is a file; name a folder for the cache")
        if self.path.is_dir():
            names = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")]
            if names and not any(_FINGERPRINT.fullmatch(name) for name in names):
                raise CacheError(f"{self.path} holds files that no cache made; name an empty folder for the cache")

    def folder(self, settings: Mapping[str, Any]) -> Path:
        return self.path / fingerprint(settings)

    def add(self, settings: Mapping[str, Any], rows: Iterable[Row]) -> int:
        """Write rows (source, sample, paraphrase) as one shard; when this returns they are on disk. How many.

        Raises:
            CacheError: the disk is full, or a text cannot be written as UTF-8.
        """
        table = to_table(fingerprint(settings), rows)
        if len(table):
            self.write(settings, table)
        return len(table)

    def write(self, settings: Mapping[str, Any], table: pa.Table) -> Path:
        """Write a table of the cache's schema as one shard."""
        folder = self.folder(settings)
        if not (folder / "_settings.json").exists():
            write_file(folder / "_settings.json", canonical_json(settings).encode("ascii") + b"\n")
        return write_shard(folder, table)

    def missing(
        self, settings: Mapping[str, Any], sources: Iterable[str], *, samples: int = 1
    ) -> list[tuple[str, int]]:
        """The (source, sample) that have no row yet, each once, samples 0..samples-1, in the order of the sources."""
        mark = fingerprint(settings)
        wanted = {
            row_key(mark, source, sample): (source, sample)
            for sample in range(samples)
            for source in dict.fromkeys(sources)
        }
        for table in self.tables(mark, ["key"]):
            for key in table["key"].to_pylist():
                wanted.pop(key, None)
        return list(wanted.values())

    def lookup(
        self, settings: Mapping[str, Any], sources: Sequence[str], *, samples: int = 1
    ) -> list[list[Paraphrase | None]]:
        """For each source its samples, None where there is no row."""
        mark = fingerprint(settings)
        keys = [[row_key(mark, source, sample) for sample in range(samples)] for source in sources]
        wanted = pa.array({key for row in keys for key in row}, pa.binary(KEY_BYTES))
        found: dict[bytes, dict[str, Any]] = {}
        for table in self.tables(mark, ["key", "paraphrase", "pivot", "status", "scores"]):
            for record in table.filter(pc.field("key").isin(wanted)).to_pylist():
                other = found.get(record["key"])
                if other is None or rank(record) < rank(other):
                    found[record["key"]] = record
        made = {key: to_paraphrase(record) for key, record in found.items()}
        return [[made.get(key) for key in row] for row in keys]

    def rows(self, fingerprint: str) -> Iterator[dict[str, Any]]:
        """Every row once, as its columns by name. Memory grows with the rows: keys that stand twice are looked for."""
        found: dict[bytes, dict[str, Any]] = {}
        for table in self.tables(fingerprint):
            for record in table.to_pylist():
                other = found.get(record["key"])
                if other is None or rank(record) < rank(other):
                    found[record["key"]] = record
        yield from found.values()

    def digest(self, settings: Mapping[str, Any]) -> str:
        """32 hex digits that stand for the content under these settings, however it is spread over shards."""
        total = 0
        for record in self.rows(fingerprint(settings)):
            content = repr((record["key"], rank(record))).encode("utf-8")
            total += int.from_bytes(hashlib.blake2b(content, digest_size=KEY_BYTES).digest(), "big")
        return f"{total % (1 << 8 * KEY_BYTES):032x}"

    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings that rows were made with, by fingerprint.

        Raises:
            CacheError: a _settings.json is not what the name of its folder says.
        """
        return {mark: self._read_settings(mark) for mark in self.fingerprints()}

    def fingerprints(self) -> list[str]:
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if _FINGERPRINT.fullmatch(entry.name))

    def _read_settings(self, mark: str) -> dict[str, Any]:
        path = self.path / mark / "_settings.json"
        try:
            settings = json.loads(path.read_bytes())
            if isinstance(settings, dict) and fingerprint(settings) == mark:
                return settings
            reason = "its content is not what the name of its folder says"
        except (OSError, ValueError, RecursionError) as error:
            reason = str(error)
        raise CacheError(f"{path} is damaged: {reason}; paraphrase again with the settings of {mark}, or move it away")

    def shards(self, fingerprint: str) -> list[Path]:
        return sorted((self.path / fingerprint).glob("*.parquet"))

    def tables(self, fingerprint: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The shards one after the other, each checked; rows may stand in several.

        Raises:
            CacheError: a shard is damaged, or is not one of ours.
        """
        read: set[Path] = set()
        while ahead := [path for path in self.shards(fingerprint) if path not in read]:
            for path in ahead:
                read.add(path)
                try:
                    yield read_shard(path, columns)
                except FileNotFoundError:  # compacted away: its rows are in a newer shard, which the next look finds
                    continue

    def explain(self, settings: Mapping[str, Any]) -> str:
        """Why there are no rows with these settings, in words: what differs in the nearest settings that are here."""
        others = self.settings()
        if not others:
            return f"{self.path} is empty"
        if fingerprint(settings) in others:
            return f"{self.path} has rows with these settings, but not for all texts"
        differences = {mark: _differences(other, settings) for mark, other in others.items()}
        nearest = min(differences, key=lambda mark: (len(differences[mark]), mark))
        return f"{self.path} was filled with other settings ({'; '.join(differences[nearest][:6])})"


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    words = []
    for name in sorted(there.keys() | asked.keys()):
        one, other = there.get(name), asked.get(name)
        if one != other:
            words.append(f"{name}: {json.dumps(one)} there, {json.dumps(other)} asked")
    return words
