"""Being stopped: by a signal, by a limit; and what a second signal does."""

import os
import signal
from pathlib import Path

import pytest

from text_uda.errors import SettingsError
from text_uda.training.stop_signals import StopRequest

INT, TERM = signal.SIGINT, signal.SIGTERM


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_handlers_are_put_back(number):
    before = signal.getsignal(number)
    stop = StopRequest()
    with stop.on_signals():
        assert not stop.is_set()
        send(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM,) * 3, (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)]
)
def test_a_scheduler_may_say_it_twice(numbers):
    """To the process, to its group, by the launcher: the step ends all the same, and is saved."""
    stop = StopRequest()
    with stop.on_signals():
        for number in numbers:
            send(number)
    assert stop.is_set()


def test_who_presses_ctrl_c_twice_leaves_at_once():
    with pytest.raises(KeyboardInterrupt), StopRequest().on_signals():
        send(signal.SIGINT)
        send(signal.SIGINT)


def test_minutes_count_from_the_beginning():
    assert StopRequest(1e-9).is_set() and not StopRequest(60).is_set() and not StopRequest(None).is_set()
    assert "stopped after step 3 of 9 (limit of 1e-09 minutes); run holds" in StopRequest(1e-9).message(
        3, 9, Path("run")
    )
    with pytest.raises(SettingsError, match="max_minutes=0"):
        StopRequest(0)
