"""128-bit BLAKE2b digests of settings, rows and files, the same on every machine."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from translation_cache.errors import CacheError

KEY_BYTES = 16


def canonical_json(settings: Mapping[str, Any]) -> str:
    """The canonical JSON of these settings: sorted keys, no spaces, ASCII.

    Raises:
        CacheError: a value is not plain JSON.
    """
    try:
        return json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CacheError(f"settings have to be plain JSON values ({error}): {settings!r}") from error


def fingerprint(settings: Mapping[str, Any]) -> str:
    """The digest of the settings, 32 hex digits."""
    return hashlib.blake2b(canonical_json(settings).encode("ascii"), digest_size=KEY_BYTES).hexdigest()


def row_key(fingerprint: str, source: str, sample: int) -> bytes:
    """The 16 bytes that identify a row."""
    return b"".join(_digests(fingerprint, [source.encode("utf-8", "surrogatepass")], sample))


def row_keys(fingerprint: str, sources: Iterable[str], samples: Iterable[int]) -> Iterator[np.ndarray]:
    """For each sample the keys of many sources as (high, low) 64-bit halves: (N, 2) uint64.

    The order of these pairs is the order of the bytes.
    """
    encoded = [source.encode("utf-8", "surrogatepass") for source in sources]
    for sample in samples:
        yield keys_from_bytes(b"".join(_digests(fingerprint, encoded, sample)))


def keys_from_bytes(keys: bytes | memoryview) -> np.ndarray:
    """(N, 2) uint64 from N * 16 bytes."""
    return np.frombuffer(keys, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def _digests(fingerprint: str, sources: Iterable[bytes], sample: int) -> list[bytes]:
    prefix = hashlib.blake2b(bytes.fromhex(fingerprint), digest_size=KEY_BYTES)
    prefix.update(sample.to_bytes(4, "big"))
    digests = []
    for source in sources:  # copying the hash of the prefix takes half the time of computing it
        key = prefix.copy()
        key.update(source)
        digests.append(key.digest())
    return digests


def content_digest(content: bytes | memoryview) -> str:
    """32 hex digits, the name of a file with this content."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()
