"""Trials on several processes of this machine, each with its GPU or its share of the cores.

Who has a process to himself is known, so that one that dies takes no other trial with it. Past one machine each takes
its share of the trials (see `experiment`), or a single training its several processes by `accelerate launch`.
"""

import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from text_uda.errors import UserError
from text_uda.experiment.trial import Bench, Trial
from text_uda.interruption import Interrupted, Stop

_ASK_EVERY_S = 0.5  # whether to stop

Finished = tuple[Trial, str | None]  # why a trial failed, None where it did not


def run(trials: Sequence[Trial], bench: Bench, *, workers: int, logs: Path) -> Iterator[Finished]:
    """Each trial as it comes to its end.

    Args:
        workers: processes; 1 is this one.
        logs: a folder for what the processes say.
    Raises:
        Interrupted: SIGINT or SIGTERM; what is in training has left a checkpoint.
    """
    if workers > 1:
        yield from _together(trials, bench, workers, logs)
        return
    for trial in trials:
        yield trial, attempt(bench, trial, logs)


def attempt(bench: Bench, trial: Trial, logs: Path) -> str | None:
    """Run a trial; in words why it failed, of what is no user's mistake with the traceback in `logs`."""
    try:
        bench.run(trial)
    except UserError as error:
        return str(error)
    except Exception as error:
        logs.mkdir(parents=True, exist_ok=True)
        file = logs / f"{trial.folder}.txt"
        file.write_text(traceback.format_exc(), "utf-8", errors="backslashreplace")
        return f"{type(error).__name__}: {error} (see {file})"
    return None


class _Worker:
    """A process and the trial that it has been given."""

    def __init__(self, number: int, workers: int, bench: Bench, logs: Path) -> None:
        # Spawned, not forked: a fork copies the threads' locks of torch and Arrow in whatever state they are.
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.number, self.trial = number, None
        self.process = context.Process(target=_serve, args=(theirs, number, workers, bench, logs), daemon=True)
        self.process.start()
        theirs.close()

    trial: Trial | None

    def give(self, trial: Trial) -> None:
        self.trial = trial
        self.pipe.send(trial)

    def taken(self) -> Finished:
        """What has become of its trial. The process may have died of it."""
        trial, self.trial = self.trial, None
        assert trial is not None
        try:
            return trial, self.pipe.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            why = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            return trial, f"its process died ({why}; out of memory?)"


def _together(trials: Sequence[Trial], bench: Bench, workers: int, logs: Path) -> Iterator[Finished]:
    ahead = deque(trials)
    busy: dict[connection.Connection, _Worker] = {}
    stop = Stop()
    try:
        with stop.on_signals():
            for number in range(min(workers, len(ahead))):
                worker = _Worker(number, workers, bench, logs)
                worker.give(ahead.popleft())
                busy[worker.pipe] = worker
            while busy:
                for pipe in connection.wait(list(busy), timeout=_ASK_EVERY_S):
                    assert isinstance(pipe, connection.Connection)
                    worker = busy.pop(pipe)
                    yield worker.taken()
                    if not ahead or stop.is_set():
                        worker.pipe.close()  # which ends it
                        continue
                    if not worker.process.is_alive():
                        worker = _Worker(worker.number, workers, bench, logs)
                    worker.give(ahead.popleft())
                    busy[worker.pipe] = worker
                if stop.is_set():
                    raise Interrupted
    finally:
        for worker in busy.values():  # those in training write a checkpoint first
            worker.process.terminate()
        for worker in busy.values():
            worker.process.join()


def _serve(pipe: connection.Connection, number: int, workers: int, bench: Bench, logs: Path) -> None:
    """Run what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between trials; Ctrl-C reaches the whole group
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"process-{number}.txt").open("a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    _take_place(number, workers)
    while True:
        try:
            trial: Trial = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(attempt(bench, trial, logs))
        except Interrupted:
            return


def _end_with_parent() -> None:
    """A parent that was killed can tell nobody; whoever begins anew is not to find us at work on its runs."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _take_place(number: int, workers: int) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    elif workers > 1:
        known = hasattr(os, "sched_getaffinity")  # not on a Mac
        torch.set_num_threads(max(1, (len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1) // workers))
