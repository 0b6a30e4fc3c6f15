"""Progress: lines in a log file and when they are written; bars, and the lines beside them, on a terminal."""

import logging
from importlib import import_module
from io import StringIO
from types import SimpleNamespace

import pytest

from text_uda.cli.output import note
from text_uda.cli.quiet_libraries import quiet_libraries
from text_uda.progress import _FittingBar, followed, progress_bar


class Clock(SimpleNamespace):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(import_module("text_uda.progress"), "time", stopped)
    return stopped


def test_units_of_an_earlier_call_do_not_count_for_the_rate(clock, capsys):
    with progress_bar(100, "study", "runs", done=60) as bar:
        clock.seconds = 10.0
        bar.advance(20)
        assert capsys.readouterr().err == "study: 80/100 runs (2.0 runs/s, 10 s left)\n"
        clock.seconds = 19.0
        bar.advance(10)
        assert not capsys.readouterr().err, "less than ten seconds after the last line"
        clock.seconds = 20.0
        bar.note("loss 0.5")
        bar.advance(10)
    assert capsys.readouterr().err == "study: 100/100 runs (2.0 runs/s) loss 0.5\n"


def test_followed_code_counts_from_its_first_call(clock, capsys):
    with followed("encode", "texts") as follow:
        follow(60, 100)
        clock.seconds = 10.0
        follow(80, 100)
        assert capsys.readouterr().err == "encode: 80/100 texts (2.0 texts/s, 10 s left)\n"
        follow(100, 100)
    assert capsys.readouterr().err == "encode: 100/100 texts (4.0 texts/s)\n"


def test_a_process_that_is_not_the_first_prints_nothing(clock, capsys):
    with progress_bar(100, "study", "runs", shown=False) as bar:
        clock.seconds = 10.0
        bar.advance(20)
        bar.note("loss 0.5")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("say", [logging.getLogger("text_uda").warning, note])
def test_a_line_stands_above_the_bar(monkeypatch, say):
    terminal = StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    quiet_libraries()
    with progress_bar(100, "train", "steps") as bar:
        bar.advance(50)
        say("the loss rises")
        written = terminal.getvalue()
    before, line, after = written.partition("the loss rises\n")
    assert line and after.startswith("\rtrain: ")
    assert before.rsplit("\r", 1)[1] in ("warning: ", "note: "), "the bar is cleared first"


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.parametrize("label", ["train", "paraphrase (back-translation)", "encode (unlabeled)"])
def test_a_bar_fits_the_terminal_and_keeps_its_time_left(width, label):
    line = _FittingBar.format_meter(
        84_530, 169_060, 1900.0, ncols=width, prefix=label, unit=" rows", postfix="loss 0.532, dev error 21.25%"
    )
    assert len(line) <= width
    assert "31:40" in line and "50%" in line, "half of the rows took 31 minutes and 40 seconds"
    assert line.endswith("21.25%]" if "[" in line else "21.25%") or width < 60


def test_a_wide_terminal_shows_everything():
    line = _FittingBar.format_meter(50, 100, 10.0, ncols=120, prefix="train", unit=" steps", postfix="loss 0.5")
    assert line.startswith("train:  50%|") and line.endswith("| 50/100 [00:10<00:10,  5.00 steps/s, loss 0.5]")
    assert len(line) == 120
