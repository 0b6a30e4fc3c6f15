"""Jobs that need nothing installed; importable by worker processes."""

import time
from dataclasses import dataclass

from translation_cache import Job, Paraphrase


@dataclass(frozen=True)
class Upper(Job):
    """Upper case; every text with an `x` is rejected."""

    seed: int = 0
    pause_s: float = 0.0

    def settings(self) -> dict:
        return {"method": "upper", "version": 1, "seed": self.seed, "unit": "text"}

    def __call__(self, sources, samples):
        time.sleep(self.pause_s)
        return [
            Paraphrase(
                f"{source.upper()} {sample}",
                "unchanged" if "x" in source else "ok",
                pivot=source[::-1],
                scores={"change_rate": 0.5},
            )
            for source, sample in zip(sources, samples, strict=True)
        ]


@dataclass(frozen=True)
class Failing(Upper):
    """Breaks at the text `bad`."""

    def __call__(self, sources, samples):
        if "bad" in sources:
            raise RuntimeError("broken")
        return Upper.__call__(self, sources, samples)


@dataclass(frozen=True)
class Dying(Upper):
    """Takes its process with it at the text `bad`."""

    def __call__(self, sources, samples):
        if "bad" in sources:
            import os

            os._exit(9)
        return Upper.__call__(self, sources, samples)


@dataclass(frozen=True)
class Numbered(Upper):
    """Each worker leaves a file of its number; it breaks where a number comes twice."""

    folder: str = ""

    def start_worker(self, worker, workers):
        with open(f"{self.folder}/{worker} of {workers}", "x"):
            pass


@dataclass(frozen=True)
class DyingOnce(Upper):
    """Takes its process with it at the text `bad`, once: the file remembers. Each call is noted in it."""

    memory: str = ""

    def __call__(self, sources, samples):
        import os
        import signal

        with open(self.memory, "a+") as file:
            file.seek(0)
            died = "died" in file.read()
            file.write(f"{sources[0]}\n")
            if "bad" in sources and not died:
                file.write("died\n")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        return Upper.__call__(self, sources, samples)


@dataclass(frozen=True)
class Waiting(Upper):
    """Makes one batch in each process; at the next it says so in a named pipe, and waits for a program without end."""

    pipe: str = ""

    def __call__(self, sources, samples):
        import subprocess

        if _calls:
            with open(self.pipe, "w") as pipe:
                pipe.write("at work\n")
            subprocess.Popen(["cat"], stdin=subprocess.PIPE).wait()
        _calls.append(len(sources))
        return Upper.__call__(self, sources, samples)


_calls: list[int] = []
