"""A progress bar for libraries that report (done, total) and know nothing of terminals."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from text_uda.progress import Progress, progress


@contextmanager
def followed(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback(done, total); the bar opens at its first call, where the total is known."""
    with ExitStack() as stack:
        bar: Progress | None = None
        last = 0

        def follow(done: int, total: int) -> None:
            nonlocal bar, last
            if bar is None:
                bar = stack.enter_context(progress(total, label, unit))
            bar.advance(done - last)
            last = done

        yield follow
