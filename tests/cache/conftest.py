"""Jobs lie beside the tests, where worker processes and scripts find them too."""

import sys
from pathlib import Path

import pytest

from translation_cache import Cache

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")
