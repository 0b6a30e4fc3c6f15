"""What identifies a checkpoint in the settings of a job: its name and its revision, as JSON values."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translation_cache.file_digest import file_digest

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def checkpoint_identity(name: str, config: "Callable[[], PretrainedConfig]") -> dict[str, Any]:
    """A hub id and its commit, or the last part of a folder's path and a digest of its files.

    Args:
        name: a hub id or a folder.
        config: loads its configuration, which has the commit; it is not called for a folder.
    """
    if Path(name).is_dir():
        return {"model": Path(name).name, "revision": _digest(name)}
    return {"model": name, "revision": config()._commit_hash}


@cache
def _digest(folder: str) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        digest.update(path.name.encode("utf-8"))
        digest.update(bytes.fromhex(file_digest(path)))
    return digest.hexdigest()
