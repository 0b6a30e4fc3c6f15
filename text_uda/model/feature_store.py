"""A store of the features of frozen encoders, keyed by text, in one folder for all runs and commands.

FOLDER/<digest of the encoder>/<digest of the keys>.safetensors     features (N, D) float32 and keys (N, 16), sorted

A file appears complete or not at all and never changes, so any number of processes can read and write; two that write
the same texts write the same file. It takes 4 D + 16 bytes for each text: 1.6 KB at D = 384, 1.6 GB for a million. The
folder can be deleted at any time: missing texts are encoded again. A file that is damaged, or that an earlier version
wrote without a digest, is not read: a damaged one is set aside.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from text_uda.cache_dir import home
from translation_cache.atomic import set_aside, whole_file

log = logging.getLogger("text_uda")

_KEY_BYTES = 16
_DIGEST = "digest"  # in the metadata of a file


def features_folder() -> Path | None:
    """$TEXT_UDA_FEATURES, or None if it is "off"; if unset, `features` in `home()`. The folder may not exist."""
    setting = os.environ.get("TEXT_UDA_FEATURES")
    if setting == "off":
        return None
    return Path(setting) if setting else home() / "features"


def keys_of(texts: Sequence[str]) -> np.ndarray:
    """A 128-bit hash of each text, (N,) of 16 bytes."""
    joined = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest() for text in texts
    )
    return np.frombuffer(joined, dtype=f"S{_KEY_BYTES}")


@dataclass(frozen=True)
class Shard:
    """Features of texts, with sorted, distinct keys."""

    keys: np.ndarray  # (N,) of 16 bytes
    features: Tensor  # (N, D) float32

    @staticmethod
    def of(keys: np.ndarray, features: Tensor) -> "Shard":
        """A shard of distinct keys, given in any order."""
        order = np.argsort(keys)
        return Shard(keys[order], features[torch.from_numpy(order)])

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, (M,) int64; -1 for keys that are not in the shard."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        rows = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[rows] == keys, rows, -1)


class FeatureStore:
    """The features of one encoder.

    Args:
        folder: of the encoder's files; None keeps the features in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._shards: list[Shard] = []
        self._seen: set[str] = set()  # names of opened and of damaged files

    def take(self, keys: np.ndarray, into: Tensor) -> np.ndarray:
        """Copy the features of the keys (M,) into the rows of `into` (M, D); return which keys have none, (M,) bool.

        Reads files that other processes have written since the last call.
        """
        missing = np.ones(len(keys), dtype=bool)
        for shard in self._shards:
            _copy_features(shard, keys, missing, into)
        if missing.any():
            for shard in self._open_new_files(into.shape[1]):
                _copy_features(shard, keys, missing, into)
        return missing

    def add(self, keys: np.ndarray, features: Tensor) -> None:
        """Store the features (N, D) of distinct keys (N,): in a memory-mapped file, or in memory if that fails."""
        shard = Shard.of(keys, features)
        if self._folder is not None:
            name = hashlib.blake2b(shard.keys.tobytes(), digest_size=16).hexdigest() + ".safetensors"
            path = self._folder / name
            raw = torch.from_numpy(shard.keys.view(np.uint8).reshape(-1, _KEY_BYTES).copy())
            # A full disk, or a damaged or earlier file that cannot be removed: use memory.
            with suppress(OSError, SafetensorError, ValueError, _NoDigest):
                if not path.exists():
                    with whole_file(path) as unfinished:
                        digest = {_DIGEST: _digest(shard.features, raw)}
                        save_file({"features": shard.features, "keys": raw}, unfinished, digest)
                shard = _read(path, features.shape[1])
                self._seen.add(name)
        self._shards.append(shard)

    def _open_new_files(self, width: int) -> list[Shard]:
        if self._folder is None or not self._folder.is_dir():
            return []
        shards = []
        for path in sorted(self._folder.glob("*.safetensors")):
            if path.name not in self._seen:
                self._seen.add(path.name)
                try:
                    shards.append(_read(path, width))
                except OSError:  # removed in the meantime, or not readable
                    continue
                except _NoDigest:  # of an earlier version: its texts are encoded again
                    with suppress(OSError):
                        path.unlink()
                except (SafetensorError, ValueError) as error:
                    with suppress(OSError):
                        aside = set_aside(path, f"{path.name}.damaged")
                        log.warning("%s is damaged (%s): it is kept as %s, and encoded again", path, error, aside)
        self._shards += shards
        return shards


class _NoDigest(Exception):
    """A file of an earlier version, whose content cannot be checked."""


def _digest(features: Tensor, raw: Tensor) -> str:
    """Of features (N, D) and keys (N, 16)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (features, raw):
        digest.update(part.contiguous().view(torch.uint8).reshape(-1).numpy().data)
    return digest.hexdigest()


def _copy_features(shard: Shard, keys: np.ndarray, missing: np.ndarray, into: Tensor) -> None:
    """Copy the features that the shard has of the missing keys, and clear these in `missing`."""
    candidates = np.flatnonzero(missing)
    rows = shard.find(keys[candidates])
    present = rows >= 0
    into[torch.from_numpy(candidates[present])] = shard.features[torch.from_numpy(rows[present])]
    missing[candidates[present]] = False


def _read(path: Path, width: int) -> Shard:
    """Memory-map a file. Raises SafetensorError or ValueError if it is damaged or has another format."""
    with safe_open(path, framework="pt") as file:
        digest = (file.metadata() or {}).get(_DIGEST)
    saved = load_file(path)
    if saved.keys() != {"features", "keys"}:
        raise ValueError("it holds no features")
    features, raw = saved["features"], saved["keys"]
    if features.shape != (len(raw), width) or raw.shape[1:] != (_KEY_BYTES,) or features.dtype != torch.float32:
        raise ValueError("its features have another shape")
    if digest is None:
        raise _NoDigest
    if digest != _digest(features, raw):
        raise ValueError("its digest is another one")
    return Shard(raw.numpy().reshape(-1).view(f"S{_KEY_BYTES}"), features)
