"""Tries the states that a power cut may leave at each recorded step, each in a fresh folder."""

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from disk_model import Tree
from recording import Recorder

EXHAUSTIVE = os.environ.get("TEXT_UDA_DURABILITY") == "all"
"""Whether all states are tried; the suite tries a sample of them, always the same."""

Check = Callable[[Path, int], None]  # (folder, number of acknowledgements): raises where the state is not expected


@dataclass(frozen=True)
class State:
    step: int
    description: str
    tree: Tree
    acknowledged: int


@dataclass
class Exploration:
    name: str
    steps: int
    states: int
    """What the disk may hold at each step, with repetitions."""
    distinct: int
    tried: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        result = f"{len(self.violations)} not as expected" if self.violations else "all whole"
        return (
            f"{self.name}: {self.steps:,} steps, {self.states:,} states ({self.distinct:,} different), "
            f"{self.tried:,} tried, {result}"
        )

    def assert_whole(self) -> None:
        print(self)
        assert not self.violations, "\n".join([str(self), *self.violations[:5]])


class CrashStates:
    """The different states of a record, in its order.

    Args:
        seed: of the combinations that are sampled.
    """

    def __init__(self, recorder: Recorder, *, seed: int = 0) -> None:
        self.steps, self.number, self.states = len(recorder.steps), 0, list[State]()
        chance, seen, digest = random.Random(seed), set[bytes](), _Digests()
        for step, (disk, acknowledged) in enumerate(recorder.snapshots):
            for description, tree in disk.crash_states(chance):
                self.number += 1
                key = digest.of_tree(tree) + bytes([acknowledged])
                if key not in seen:
                    seen.add(key)
                    self.states.append(State(step, description, tree, acknowledged))

    def explore(
        self,
        name: str,
        check: Check,
        scratch: Path,
        *,
        most: int | None = None,
        exhaustive: int | None = None,
        where: Callable[[Tree], bool] = lambda tree: True,
        stop_at: int = 20,
    ) -> Exploration:
        """Check the states.

        Args:
            most: states to try, as a sample of all; None tries all.
            exhaustive: the same in the exhaustive mode.
            where: which states are to be tried; the others cannot be wrong.
            stop_at: violations.
        """
        exploration = Exploration(name, self.steps, self.number, len(self.states))
        states = [state for state in self.states if where(state.tree)]
        most = exhaustive if EXHAUSTIVE else most
        if most is not None and len(states) > most:
            states = sorted(random.Random(0).sample(states, most), key=lambda state: state.step)
        for state in states:
            folder = scratch / "state"
            write_tree(folder, state.tree)
            exploration.tried += 1
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(os, "fsync", lambda descriptor: None)  # nobody cuts the power of this folder
                    check(folder, state.acknowledged)
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split()):.400}"
                exploration.violations.append(f"step {state.step} of {self.steps}, {state.description}: {reason}")
            shutil.rmtree(folder)
            if len(exploration.violations) >= stop_at:
                break
        return exploration


def write_tree(folder: Path, tree: Tree) -> None:
    folder.mkdir(parents=True)
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


class _Digests:
    """Of contents, which many states share."""

    def __init__(self) -> None:
        self._of: dict[int, bytes] = {}
        self._kept: list[bytes] = []  # so that no other content gets the number of one that was hashed

    def of_tree(self, tree: Tree) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for path in sorted(tree):
            digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + self._of_content(tree[path]))
        return digest.digest()

    def _of_content(self, content: bytes | None) -> bytes:
        if content is None:
            return b"folder"
        if id(content) not in self._of:
            self._kept.append(content)
            self._of[id(content)] = hashlib.blake2b(content, digest_size=16).digest()
        return self._of[id(content)]
