"""Keys that are looked for in bulk: millions against millions, in sorted arrays and not one by one."""

import numpy as np


class KeySet:
    """Keys, each once, in their order. Memory: 48 bytes a key; building it sorts, finding does not.

    Args:
        keys: (N, 2) uint64 (see `row_keys`), in any order, any number of times.
    """

    def __init__(self, keys: np.ndarray) -> None:
        order = np.argsort(keys[:, 0])
        high, low = keys[order, 0], keys[order, 1]
        if np.any((high[1:] == high[:-1]) & (low[1:] != low[:-1])):
            order = np.lexsort((keys[:, 1], keys[:, 0]))  # two keys share 64 bits, which hashes hardly ever do
            high, low = keys[order, 0], keys[order, 1]
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        self._high, self._low = high[begins], low[begins]
        self.inverse = np.empty(len(order), dtype=np.int64)
        """For each of the keys given, its place in the set: (N,)."""
        self.inverse[order] = np.cumsum(begins) - 1

    def __len__(self) -> int:
        return len(self._high)

    def first(self) -> np.ndarray:
        """For each key of the set, where it stood first among the keys given: (len,)."""
        first = np.empty(len(self), dtype=np.int64)
        first[self.inverse[::-1]] = np.arange(len(self.inverse))[::-1]  # the last one written stays
        return first

    def find(self, keys: np.ndarray) -> np.ndarray:
        """For each key its place in the set, -1 where it is not in it: (M, 2) uint64 -> (M,). Fastest in order."""
        found = np.full(len(keys), -1, dtype=np.int64)
        asked = np.arange(len(keys))
        place = np.searchsorted(self._high, keys[:, 0])
        while len(asked):  # once, but where keys share 64 bits
            asked, place = asked[place < len(self)], place[place < len(self)]
            near = self._high[place] == keys[asked, 0]
            hit = near & (self._low[place] == keys[asked, 1])
            found[asked[hit]] = place[hit]
            asked, place = asked[near & ~hit], place[near & ~hit] + 1
        return found
