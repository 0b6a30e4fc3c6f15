"""Random operations on one cache, and a ledger of what they have acknowledged."""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translation_cache import Cache, Job, Paraphrase, compact, digest, export, fill, join, lookup, merge, stats, verify

TEXTS = 6_000  # of an epoch
EXPORTS = ("pairs.jsonl", "pairs.csv", "pairs.parquet")


def epoch_texts(epoch: int) -> list[str]:
    """Other texts in each epoch, so that a lost row has no earlier copy."""
    return [f"text {number} of epoch {epoch}" for number in range(TEXTS)]


def reverse(text: str) -> str:
    return " ".join(text.split()[::-1])


@dataclass(frozen=True)
class Reverse(Job):
    """A paraphrase that takes no time: the words in reverse order."""

    def settings(self) -> dict[str, Any]:
        return {"method": "reverse", "version": 1}

    def __call__(self, sources, samples):
        return [Paraphrase(reverse(source), scores={"change_rate": 0.5}) for source in sources]


class Ledger:
    """Lines that survive a kill of their writer: `did OPERATION`, `rows START STOP`, `wrong REASON`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def add(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


class Operations:
    """Operations of one process on the cache of an epoch."""

    def __init__(self, folder: Path, epoch: int, ledger: Ledger, chance: random.Random) -> None:
        self._folder, self._ledger, self._chance = folder, ledger, chance
        self._cache, self._texts = Cache(folder / "cache"), epoch_texts(epoch)
        self._written: list[tuple[int, int]] = []
        self.by_name: dict[str, Callable[[], None]] = {
            "add": self.add, "fill": self.fill, "merge": self.merge, "compact": self.compact, "read": self.read,
            "join": self.join, "export": self.export, "audit": self.audit,
        }  # fmt: skip

    def do(self, names: Sequence[str]) -> None:
        name = self._chance.choice(names)
        self.by_name[name]()
        self._ledger.add("did", name)

    def _range(self) -> tuple[int, int]:
        start = self._chance.randrange(TEXTS)
        return start, min(TEXTS, start + self._chance.randrange(1, 40))

    def _acknowledge(self, start: int, stop: int) -> None:
        self._ledger.add("rows", start, stop)
        self._written.append((start, stop))

    def _add_to(self, cache: Cache, sources: list[str]) -> None:
        job, first = Reverse(), [0] * len(sources)
        cache.add(job.settings(), list(zip(sources, first, job(sources, first), strict=True)))

    def add(self) -> None:
        start, stop = self._range()
        self._add_to(self._cache, self._texts[start:stop])
        self._acknowledge(start, stop)

    def fill(self) -> None:
        start, stop = self._range()
        fill(self._cache, Reverse(), self._texts[start:stop], batch_size=4, commit_every_s=0)
        self._acknowledge(start, stop)

    def merge(self) -> None:
        start, stop = self._range()
        other = self._folder / f"other-{os.getpid()}"
        self._add_to(Cache(other), self._texts[start:stop])
        merge(self._cache, Cache(other))
        self._acknowledge(start, stop)
        shutil.rmtree(other)

    def compact(self) -> None:
        compact(self._cache)

    def read(self) -> None:
        start, stop = self._chance.choice(self._written) if self._written else (0, 0)
        rows = lookup(self._cache, Reverse().settings(), self._texts[start:stop])
        for text, (row,) in zip(self._texts[start:stop], rows, strict=True):
            if row is None or row.text != reverse(text):
                self._ledger.add("wrong", f"{text!r} is read as {row}")

    def join(self) -> None:
        table = join(self._cache, Reverse().settings(), self._texts)
        for text, paraphrase in zip(self._texts, table["paraphrase"].to_pylist(), strict=True):
            if paraphrase not in (None, reverse(text)):
                self._ledger.add("wrong", f"{text!r} is joined with {paraphrase!r}")

    def export(self) -> None:
        name = self._chance.choice(EXPORTS)
        if self._written:  # so that no whole file is empty
            export(self._cache, self._folder / name)

    def audit(self) -> None:
        digest(self._cache, Reverse().settings())
        stats(self._cache)
        for damage in verify(self._cache)["damaged"]:
            self._ledger.add("wrong", f"damaged: {damage}")


WRITING = ("add", "add", "add", "fill", "fill", "merge", "compact")
ALL = (*WRITING, "read", "read", "read", "join", "export", "audit")
