"""Names by content: of settings, of a row, of a file. 128-bit BLAKE2b, the same on every machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from translation_cache.errors import CacheError

KEY_BYTES = 16


def canonical_json(settings: Mapping[str, Any]) -> str:
    """The one JSON text of these settings: keys sorted, no spaces, ASCII.

    Raises:
        CacheError: they hold something that JSON has no word for.
    """
    try:
        return json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CacheError(f"settings have to be plain JSON values ({error}): {settings!r}") from error


def fingerprint(settings: Mapping[str, Any]) -> str:
    """32 hex digits that stand for the settings."""
    return hashlib.blake2b(canonical_json(settings).encode("ascii"), digest_size=KEY_BYTES).hexdigest()


def row_key(fingerprint: str, source: str, sample: int) -> bytes:
    """The 16 bytes that a row is known by."""
    key = hashlib.blake2b(bytes.fromhex(fingerprint), digest_size=KEY_BYTES)
    key.update(sample.to_bytes(4, "big"))
    key.update(source.encode("utf-8", "surrogatepass"))
    return key.digest()


def content_digest(content: bytes | memoryview) -> str:
    """32 hex digits that a file of this content is named by."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()
