"""Rows on their way to disk: a shard now and then, by time and bytes; many small ones are put together."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from translation_cache.compact import MANY, tidy
from translation_cache.errors import CacheError
from translation_cache.key import fingerprint
from translation_cache.shard import Row, to_table
from translation_cache.store import Cache


class Writer:
    """Commits what it was given when the time or the bytes are reached, and when its `with` block ends, however.

    Args:
        every_s, max_bytes: a shard is written after that time or that much text.
    """

    def __init__(self, cache: Cache, settings: Mapping[str, Any], *, every_s: float, max_bytes: int) -> None:
        self._cache, self._settings, self._mark = cache, settings, fingerprint(settings)
        self._every_s, self._max_bytes = every_s, max_bytes
        self._rows: list[Row] = []
        self._bytes, self._since = 0, time.monotonic()
        self._own: set[str] = set()  # shards that this writer made; what others make is theirs to put together
        self._untidy = 0
        self._failed = False  # a disk that is full takes no more

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self._failed:
            self._commit()

    def add(self, rows: list[Row]) -> None:
        self._rows += rows
        self._bytes += sum(len(source) + len(made.text or "") + len(made.pivot or "") for source, _, made in rows)
        if self._bytes >= self._max_bytes or time.monotonic() - self._since >= self._every_s:
            self._commit()

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        self._bytes = 0
        if not rows:
            return
        try:
            self._own.add(self._cache.write(self._settings, to_table(self._mark, rows)))
            self._untidy += 1
            if self._untidy >= MANY:
                self._own.update(tidy(self._cache, self._settings, self._mark, self._own))
                self._untidy = 0
        except CacheError:
            self._failed = True
            raise
        self._since = time.monotonic()
