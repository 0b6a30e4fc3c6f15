"""The command in a process of its own, forked from one that has imported the libraries: that takes ten seconds."""

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

_STREAMS = ("stdin", "stdout", "stderr")

context = get_context("forkserver")
context.set_forkserver_preload(
    ["text_uda.experiment.trial", "text_uda.training.pretraining", "text_uda.predict", "text_uda.report"]
)


class Started:
    """As much of `subprocess.Popen` as the tests ask for; its streams are files."""

    def __init__(self, *words: object, stdin: str = "", environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="text-uda-command-")
        (Path(self._folder.name) / "stdin").write_text(stdin, "utf-8")
        self._process = context.Process(target=_run, args=([*map(str, words)], self._folder.name, environment or {}))
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        self._process.join(timeout)
        assert self._process.exitcode is not None, "it goes on for too long"
        out, errors = ((Path(self._folder.name) / name).read_text("utf-8") for name in _STREAMS[1:])
        self._folder.cleanup()
        return out, errors

    @property
    def returncode(self) -> int:
        assert self._process.exitcode is not None
        return self._process.exitcode


def finished(*words: object, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command run to its end, which has to be with this code."""
    process = Started(*words, stdin=stdin)
    out, errors = process.communicate()
    assert process.returncode == code, errors
    return subprocess.CompletedProcess(words, code, out, errors)


def as_group(processes: int, *words: object) -> subprocess.CompletedProcess[str]:
    """The command in processes that share each batch, as `torchrun` starts them, and their outputs, joined."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "GLOO_SOCKET_IFNAME": "lo",
        "ACCELERATE_USE_CPU": "true",
    }
    group = [
        Started(*words, environment=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {})
        for rank in range(processes)
    ]
    outputs = [process.communicate(300) for process in group]
    code = max(abs(process.returncode) for process in group)
    return subprocess.CompletedProcess(words, code, *map("".join, zip(*outputs, strict=True)))


def _run(words: list[str], folder: str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    for number, name in enumerate(_STREAMS):
        handle = os.open(os.path.join(folder, name), os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, number)
        raw = io.FileIO(number, "w" if number else "r", closefd=False)
        buffered = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
        setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8", line_buffering=True))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from text_uda.cli import main

    main(words)
