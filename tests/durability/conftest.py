"""The simulation lies beside its tests; what it runs on is that of the tests of the cache and of the fixtures."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("cache", "fixtures"))]
