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
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from text_uda.errors import UserError
from text_uda.experiment.trial import Bench, Trial
from text_uda.training.stopping import Interrupted, StopRequest
from translation_cache.atomic import write_whole

_ASK_EVERY_S = 0.5  # whether to stop

Finished = tuple[Trial, str | None]  # why a trial failed, None where it did not


def run_trials(trials: Sequence[Trial], bench: Bench, *, workers: int, logs: Path) -> Iterator[Finished]:
    """Each trial as it comes to its end.

    Args:
        workers: processes; 1 is this one.
        logs: a folder for what the processes say.
    Raises:
        Interrupted: SIGINT or SIGTERM; what is in training has left a checkpoint.
        UserError: processes end before they can be given a trial.
    """
    if workers > 1:
        yield from _together(trials, bench, workers, logs)
        return
    for trial in trials:
        yield trial, _attempt(bench, trial, logs).why


@dataclass(frozen=True)
class _Answer:
    """What a process says when it is ready for a trial."""

    why: str | None = None
    """The trial before failed."""
    broken: bool = False
    """By no user's mistake: who knows in what state that leaves the process, or its GPU."""


def _attempt(bench: Bench, trial: Trial, logs: Path) -> _Answer:
    """Run a trial; of what is no user's mistake the traceback is left in `logs`."""
    try:
        bench.run(trial)
    except UserError as error:
        return _Answer(str(error))
    except Exception as error:
        file = logs / f"{trial.folder}.txt"
        write_whole(file, traceback.format_exc().encode("utf-8", "backslashreplace"))
        return _Answer(f"{type(error).__name__}: {error} (see {file})", broken=True)
    return _Answer()


class _Worker:
    """A process and the trial that it has been given; None while it starts."""

    def __init__(self, number: int, workers: int, bench: Bench, logs: Path) -> None:
        # Forked from a server that has imported the libraries, which takes ten seconds, and has no thread: a fork of
        # this process would copy the locks of torch and Arrow in whatever state they are.
        context = get_context("forkserver")
        context.set_forkserver_preload(["text_uda.experiment.trial"])
        self.pipe, theirs = context.Pipe()
        self.number = number
        self.trial: Trial | None = None
        self.process = context.Process(target=_serve, args=(theirs, number, workers, bench, logs), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, trial: Trial) -> None:
        self.trial = trial
        with suppress(OSError):  # it has died, which is what is heard of it next
            self.pipe.send(trial)

    def answer(self) -> _Answer:
        """What it says now. A process that has died says so."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            why = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            return _Answer(f"its process died ({why}; out of memory?)", broken=True)


def _together(trials: Sequence[Trial], bench: Bench, workers: int, logs: Path) -> Iterator[Finished]:
    ahead = deque(trials)
    busy: dict[connection.Connection, _Worker] = {}

    def start(number: int) -> None:
        worker = _Worker(number, workers, bench, logs)
        busy[worker.pipe] = worker

    stop = StopRequest()
    try:
        with stop.on_signals():
            for number in range(min(workers, len(ahead))):
                start(number)
            while busy:
                for pipe in connection.wait(list(busy), timeout=_ASK_EVERY_S):
                    assert isinstance(pipe, connection.Connection)
                    worker = busy[pipe]
                    answer = worker.answer()
                    del busy[pipe]
                    if worker.trial is not None:
                        yield worker.trial, answer.why
                    elif answer.broken:  # before it was given anything; the others go on without it
                        if not busy:
                            raise UserError(f"no process of the study can begin: {answer.why} What it said is above")
                        continue
                    if not ahead or stop.is_set():
                        worker.pipe.close()  # which ends it
                    elif answer.broken:
                        start(worker.number)
                    else:
                        worker.give(ahead.popleft())
                        busy[pipe] = worker
                if stop.is_set():
                    raise Interrupted
    finally:
        for worker in busy.values():  # those in training write a checkpoint first
            worker.process.terminate()
            worker.pipe.close()  # one that had all but finished ends here
        for worker in busy.values():
            worker.process.join()


def _serve(pipe: connection.Connection, number: int, workers: int, bench: Bench, logs: Path) -> None:
    """Say that it is ready and run what comes through the pipe, until that is closed or this process is broken."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between trials; Ctrl-C reaches the whole group
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"process-{number}.txt").open("a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    _take_place(number, workers)
    answer = _Answer()
    with suppress(EOFError, OSError, Interrupted):
        pipe.send(answer)
        while not answer.broken:
            answer = _attempt(bench, pipe.recv(), logs)
            pipe.send(answer)


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
