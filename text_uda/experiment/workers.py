"""Runs trials in several processes of this machine, each with its GPU or its share of the cores.

The parent knows which process runs which trial, so that a process that dies takes no other trial with it. Beyond one
machine, each machine runs a share of the trials (`run_study`), or `accelerate launch` starts the processes of a single
training.
"""

import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_all_start_methods, get_context, parent_process
from pathlib import Path

from text_uda.errors import UserError
from text_uda.experiment.trial import Trial, TrialRunner
from text_uda.training.stop_signals import Interrupted, StopRequest
from translation_cache.atomic import write_whole

_POLL_S = 0.5  # for a request to stop

Finished = tuple[Trial, str | None]  # the error of a failed trial, else None


def run_trials(trials: Sequence[Trial], runner: TrialRunner, *, workers: int, logs: Path) -> Iterator[Finished]:
    """Yield each trial when it ends.

    Args:
        workers: number of processes; 1 runs the trials in this process.
        logs: folder for the output of the processes.
    Raises:
        Interrupted: SIGINT or SIGTERM; runs in training have written a checkpoint.
        UserError: all processes died before their first trial.
    """
    if workers > 1:
        yield from _in_parallel(trials, runner, workers, logs)
        return
    for trial in trials:
        yield trial, _attempt(runner, trial, logs).error


@dataclass(frozen=True)
class _Ready:
    """A process sends it when it is ready for a trial."""

    error: str | None = None
    """Of the trial before."""
    broken: bool = False
    """The error was unexpected: the state of the process and of its GPU is unknown."""


def _attempt(runner: TrialRunner, trial: Trial, logs: Path) -> _Ready:
    """Run a trial; the traceback of an unexpected error is written to `logs`."""
    try:
        runner.run(trial)
    except UserError as error:
        return _Ready(str(error))
    except Exception as error:
        file = logs / f"{trial.folder}.txt"
        write_whole(file, traceback.format_exc().encode("utf-8", "backslashreplace"))
        return _Ready(f"{type(error).__name__}: {error} (see {file})", broken=True)
    return _Ready()


class _Worker:
    """A process and its current trial, None while it starts."""

    def __init__(self, number: int, workers: int, runner: TrialRunner, logs: Path) -> None:
        # Forked from a server that has imported the libraries, which takes ten seconds, and has no threads: a fork of
        # this process would copy the locks of torch and Arrow in an unknown state.
        if "forkserver" in get_all_start_methods():
            context = get_context("forkserver")
            context.set_forkserver_preload(["text_uda.experiment.trial"])
        else:  # on Windows
            context = get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        self.number = number
        self.trial: Trial | None = None
        self.process = context.Process(target=_serve, args=(child_pipe, number, workers, runner, logs), daemon=True)
        self.process.start()
        child_pipe.close()

    def start_trial(self, trial: Trial) -> None:
        self.trial = trial
        with suppress(OSError):  # the process has died, as `receive` will report
            self.pipe.send(trial)

    def receive(self) -> _Ready:
        """The message of the process; a broken one in place of a process that has died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            reason = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            return _Ready(f"its process died ({reason}; out of memory?)", broken=True)


def _in_parallel(trials: Sequence[Trial], runner: TrialRunner, workers: int, logs: Path) -> Iterator[Finished]:
    waiting = deque(trials)
    busy: dict[connection.Connection, _Worker] = {}

    def start(number: int) -> None:
        worker = _Worker(number, workers, runner, logs)
        busy[worker.pipe] = worker

    stop = StopRequest()
    try:
        with stop.on_signals():
            for number in range(min(workers, len(waiting))):
                start(number)
            while busy:
                for pipe in connection.wait(list(busy), timeout=_POLL_S):
                    assert isinstance(pipe, connection.Connection)
                    worker = busy[pipe]
                    ready = worker.receive()
                    del busy[pipe]
                    if worker.trial is not None:
                        yield worker.trial, ready.error
                    elif ready.broken:  # before its first trial; the other processes continue
                        if not busy:
                            raise UserError(f"no process of the study can start: {ready.error} Its output is above")
                        continue
                    if not waiting or stop.is_set():
                        worker.pipe.close()  # which ends the process
                    elif ready.broken:
                        start(worker.number)
                    else:
                        worker.start_trial(waiting.popleft())
                        busy[pipe] = worker
                if stop.is_set():
                    raise Interrupted
    finally:
        for worker in busy.values():  # a process in training writes a checkpoint first
            worker.process.terminate()
            worker.pipe.close()  # ends a process that has finished its trial
        for worker in busy.values():
            worker.process.join()


def _serve(pipe: connection.Connection, number: int, workers: int, runner: TrialRunner, logs: Path) -> None:
    """Run the trials that arrive through the pipe, until it is closed or this process is broken."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between trials; Ctrl-C reaches the whole process group
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"process-{number}.txt").open("a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    _take_device(number, workers)
    ready = _Ready()
    with suppress(EOFError, OSError, Interrupted):
        pipe.send(ready)
        while not ready.broken:
            ready = _attempt(runner, pipe.recv(), logs)
            pipe.send(ready)


def _exit_with_parent() -> None:
    """A killed parent sends no message, and the next call must not find this process at work on its runs."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _take_device(number: int, workers: int) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    elif workers > 1:
        torch.set_num_threads(threads_of_worker(workers))


def threads_of_worker(workers: int) -> int:
    """Of torch, on a CPU: each worker has an equal share of the cores; a single one keeps what is set."""
    import torch

    if workers <= 1 or torch.cuda.is_available():
        return torch.get_num_threads()
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, cores // workers)
