"""How a failure ends: the line, the code, the traceback for who asks for it."""

import os
import signal
import subprocess
import sys
import time

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


def test_ctrl_c_in_paraphrasing_keeps_the_rows(record, tmp_path):
    path, cache = tmp_path / "many.tsv", tmp_path / "cache"
    rows = [f"the large house number {n} was a beautiful place to live in\t{n % 2}" for n in range(100_000)]
    path.write_text("text\tlabel\n" + "\n".join(rows), encoding="utf-8")
    command = [sys.executable, "-m", "text_uda.cli", "paraphrase", str(path)]
    command += ["--method", "synonym", "--cache", str(cache)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # what it is going to do
    while not list(cache.rglob("*.parquet")) and process.poll() is None:  # while it imports, Python can lose a Ctrl-C
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    last = errors.splitlines()[-1]
    assert last.startswith("interrupted: ") and str(cache) in last and "Traceback" not in errors
    assert record("cache", "verify", cache)["damaged"] == []
    assert record("cache", "stats", cache)["rows"] > 0


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "text_uda.cli", "data"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
