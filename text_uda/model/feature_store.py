"""What frozen encoders made of texts, kept by content in one folder for all runs and commands.

FOLDER/<digest of the encoder>/<digest of the keys>.safetensors     features (N, D) float32 and keys (N, 16), sorted

A file appears whole or not at all and never changes, so any number of processes may read and write; two that write the
same texts write the same file. It takes 4 D + 16 bytes a text: 1.6 KB where D = 384, 1.6 GB for a million. The folder
may be removed at any time: what is missing is encoded again.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from text_uda.cache_dir import home
from translation_cache.atomic import whole_file

_KEY_BYTES = 16


def features_folder() -> Path | None:
    """$TEXT_UDA_FEATURES, None where that is "off"; without it, `features` in `home()`. It may not exist yet."""
    given = os.environ.get("TEXT_UDA_FEATURES")
    if given == "off":
        return None
    return Path(given) if given else home() / "features"


def keys_of(texts: Sequence[str]) -> np.ndarray:
    """A 128-bit hash of each text, (N,) of 16 bytes."""
    joined = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest() for text in texts
    )
    return np.frombuffer(joined, dtype=f"S{_KEY_BYTES}")


@dataclass(frozen=True)
class Shard:
    """Features of texts by their keys, which are sorted and distinct."""

    keys: np.ndarray  # (N,) of 16 bytes
    features: Tensor  # (N, D) float32

    @staticmethod
    def of(keys: np.ndarray, features: Tensor) -> "Shard":
        """Of distinct keys in any order."""
        order = np.argsort(keys)
        return Shard(keys[order], features[torch.from_numpy(order)])

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, (M,) int64; -1 where it has none."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        rows = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[rows] == keys, rows, -1)


class FeatureStore:
    """The features that one encoder made.

    Args:
        folder: where they lie; None keeps them in memory alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._shards: list[Shard] = []
        self._seen: set[str] = set()  # names of files that were opened, and of those that are damaged

    def take(self, keys: np.ndarray, into: Tensor) -> np.ndarray:
        """Write the features of the keys (M,) that are known into the rows of `into` (M, D); which are not, (M,) bool.

        What other processes wrote in the meantime is found.
        """
        missing = np.ones(len(keys), dtype=bool)
        for shard in self._shards:
            _take(shard, keys, missing, into)
        if missing.any():
            for shard in self._opened(into.shape[1]):
                _take(shard, keys, missing, into)
        return missing

    def add(self, keys: np.ndarray, features: Tensor) -> None:
        """Keep the features (N, D) of distinct keys (N,). On disk, and then memory-mapped, where that is writable."""
        shard = Shard.of(keys, features)
        if self._folder is not None:
            name = hashlib.blake2b(shard.keys.tobytes(), digest_size=16).hexdigest() + ".safetensors"
            path = self._folder / name
            raw = torch.from_numpy(shard.keys.view(np.uint8).reshape(-1, _KEY_BYTES).copy())
            with suppress(OSError, SafetensorError, ValueError):  # a full disk, or a damaged file: memory will do
                if not path.exists():
                    with whole_file(path) as aside:
                        save_file({"features": shard.features, "keys": raw}, aside)
                shard = _read(path, features.shape[1])
                self._seen.add(name)
        self._shards.append(shard)

    def _opened(self, width: int) -> list[Shard]:
        """Files that are new here."""
        if self._folder is None or not self._folder.is_dir():
            return []
        found = []
        for path in sorted(self._folder.glob("*.safetensors")):
            if path.name not in self._seen:
                self._seen.add(path.name)
                try:
                    found.append(_read(path, width))
                except OSError:  # removed meanwhile, or another's alone
                    continue
                except (SafetensorError, ValueError):  # it is made anew
                    with suppress(OSError):
                        path.unlink()
        self._shards += found
        return found


def _take(shard: Shard, keys: np.ndarray, missing: np.ndarray, into: Tensor) -> None:
    wanted = np.flatnonzero(missing)
    rows = shard.find(keys[wanted])
    there = rows >= 0
    into[torch.from_numpy(wanted[there])] = shard.features[torch.from_numpy(rows[there])]
    missing[wanted[there]] = False


def _read(path: Path, width: int) -> Shard:
    """Memory-mapped. Raises SafetensorError or ValueError where it is not one of ours, or not whole."""
    saved = load_file(path)
    if saved.keys() != {"features", "keys"}:
        raise ValueError(f"{path} holds no features")
    features, raw = saved["features"], saved["keys"]
    if features.shape != (len(raw), width) or raw.shape[1:] != (_KEY_BYTES,) or features.dtype != torch.float32:
        raise ValueError(f"{path} holds features of another shape")
    return Shard(raw.numpy().reshape(-1).view(f"S{_KEY_BYTES}"), features)
