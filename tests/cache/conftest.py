"""Jobs lie beside the tests, where worker processes and scripts find them too."""

import sys
from pathlib import Path

import pytest

from translation_cache import Cache, rows

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def content(cache: Cache) -> list[tuple]:
    """Every row of a cache, in one order, however it is spread over files."""
    found = [
        (
            mark,
            row["key"],
            row["source"],
            row["sample"],
            row["paraphrase"],
            row["pivot"],
            row["status"],
            str(row["scores"]),
        )
        for mark in cache.fingerprints()
        for row in rows(cache, mark)
    ]
    return sorted(found)
