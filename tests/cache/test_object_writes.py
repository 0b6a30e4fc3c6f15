"""What a put to an object store is held to, on a store in memory."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from translation_cache import CacheError
from translation_cache.storage import ObjectStorage


class Store:
    """A store in memory with the calls of Arrow that a write makes; `after_put` is called after each put."""

    type_name = "s3"

    def __init__(self, after_put: Any) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self._after_put = after_put

    def open_output_stream(self, path: str) -> Any:
        store = self

        class Stream(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    store.objects[path] = self.getvalue()
                    store.puts += 1
                    store._after_put(store, path)
                super().close()

        return Stream()

    def get_file_info(self, path: str) -> Any:
        content = self.objects.get(path)
        kind = fs.FileType.NotFound if content is None else fs.FileType.File
        return SimpleNamespace(type=kind, size=None if content is None else len(content))


def storage(store: Store) -> ObjectStorage:
    return ObjectStorage(store, "bucket/cache", "s3://bucket/cache")  # pyright: ignore[reportArgumentType]


def test_a_shard_that_is_compacted_between_put_and_head_is_put_again():
    def compacted_once(store: Store, path: str) -> None:
        if store.puts == 1:
            del store.objects[path]

    store = Store(compacted_once)
    storage(store).write("f/a.parquet", b"rows")
    assert store.objects == {"bucket/cache/f/a.parquet": b"rows"} and store.puts == 2


def test_a_store_that_keeps_nothing_is_an_error():
    store = Store(lambda store, path: store.objects.clear())
    with pytest.raises(CacheError, match=r"cannot write s3://bucket/cache/f/a\.parquet: 0 of 4 bytes arrived"):
        storage(store).write("f/a.parquet", b"rows")
    assert store.puts == 4


def test_a_put_that_is_cut_short_is_an_error():
    store = Store(lambda store, path: store.objects.update({path: store.objects[path][:2]}))
    with pytest.raises(CacheError, match="2 of 4 bytes arrived"):
        storage(store).write("f/a.parquet", b"rows")
    assert store.puts == 1
