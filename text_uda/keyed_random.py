"""Randomness from a key: a hash of exactly what decides it, the same in any order, batch, process or machine."""

import hashlib
import struct
from bisect import bisect
from collections.abc import Sequence

import numpy as np


def keyed_seed(*parts: object) -> int:
    """A 128-bit seed from the parts (texts, numbers), of which none runs into the next."""
    digest = hashlib.blake2b(digest_size=16)
    _update(digest, parts)
    return int.from_bytes(digest.digest(), "big")


def keyed_generator(*parts: object) -> np.random.Generator:
    """A generator whose numbers depend on the parts alone."""
    return np.random.Generator(np.random.Philox(key=keyed_seed(*parts)))


class Key:
    """What many draws have in common, such as the settings; the rest of their key (text, sample) is said to `draws`."""

    def __init__(self, *parts: object) -> None:
        self._hash = hashlib.blake2b(digest_size=64)
        _update(self._hash, parts)

    def draws(self, *parts: object) -> "Draws":
        keyed = self._hash.copy()
        _update(keyed, parts)
        return Draws(keyed)


class Draws:
    """Uniform numbers that depend on a key alone: BLAKE2b of the key and a counter.

    A NumPy generator takes 20 microseconds to make, this one takes one; a word-level augmentation needs a few numbers.
    """

    __slots__ = ("_counter", "_hash", "_left")

    def __init__(self, keyed: "hashlib.blake2b") -> None:
        self._hash = keyed
        self._counter = 0
        self._left: list[int] = []

    def _next(self) -> int:
        """64 bits."""
        if not self._left:
            block = self._hash.copy()
            block.update(self._counter.to_bytes(8, "big"))
            self._counter += 1
            self._left = list(_EIGHT.unpack(block.digest()))
        return self._left.pop()

    def uniform(self) -> float:
        """In [0, 1)."""
        return (self._next() >> 11) * 2.0**-53

    def below(self, count: int) -> int:
        """One of 0..count-1, all equally likely (to count / 2^64)."""
        return (self._next() * count) >> 64

    def distinct(self, population: int, count: int) -> list[int]:
        """`count` different ones of 0..population-1, all sets equally likely, in ascending order.

        Bentley & Floyd 1987 (Programming Pearls): count draws, however large the population.
        """
        chosen: set[int] = set()
        for last in range(population - count, population):
            drawn = self.below(last + 1)
            chosen.add(last if drawn in chosen else drawn)
        return sorted(chosen)

    def weighted(self, cumulative: Sequence[float]) -> int:
        """An index, as likely as its step in the running sums of the weights, of which each is 0 or more."""
        return min(bisect(cumulative, self.uniform() * cumulative[-1]), len(cumulative) - 1)


_EIGHT = struct.Struct(">8Q")


def _update(keyed: "hashlib.blake2b", parts: tuple[object, ...]) -> None:
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        keyed.update(len(data).to_bytes(8, "big"))
        keyed.update(data)
