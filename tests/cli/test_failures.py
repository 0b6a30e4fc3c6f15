"""How a failure ends: the line, the code, the traceback for who asks for it."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import click
import pytest

from text_uda.cli import failures
from text_uda.cli.failures import Interrupted, explain, keeps, signals_interrupt
from translation_cache import Cache, Paraphrase
from translation_cache.atomic import PREFIX


@pytest.fixture
def broken(monkeypatch):
    """`text-uda data` fails as no user could have made it fail."""
    import text_uda.data

    def known():
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(text_uda.data, "known", known)


def test_a_bug_is_one_line_and_code_1(run, broken):
    result = run("data")
    assert result.exit_code == 1
    assert result.stderr == r"error: RuntimeError: two\nlines (--debug shows the traceback)" + "\n"


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback(run, broken, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("TEXT_UDA_DEBUG", "1")
    result = run("data", *(["--debug"] if how == "option" else []))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-1].startswith("error: RuntimeError")


def test_ctrl_c_says_what_is_kept(run, monkeypatch):
    with pytest.raises(Interrupted, match="rows are kept"), keeps("rows are kept"):
        raise KeyboardInterrupt
    with pytest.raises(Interrupted, match="after step 3"), keeps("rows are kept"):
        raise KeyboardInterrupt("stopped after step 3")
    assert explain(Interrupted("rows are kept")) == ("interrupted: rows are kept", 130)
    assert explain(click.Abort()) == ("interrupted", 130)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "in the second batch"),
        (signal.SIGINT, "after the last row"),
        (signal.SIGINT, "at the report"),
        (signal.SIGTERM, "in the second batch"),
        (signal.SIGHUP, "in the second batch"),
    ],
)
def test_a_signal_in_paraphrasing_keeps_the_rows(run, record, reviews, tmp_path, monkeypatch, number, moment):
    import translation_cache.filling
    from text_uda.augment.synonym import Synonym
    from text_uda.cli import verb_paraphrase

    place, name, call = {
        "in the second batch": (Synonym, "__call__", 2),
        "after the last row": (translation_cache.filling, "compact_small", 1),
        "at the report": (verb_paraphrase, "_echo_report", 1),
    }[moment]
    original, calls = getattr(place, name), itertools.count(1)

    def interrupted(*words, **options):
        if next(calls) == call:
            signal.raise_signal(number)
        return original(*words, **options)

    monkeypatch.setattr(Synonym, "batch_size", 100)  # of 360 texts
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(place, name, interrupted)
        result = run("paraphrase", reviews, "--method", "synonym", "--cache", cache)
    assert result.exit_code == 130, result.output
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGHUP) is signal.SIG_DFL, (
        "not a verb's any more"
    )
    last = result.stderr.splitlines()[-1]
    assert last.startswith("interrupted: finished paraphrases are kept") and str(cache) in last
    assert record("cache", "verify", cache)["damaged"] == []
    rows = record("cache", "stats", cache)["rows"]
    again = record("paraphrase", reviews, "--method", "synonym", "--cache", cache)
    assert (rows == 100) == (moment == "in the second batch") and rows == again["present"] > 0
    assert (again["made"] > 0) == (moment == "in the second batch")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "run/result.json"), "'run/result.json' cannot be read or written"),
        (OSError(5, "Input/output error"), "the disk cannot be read or written (Input/output error)"),
        (RuntimeError("I/O error: Permission denied (os error 13)"), "(Permission denied): get permission, or name"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full; free some space"),
    ],
    ids=["permission", "device", "safetensors", "safetensors, full"],
)
def test_a_disk_that_refuses_is_one_line(error, words):
    line, code = explain(error)
    assert words in line and line.endswith("finished work is kept") and code == 2


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("compact", "CACHE"), "no row of CACHE is lost; rerun the same command to finish"),
        (
            ("merge", "INTO", "CACHE"),
            "the files that were copied are kept in INTO; rerun the same command for the others",
        ),
        (("export", "CACHE", "--out", "OUT"), "OUT is as it was; rerun the same command"),
    ],
)
def test_a_signal_in_a_verb_of_the_cache_loses_nothing(run, record, tmp_path, monkeypatch, words, kept):
    """Also with a second one while the first is at work, as `timeout` sends it."""
    paths = {"CACHE": tmp_path / "cache", "INTO": tmp_path / "into", "OUT": tmp_path / "pairs.jsonl"}
    for number in range(2):
        Cache(paths["CACHE"]).add({"method": "upper", "unit": "text"}, [(f"text {number}", 0, Paraphrase("TEXT"))])
    sync, unlink, signals = os.fsync, Path.unlink, []

    def terminated(descriptor):
        signals.append(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        sync(descriptor)

    def terminated_again(path, missing_ok=False):
        signal.raise_signal(signal.SIGTERM)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", terminated)
        patch.setattr(Path, "unlink", terminated_again)
        result = run("cache", *(paths.get(word, word) for word in words))
    assert result.exit_code == 130 and signals, result.output
    for name, path in paths.items():
        kept = kept.replace(name, str(path))
    assert result.stderr.strip() == f"interrupted: {kept}"
    assert not list(tmp_path.rglob(f"{PREFIX}*")) and not paths["OUT"].exists()
    assert record("cache", "stats", paths["CACHE"])["rows"] == 2
    assert run("cache", *(paths.get(word, word) for word in words)).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_an_import_that_would_forget_it_interrupts(run, tmp_path, monkeypatch, number):
    import text_uda.data

    module = tmp_path / "forgetful_module.py"
    send = f"    signal.raise_signal({int(number)})"
    lines = ["import signal", "try:", send, "    whole = True", "except BaseException:", "    pass"]
    module.write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    def known():
        import forgetful_module  # pyright: ignore[reportMissingImports]

        assert forgetful_module.whole
        for _ in range(3000):  # the signal is sent again
            time.sleep(0.01)

    monkeypatch.setattr(text_uda.data, "known", known)
    try:
        result = run("data")
    finally:
        sys.modules.pop("forgetful_module", None)
    assert (result.exit_code, result.stderr) == (130, "\ninterrupted\n")


@pytest.fixture
def send_twice(tmp_path, monkeypatch):
    """Imports a module at which SIGTERM comes twice; returns what the threads would run that send it again."""
    threads = []
    monkeypatch.setattr(failures._thread, "start_new_thread", lambda *call: threads.append(call))
    monkeypatch.setattr(failures.time, "sleep", lambda _: None)
    (tmp_path / "slow_module.py").write_text("import signal\n" + "signal.raise_signal(signal.SIGTERM)\n" * 2)
    monkeypatch.syspath_prepend(tmp_path)

    def send():
        import slow_module  # pyright: ignore[reportMissingImports]  # noqa: F401

        return threads

    yield send
    sys.modules.pop("slow_module", None)


@pytest.fixture
def sent(monkeypatch):
    """The signals that were sent again, which arrive too."""
    numbers, send = [], signal.pthread_kill
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: numbers.append(number) or send(thread, number))
    return numbers


def test_two_signals_in_an_import_interrupt_once(send_twice, sent):
    with signals_interrupt():
        [(send_again, words)] = send_twice()
        with pytest.raises(KeyboardInterrupt):
            send_again(*words)
        send_again(*words)
    assert sent == [signal.SIGTERM]


def test_an_interruption_is_for_all_signals_of_an_import(send_twice, sent):
    with signals_interrupt():
        [(send_again, words)] = send_twice()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        send_again(*words)
    assert sent == []


@pytest.mark.parametrize("interrupted", [False, True])
def test_no_signal_of_an_import_outlives_the_block(send_twice, sent, interrupted):
    with suppress(KeyboardInterrupt), signals_interrupt():
        [(send_again, words)] = send_twice()
        if interrupted:
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    send_again(*words)
    assert sent == []


def test_a_signal_that_is_sent_as_the_block_ends_comes_before_its_handlers_go(monkeypatch):
    sent = []

    class Held:
        """A lock that the other thread holds, as it sends, when the block ends."""

        def __enter__(self):
            if not sent:
                sent.append(signal.SIGTERM)
                assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
                signal.raise_signal(signal.SIGTERM)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(failures.threading, "Lock", Held)
    with signals_interrupt():
        pass
    assert sent == [signal.SIGTERM] and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_is_sent_again_under_the_lock(monkeypatch):
    pending, sending, held = {signal.SIGTERM}, threading.Lock(), []
    monkeypatch.setattr(failures.time, "sleep", lambda _: None)
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: held.append(sending.locked()))
    failures._send_again(signal.SIGTERM, pending, sending)
    assert held == [True] and not pending and not sending.locked()


def test_a_ctrl_c_while_arrow_would_import_pandas_is_not_lost():
    program = """
import signal, sys
class Sender:
    def find_spec(self, name, path, target=None):
        if name == "pandas.core.config_init":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Sender())
from translation_cache import Cache
assert "pandas" not in sys.modules
Cache("missing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1:] == ["KeyboardInterrupt"]


def test_an_ignored_signal_stays_ignored(run, monkeypatch):
    """As under `nohup`."""
    import text_uda.data

    known = text_uda.data.known
    monkeypatch.setattr(text_uda.data, "known", lambda: signal.raise_signal(signal.SIGHUP) or known())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("data").exit_code == 0 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "text_uda.cli", "data"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
