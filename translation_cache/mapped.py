"""Tables that are too large for memory: in a file without a name, which the last use of the table takes with it."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from translation_cache.errors import CacheError


def mapped_table(
    schema: pa.Schema, tables: Iterable[pa.Table], *, folder: str | os.PathLike[str] | None = None
) -> pa.Table:
    """The tables one after the other, memory-mapped; what is read of it is memory that the system may take back.

    Args:
        folder: for the file; None is that of temporary files (TMPDIR).
    Raises:
        CacheError: there is no space for it.
    """
    handle, path = tempfile.mkstemp(dir=folder, prefix="translation-cache-", suffix=".arrow")
    try:
        with os.fdopen(handle, "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for table in tables:
                writer.write_table(table)
        with pa.memory_map(path) as mapped:
            return pa.ipc.open_file(mapped).read_all()
    except OSError as error:
        raise CacheError(
            f"cannot write to {Path(path).parent}: {error.strerror or error}; name a folder with more space by TMPDIR"
        ) from error
    finally:
        os.unlink(path)
