"""How long a run took, over the processes that it took."""

import time
from typing import NamedTuple


class Spent(NamedTuple):
    """Time of this process and, where a run was stopped and goes on, of those before up to their last checkpoint."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all its threads."""

    @staticmethod
    def now(before: "Spent | None" = None) -> "Spent":
        """To be asked `until_now`; what was spent `before` counts, too."""
        earlier = Spent() if before is None else before
        return Spent(time.monotonic() - earlier.seconds, time.process_time() - earlier.cpu_seconds)

    def until_now(self) -> "Spent":
        """Since this was taken."""
        now = Spent.now()
        return Spent(now.seconds - self.seconds, now.cpu_seconds - self.cpu_seconds)
