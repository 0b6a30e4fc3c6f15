"""How a failure ends: the line, the code, the traceback for who asks for it."""

import itertools
import os
import signal
import subprocess
import sys

import click
import pytest

from text_uda.cli.failures import Interrupted, explain, keeps


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


@pytest.mark.parametrize("moment", ["in the second batch", "after the last row", "at the report"])
def test_ctrl_c_in_paraphrasing_says_what_is_kept(run, record, reviews, tmp_path, monkeypatch, moment):
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
            signal.raise_signal(signal.SIGINT)
        return original(*words, **options)

    monkeypatch.setattr(Synonym, "batch_size", 100)  # of 360 texts
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(place, name, interrupted)
        result = run("paraphrase", reviews, "--method", "synonym", "--cache", cache)
    assert result.exit_code == 130, result.output
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


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "text_uda.cli", "data"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
