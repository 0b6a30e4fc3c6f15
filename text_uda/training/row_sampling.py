"""The rows of each step, as a pure function of (seed, step), so that a resumed run reads the same rows."""

import numpy as np

from text_uda.keyed_random import keyed_generator


class RowStream:
    """Endless passes over `rows` rows: every row once an epoch, and a new random order for each epoch.

    Memory: 16 bytes a row, for the orders of at most two epochs.
    """

    def __init__(self, rows: int, *, seed: int, name: str) -> None:
        assert rows > 0, "an empty stream has no rows"
        self._rows, self._seed, self._name = rows, seed, name
        self._orders: dict[int, np.ndarray] = {}

    def take(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` rows of a step, and the number of earlier visits of each, ((count,), (count,))."""
        positions = np.arange(step * count, (step + 1) * count)
        epochs, offsets = np.divmod(positions, self._rows)
        indices = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs):
            in_epoch = epochs == epoch
            indices[in_epoch] = self._order(int(epoch))[offsets[in_epoch]]
        return indices, epochs

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = keyed_generator(self._seed, self._name, epoch).permutation(self._rows)
        return self._orders[epoch]


class TokenBudgetStream:
    """Endless passes over rows of different lengths, in steps with about the same number of tokens.

    Each epoch has a new random order, which is split where the running sum of the lengths passes equal parts of the
    total: every row once an epoch, the same number of steps in every epoch, no empty step. Memory: 16 bytes a row.
    """

    def __init__(self, lengths: np.ndarray, *, tokens_per_step: int, seed: int, name: str) -> None:
        assert len(lengths) and lengths.min() > 0, "a stream has rows, and every row has tokens"
        self._lengths, self._seed, self._name = lengths.astype(np.int64), seed, name
        self._total = int(self._lengths.sum())
        # A part is at least as long as the longest row, so that some row starts in it.
        max_steps = self._total // int(self._lengths.max())
        self.steps_per_epoch = max(1, min(round(self._total / tokens_per_step), max_steps))
        self._epoch = -1
        self._batches: list[np.ndarray] = []

    def tokens(self, steps: int) -> int:
        """The number of tokens in the first `steps` steps."""
        epochs, remainder = divmod(steps, self.steps_per_epoch)
        last_steps = range(steps - remainder, steps)
        return epochs * self._total + sum(int(self._lengths[self.take(step)].sum()) for step in last_steps)

    def take(self, step: int) -> np.ndarray:
        """The rows of a step, (B,) int64; B differs from step to step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = keyed_generator(self._seed, self._name, epoch).permutation(len(self._lengths))
            lengths = self._lengths[order]
            part = (np.cumsum(lengths) - lengths) * self.steps_per_epoch // self._total  # where each row starts
            self._batches = np.split(order, np.searchsorted(part, np.arange(1, self.steps_per_epoch)))
            self._epoch = epoch
        return self._batches[index]
