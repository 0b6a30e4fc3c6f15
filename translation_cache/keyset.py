"""Searches millions of keys among millions of keys, in sorted arrays."""

import numpy as np


class KeySet:
    """Distinct keys in ascending order. Memory: 48 bytes per key. Construction sorts, `find` does not.

    Args:
        keys: (N, 2) uint64 (see `row_keys`), in any order, with duplicates.
    """

    def __init__(self, keys: np.ndarray) -> None:
        order = np.argsort(keys[:, 0])
        high, low = keys[order, 0], keys[order, 1]
        if np.any((high[1:] == high[:-1]) & (low[1:] != low[:-1])):
            order = np.lexsort((keys[:, 1], keys[:, 0]))  # two keys share their first 64 bits, which is rare
            high, low = keys[order, 0], keys[order, 1]
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        self._high, self._low = high[is_new], low[is_new]
        self.inverse = np.empty(len(order), dtype=np.int64)
        """For each input key its index in the set: (N,)."""
        self.inverse[order] = np.cumsum(is_new) - 1

    def __len__(self) -> int:
        return len(self._high)

    def first(self) -> np.ndarray:
        """For each key of the set the index of its first occurrence in the input: (len,)."""
        first = np.empty(len(self), dtype=np.int64)
        first[self.inverse[::-1]] = np.arange(len(self.inverse))[::-1]  # the last write remains
        return first

    def find(self, keys: np.ndarray) -> np.ndarray:
        """For each key its index in the set, -1 if it is absent: (M, 2) uint64 -> (M,). Fastest for sorted keys."""
        index = np.full(len(keys), -1, dtype=np.int64)
        pending = np.arange(len(keys))
        place = np.searchsorted(self._high, keys[:, 0])
        while len(pending):  # one round, except where keys share their first 64 bits
            pending, place = pending[place < len(self)], place[place < len(self)]
            same_high = self._high[place] == keys[pending, 0]
            hit = same_high & (self._low[place] == keys[pending, 1])
            index[pending[hit]] = place[hit]
            pending, place = pending[same_high & ~hit], place[same_high & ~hit] + 1
        return index
