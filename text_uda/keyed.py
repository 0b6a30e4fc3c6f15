"""Randomness from a key: a hash of exactly what decides it, the same in any order, batch, process or machine."""

import hashlib

import numpy as np


def keyed_seed(*parts: object) -> int:
    """A 128-bit seed from the parts (texts, numbers), of which none runs into the next."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "big")


def keyed_generator(*parts: object) -> np.random.Generator:
    """A generator whose numbers depend on the parts alone."""
    return np.random.Generator(np.random.Philox(key=keyed_seed(*parts)))
