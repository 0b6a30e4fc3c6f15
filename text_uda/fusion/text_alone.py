"""The text without the columns: what a fusion is compared with, on the same rows."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class TextAlone:
    """The columns key the rows and are not read. The model is an ordinary transformers folder."""

    name: ClassVar[str] = "text"
