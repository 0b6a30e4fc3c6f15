"""Commands on a disk whose power is cut: starts them, cuts, and collects violations."""

import faulthandler
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, NamedTuple

from .disk import MOUNTS, Disk, copy_sparse, send, shell

AFTER_S = 30.0


def _child(
    begun: Any, target: Callable[..., None], arguments: tuple[Any, ...], log: Path, home: Path, synced: bool
) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    begun.set()
    os.environ["TEXT_UDA_HOME"] = str(home / "home")
    if not synced:
        os.fsync = lambda fd: None
    target(*arguments)


def run_command(words: list[str]) -> None:
    from text_uda.cli import main

    main(words)


class Snapshot(NamedTuple):
    """A copy of the image, the options of its mount, and what was durable before it was made."""

    image: Path
    options: str
    durable: Any


Trigger = Callable[[], bool]


def after(happened: Trigger, seconds: float) -> Trigger:
    """True from some seconds after the other is true for the first time."""
    since: list[float] = []

    def due() -> bool:
        if not since and happened():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= seconds

    return due


class Laboratory:
    """Makes disks, starts commands, cuts, and collects violations."""

    def __init__(self, folder: Path, *, seed: int, synced: bool) -> None:
        self.folder, self.chance, self._synced = folder, random.Random(seed), synced
        self.root, self._blank = folder / "disk", folder / "blank"
        self.cuts, self.in_a_sync, self.violations = Counter[str](), 0, list[str]()
        self.left_over = Counter[str]()  # names in a run that an undisturbed one does not have; harmless
        self._images = self._disks = 0
        self._context = get_context("forkserver")  # forks of a process with the imports done start fast
        self._context.set_forkserver_preload(["text_uda.training.train_classifier", "text_uda.training.pretraining"])
        self.root.mkdir()
        with self._blank.open("wb") as file:
            file.truncate(128 << 20)
        shell("mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", self._blank)

    @contextmanager
    def disk(self, snapshot: Snapshot | None = None, *, neighbour: bool = False) -> Iterator[Disk]:
        """A new disk, or what a cut left of one; mounted."""
        image = self._new_image() if snapshot is None else snapshot.image
        if snapshot is None:
            copy_sparse(self._blank, image)
            self._disks += 1
        disk = Disk(image, self.root, MOUNTS[self._disks % len(MOUNTS)] if snapshot is None else snapshot.options)
        with disk.mounted(neighbour=neighbour):
            try:
                yield disk
            except BaseException:  # also SIGTERM: nobody goes on writing
                for process in active_children():
                    process.kill()
                    process.join()
                raise
        image.unlink()

    def _new_image(self) -> Path:
        self._images += 1
        return self.folder / f"image-{self._images}"

    def start(self, target: Callable[..., None], *arguments: Any, log: str = "log") -> Any:
        """A process; on return it no longer ignores signals, as its fork does."""
        begun = self._context.Event()
        parameters = (begun, target, arguments, self.folder / log, self.root, self._synced)
        process = self._context.Process(target=_child, args=parameters)
        process.start()
        begun.wait()
        return process

    def pipe(self) -> tuple[Any, Any]:
        return self._context.Pipe()

    def command(self, words: Sequence[object]) -> Any:
        """Start `text-uda`."""
        return self.start(run_command, [str(word) for word in words])

    def stacks(self, process: Any, *, log: str = "log") -> str:
        """Where the threads of a process are that `start` has started."""
        size = (self.folder / log).stat().st_size
        send(process.pid, signal.SIGUSR1)
        time.sleep(1)
        return (self.folder / log).read_text("utf-8", "replace")[size:]

    def finish(self, process: Any, label: str, *, log: str = "log") -> bool:
        """Wait for a process; a failure is a violation."""
        process.join()
        if process.exitcode:
            lines = (self.folder / log).read_text("utf-8", "replace").strip().splitlines()[-3:]
            self.violation(f"{label}: exit code {process.exitcode}: {' / '.join(lines)}")
        return not process.exitcode

    def violation(self, text: str) -> None:
        self.violations.append(text)
        print(f"VIOLATION {text}", file=sys.stderr)

    def cut(self, part: str, disk: Disk, processes: Sequence[Any], durable: Any) -> Snapshot:
        image = self._new_image()
        self.in_a_sync += disk.cut(image, [process.pid for process in processes if process.exitcode is None])
        self.cuts[part] += 1
        return Snapshot(image, disk.options, durable)

    def cut_while_running(
        self, part: str, disk: Disk, process: Any, triggers: Sequence[Trigger], durable: Callable[[], Any]
    ) -> list[Snapshot]:
        """A cut at each trigger, until the process ends."""
        waiting, snapshots = list(triggers), []
        while process.exitcode is None and waiting:
            for trigger in [trigger for trigger in waiting if trigger()]:
                waiting.remove(trigger)
                snapshots.append(self.cut(part, disk, [process], durable()))
            time.sleep(0.0005)
        return snapshots

    def cut_afterwards(self, part: str, disk: Disk, count: int, durable: Any) -> list[Snapshot]:
        """Cuts at random moments of the half minute after a command returned; the first one at once."""
        returned, moments = time.monotonic(), sorted(self.chance.random() * AFTER_S for _ in range(count - 1))
        snapshots = []
        for due in (0, *moments):
            time.sleep(max(0.0, returned + due - time.monotonic()))
            snapshots.append(self.cut(part, disk, [], durable))
        return snapshots
