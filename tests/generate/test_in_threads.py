"""Several calls at a time: results as they come, tasks as threads become free."""

import threading
from collections.abc import Iterator

import pytest

from text_uda.generate.in_threads import in_threads


def test_calls_run_at_the_same_time_and_a_slow_one_holds_up_no_other() -> None:
    last_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert last_done.wait(60)  # the first ends after all others
        return number * number

    results = []
    for result in in_threads(work, iter(range(20)), 3, threading.Event()):
        assert result is not None
        number, square = result
        results.append(number)
        assert square == number**2
        if len(results) == 19:
            last_done.set()
    assert results[-1] == 0 and sorted(results) == list(range(20))


def test_tasks_are_taken_as_threads_become_free() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_threads(lambda number: number, tasks(), 4, threading.Event())
    next(results)
    assert len(taken) == 5
    results.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_comes_after_the_results_and_ends_the_others() -> None:
    stop, others_done = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            assert others_done.wait(60)
            raise KeyError("one")
        return number

    results = set()
    with pytest.raises(KeyError, match="one"):
        for result in in_threads(work, iter(range(3)), 3, stop):
            results.add(result)
            if len(results) == 2:
                others_done.set()
    assert stop.is_set() and results == {(0, 0), (2, 2)}


def test_the_caller_is_called_back_while_no_result_comes() -> None:
    called_back = threading.Event()

    def work(number: int) -> int:
        assert number == 0 or called_back.wait(60)
        return number

    results = []
    for result in in_threads(work, iter(range(4)), 2, threading.Event(), idle_s=0.01):
        if result is None:
            called_back.set()
        else:
            results.append(result)
    assert sorted(results) == [(number, number) for number in range(4)]


def test_closing_it_wakes_threads_that_wait() -> None:
    stop, ended = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number:
            stop.wait(60)
            ended.set()
        return number

    results = in_threads(work, iter(range(2)), 2, stop)
    assert next(results) == (0, 0)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert stop.is_set() and ended.wait(60)


def test_no_task_starts_no_thread() -> None:
    assert list(in_threads(lambda task: task, iter(()), 5, threading.Event())) == []
