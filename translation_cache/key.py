"""Names by content: of settings, of a row, of a file. 128-bit BLAKE2b, the same on every machine."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

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
    return b"".join(_digests(fingerprint, [source.encode("utf-8", "surrogatepass")], sample))


def row_keys(fingerprint: str, sources: Iterable[str], samples: Iterable[int]) -> Iterator[np.ndarray]:
    """For each sample the keys of many sources as two 64-bit numbers, of which the first weighs more: (N, 2) uint64.

    In the order of these numbers keys are in the order of their bytes.
    """
    encoded = [source.encode("utf-8", "surrogatepass") for source in sources]
    for sample in samples:
        yield keys_from_bytes(b"".join(_digests(fingerprint, encoded, sample)))


def keys_from_bytes(keys: bytes | memoryview) -> np.ndarray:
    """(N, 2) uint64 from N * 16 bytes."""
    return np.frombuffer(keys, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def _digests(fingerprint: str, sources: Iterable[bytes], sample: int) -> list[bytes]:
    begun = hashlib.blake2b(bytes.fromhex(fingerprint), digest_size=KEY_BYTES)
    begun.update(sample.to_bytes(4, "big"))
    digests = []
    for source in sources:  # a copy of the begun hash takes half the time of a new one
        key = begun.copy()
        key.update(source)
        digests.append(key.digest())
    return digests


def content_digest(content: bytes | memoryview) -> str:
    """32 hex digits that a file of this content is named by."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()
