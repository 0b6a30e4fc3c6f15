"""A table as a stream: the types that all formats share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Record = tuple[int, dict[str, Any]]
"""(row number from 1, the header included; fields)."""

Read = Callable[[Sequence[str]], Iterator[Record]]
"""The records of the needed columns; a record can have more."""
