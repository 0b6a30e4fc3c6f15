"""Collects rows and writes them as shards, by time and bytes; compacts small shards when there are many."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from translation_cache.compaction import MIN_SMALL_FILES, compact_small
from translation_cache.errors import CacheError
from translation_cache.key import fingerprint
from translation_cache.shard import Row, to_table
from translation_cache.store import Cache


class Writer:
    """Commits its rows after a time or an amount of text, and at the end of its `with` block, also after an exception.

    Args:
        every_s, max_bytes: a shard is written after that time or that much text.
    """

    def __init__(self, cache: Cache, settings: Mapping[str, Any], *, every_s: float, max_bytes: int) -> None:
        self._cache, self._settings, self._fingerprint = cache, settings, fingerprint(settings)
        self._every_s, self._max_bytes = every_s, max_bytes
        self._rows: list[Row] = []
        self._bytes, self._since = 0, time.monotonic()
        self._shards: set[str] = set()  # shards of this writer: it compacts no others
        self._since_compaction = 0  # shards
        self._failed = False  # no further commit on a full disk

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._failed:
            self._commit()

    def add(self, rows: list[Row]) -> None:
        self._rows += rows
        self._bytes += sum(len(source) + len(row.text or "") + len(row.pivot or "") for source, _, row in rows)
        if self._bytes >= self._max_bytes or time.monotonic() - self._since >= self._every_s:
            self._commit()

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        self._bytes = 0
        if not rows:
            return
        try:
            self._shards.add(self._cache.write(self._settings, to_table(self._fingerprint, rows)))
            self._since_compaction += 1
            if self._since_compaction >= MIN_SMALL_FILES:
                self._shards.update(compact_small(self._cache, self._settings, self._fingerprint, self._shards))
                self._since_compaction = 0
        except CacheError:
            self._failed = True
            raise
        self._since = time.monotonic()
