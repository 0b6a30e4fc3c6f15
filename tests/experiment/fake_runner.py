"""A runner that trains nothing; importable by worker processes."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError


def _fail(folder: Path) -> None:
    raise OSError(f"{folder} cannot be read")


@dataclass(frozen=True)
class FakeRunner:
    """The name of a trial says what it does; a file with the name of its folder records it."""

    folder: Path
    unreadable: bool = False
    """A process that unpickles it dies before its first trial."""

    def __reduce__(self):
        return (_fail if self.unreadable else FakeRunner), (self.folder,)

    def run(self, trial) -> None:
        (self.folder / f"{trial.folder}.started").write_text(str(os.getpid()))
        kind = trial.name.partition("-")[0]
        if kind == "refused":
            raise SettingsError("ask for fewer labels")
        if kind == "broken":
            raise RuntimeError("no such thing")
        if kind == "dying":
            os._exit(9)
        if kind == "long":
            time.sleep(600)
        if kind == "deaf":  # as in a final evaluation: it ignores the signal and finishes
            signal.signal(signal.SIGTERM, lambda *_: None)
            time.sleep(2)
        (self.folder / f"{trial.folder}.done").write_text("")
