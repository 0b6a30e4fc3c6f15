"""Which rows a step sees: a pure function of (seed, step), so that a resumed run sees the same ones."""

import numpy as np

from text_uda.keyed_random import keyed_generator


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


class TokenBudgetStream:
    """An endless shuffled pass over rows of different lengths, in steps of about the same number of tokens.

    Each epoch has an order of its own, cut where the running sum of the lengths passes equal parts of the whole: every
    row once an epoch, as many steps in each, none of them empty. Memory: 16 bytes a row.
    """

    def __init__(self, lengths: np.ndarray, *, tokens_per_step: int, seed: int, name: str) -> None:
        assert len(lengths) and lengths.min() > 0, "a stream has rows to give, and each has tokens"
        self._lengths, self._seed, self._name = lengths.astype(np.int64), seed, name
        self._total = int(self._lengths.sum())
        # A part is as long as the longest row or longer, and so holds the beginning of one.
        most = self._total // int(self._lengths.max())
        self.steps_per_epoch = max(1, min(round(self._total / tokens_per_step), most))
        self._epoch = -1
        self._batches: list[np.ndarray] = []

    def tokens(self, steps: int) -> int:
        """Of the first so many steps together."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        left = range(steps - rest, steps)
        return epochs * self._total + sum(int(self._lengths[self.take(step)].sum()) for step in left)

    def take(self, step: int) -> np.ndarray:
        """The rows of a step, (B,) int64; B differs from step to step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = keyed_generator(self._seed, self._name, epoch).permutation(len(self._lengths))
            lengths = self._lengths[order]
            part = (np.cumsum(lengths) - lengths) * self.steps_per_epoch // self._total  # of each row's first token
            self._batches = np.split(order, np.searchsorted(part, np.arange(1, self.steps_per_epoch)))
            self._epoch = epoch
        return self._batches[place]
