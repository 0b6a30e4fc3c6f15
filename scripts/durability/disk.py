"""An ext4 image that is mounted, and copied while programs write to it.

The copy holds what the file system has submitted to its device, and nothing of the page cache above it: what is not
synced is lost, or there with a size of zero, or zeros. Nothing is synced before the copy. The writers are stopped
(SIGSTOP) meanwhile, and the copy is repeated if the device completed a write during it: else it would mix two moments.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Ordered data; without ext4's heuristics for programs that do not sync; names in the journal before their data.
MOUNTS = ("commit=300", "commit=300,noauto_da_alloc", "commit=300,noauto_da_alloc,nodelalloc,data=writeback")


def shell(*words: object) -> str:
    finished = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {finished.stderr.strip() or finished.stdout.strip()}")
    return finished.stdout


def copy_sparse(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        write.truncate(source.stat().st_size)
        end = 0
        while True:
            try:
                start = os.lseek(read.fileno(), end, os.SEEK_DATA)
            except OSError:  # no more data
                return
            end = os.lseek(read.fileno(), start, os.SEEK_HOLE)
            while start < end:
                start += os.copy_file_range(read.fileno(), write.fileno(), end - start, start, start)


def waits_for_device(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "D"
    except (FileNotFoundError, ProcessLookupError):
        return False


def send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(process, number)


class Disk:
    """An ext4 image and where it is mounted."""

    def __init__(self, image: Path, root: Path, options: str) -> None:
        self.image, self.root, self.options = image, root, options

    @contextmanager
    def mounted(self, *, neighbour: bool = False) -> Iterator[Path]:
        shell("mount", "-o", f"loop,{self.options}", self.image, self.root)
        device = shell("findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", self.root).strip()
        self._statistics = Path("/sys/block", Path(device).name, "stat")
        stop = threading.Event()
        thread = threading.Thread(target=self._neighbour, args=(stop,))
        if neighbour:
            thread.start()
        try:
            yield self.root
        finally:
            stop.set()
            if neighbour:
                thread.join()
            self._unmount()
        shell("e2fsck", "-f", "-n", self.image)  # else the copy is no state of a disk

    def _unmount(self) -> None:
        for _ in range(100):  # threads of Arrow close files a little later
            if not subprocess.run(["umount", self.root], capture_output=True, check=False).returncode:
                return
            time.sleep(0.1)
        raise SystemExit(f"{self.root} is in use")

    def _neighbour(self, stop: threading.Event) -> None:
        with (self.root / "neighbour").open("wb") as file:
            while not stop.wait(0.1):
                file.write(b"a line\n")
                file.flush()
                os.fsync(file.fileno())

    def _completed_writes(self) -> int:
        return int(self._statistics.read_text().split()[4])

    def cut(self, copy: Path, processes: Sequence[int]) -> bool:
        """Copy what the device holds. Returns whether a process was waiting for the device, as in a sync."""
        for process in processes:
            send(process, signal.SIGSTOP)
        try:
            while True:
                completed, waiting = self._completed_writes(), any(map(waits_for_device, processes))
                copy_sparse(self.image, copy)
                if self._completed_writes() == completed:
                    return waiting
        finally:
            for process in processes:
                send(process, signal.SIGCONT)


def enter_private_mounts() -> None:
    """Mounts from now on are seen by this process and its children only, and end with them."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        raise SystemExit("this mounts ext4 images: run it as root on Linux, with e2fsprogs")
    clone_newns = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns):
        raise SystemExit(
            f"power_cut.py cannot mount here: {os.strerror(ctypes.get_errno())}; run it outside a container"
        )
    shell("mount", "--make-rprivate", "/")
