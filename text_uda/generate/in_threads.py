"""Calls a function in several threads and yields each result as it is there."""

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Task], Result], tasks: Iterator[Task], threads: int, stop: threading.Event
) -> Iterator[tuple[Task, Result]]:
    """(task, result) of each task, in the order in which they are done; tasks are taken as threads become free.

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

    unfinished = started = 0
    error: BaseException | None = None
    try:
        for task in tasks:
            if started < threads:
                started += 1
                threading.Thread(target=serve, daemon=True, name=f"request-{started}").start()
            elif unfinished >= threads:
                finished, result, error = done.get()
                unfinished -= 1
                if error is not None:
                    break
                yield finished, result  # pyright: ignore[reportReturnType]
            waiting.put(task)
            unfinished += 1
        while unfinished and error is None:
            finished, result, error = done.get()
            unfinished -= 1
            if error is None:
                yield finished, result  # pyright: ignore[reportReturnType]
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
