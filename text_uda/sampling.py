"""Which rows a step sees: a pure function of (seed, step), so that a resumed run sees the same ones."""

import numpy as np

from text_uda.keyed import keyed_generator


class RowStream:
    """An endless shuffled pass over `rows` rows: every row once an epoch, each epoch in an order of its own.

    Memory: 16 bytes a row, for the orders of two epochs at most.
    """

    def __init__(self, rows: int, *, seed: int, name: str) -> None:
        assert rows > 0, "an empty stream has no rows to give"
        self._rows, self._seed, self._name = rows, seed, name
        self._orders: dict[int, np.ndarray] = {}

    def take(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a step that takes `count` rows, and how often each was visited before. ((count,), (count,))"""
        positions = np.arange(step * count, (step + 1) * count)
        epochs, offsets = np.divmod(positions, self._rows)
        indices = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            indices[mine] = self._order(int(epoch))[offsets[mine]]
        return indices, epochs

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = keyed_generator(self._seed, self._name, epoch).permutation(self._rows)
        return self._orders[epoch]
