"""Which names of files and folders can be used: reports and configurations, which are UTF-8, have to hold them."""

import os

from text_uda.errors import SettingsError


def is_usable(name: str) -> bool:
    """Whether a name is text in UTF-8 without a zero byte; Python has half a surrogate pair for any other byte."""
    try:
        return b"\0" not in name.encode("utf-8")
    except UnicodeEncodeError:
        return False


def check_name(path: str | os.PathLike[str]) -> None:
    """Raises SettingsError for a name that cannot be used."""
    if not is_usable(os.fspath(path)):
        raise SettingsError(f"{os.fspath(path)!r}: the name of a file or folder is text in UTF-8; rename it")
