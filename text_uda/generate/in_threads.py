"""Calls a function in several threads and yields each result as it is there."""

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Task], Result],
    tasks: Iterator[Task],
    threads: int,
    stop: threading.Event,
    *,
    idle_s: float | None = None,
) -> Iterator[tuple[Task, Result] | None]:
    """(task, result) of each task, in the order in which they are done; tasks are taken as threads become free.

    After each `idle_s` seconds without a result it yields None, so that the caller can work on what it has.

    At the end, and if the caller closes it, `stop` is set, for threads that wait. Nobody waits for them: they are
    daemons. An exception of a task is raised after the results that are there already.
    """
    waiting: SimpleQueue[Task | None] = SimpleQueue()
    done: SimpleQueue[tuple[Task, Result | None, BaseException | None]] = SimpleQueue()

    def serve() -> None:
        while (task := waiting.get()) is not None:
            try:
                done.put((task, work(task), None))
            except BaseException as error:
                done.put((task, None, error))

    def results(most: int) -> Iterator[tuple[Task, Result] | None]:
        """Wait until at most `most` tasks are unfinished, or one has failed."""
        nonlocal unfinished, error
        while unfinished > most and error is None:
            try:
                finished, result, error = done.get(timeout=idle_s)
            except Empty:
                yield None
                continue
            unfinished -= 1
            if error is None:
                yield finished, result  # pyright: ignore[reportReturnType]

    unfinished = started = 0
    error: BaseException | None = None
    try:
        for task in tasks:
            if started < threads:
                started += 1
                threading.Thread(target=serve, daemon=True, name=f"request-{started}").start()
            else:
                yield from results(threads - 1)
                if error is not None:
                    break
            waiting.put(task)
            unfinished += 1
        yield from results(0)
        while error is not None:
            try:
                finished, result, other = done.get_nowait()
            except Empty:
                raise error from None
            if other is None:
                yield finished, result  # pyright: ignore[reportReturnType]
    finally:
        stop.set()
        for _ in range(started):
            waiting.put(None)
