"""A bench that trains nothing; importable by worker processes."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError


def _fail(folder: Path) -> None:
    raise OSError(f"{folder} cannot be read")


@dataclass(frozen=True)
class Bench:
    """What a trial does is in its name; what it did is in a file of its folder's name."""

    folder: Path
    unreadable: bool = False
    """A process that is given it dies before it can begin."""

    def __reduce__(self):
        return (_fail if self.unreadable else Bench), (self.folder,)

    def run(self, trial) -> None:
        (self.folder / f"{trial.folder}.begun").write_text(str(os.getpid()))
        kind = trial.name.partition("-")[0]
        if kind == "refused":
            raise SettingsError("ask for fewer labels")
        if kind == "broken":
            raise RuntimeError("no such thing")
        if kind == "dying":
            os._exit(9)
        if kind == "long":
            time.sleep(600)
        if kind == "deaf":  # as in a last evaluation: it notes the signal, and comes to its end
            signal.signal(signal.SIGTERM, lambda *_: None)
            time.sleep(2)
        (self.folder / f"{trial.folder}.done").write_text("")
