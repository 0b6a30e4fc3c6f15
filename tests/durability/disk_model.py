"""What a disk holds when the power goes: the model behind the simulation.

A file is what was written, as of its last fsync. A name (of a new file or folder, of a renamed or removed one) is
durable once its folder is synced after the change; until then each change of a name may be lost or kept, in any
combination. A rename is one change. Of a file that was written since its last fsync the disk may hold the earlier
content, all of the new one, half of it, or zeros to its full length.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Entry = int  # a file or a folder, whatever its name is
Tree = dict[str, bytes | None]  # path below the root -> content, None for a folder
Torn = str  # kept, or one of `TORN`

TORN = ("lost", "zeros", "half", "empty")
_SAMPLED = 8  # combinations a snapshot, where there are more


class Edit(NamedTuple):
    folder: Entry
    name: str
    entry: Entry
    removes: bool


Change = tuple[Edit, ...]  # one, or the two of a rename: the removal first


@dataclass
class Disk:
    """The names and contents that are durable, and what was changed since."""

    root: Entry
    durable_names: dict[Entry, dict[str, Entry]] = field(default_factory=dict)  # of each folder
    durable: dict[Entry, bytes] = field(default_factory=dict)  # content of each file that was synced
    content: dict[Entry, bytes] = field(default_factory=dict)  # of each file, also of removed ones
    changes: list[Change] = field(default_factory=list)  # of names, that are not durable
    folders: set[Entry] = field(default_factory=set)

    def copy(self) -> "Disk":
        names = {folder: dict(entries) for folder, entries in self.durable_names.items()}
        return Disk(self.root, names, dict(self.durable), dict(self.content), list(self.changes), set(self.folders))

    def sync(self, entry: Entry) -> None:
        if entry not in self.folders:
            self.durable[entry] = self.content[entry]
            return
        for change in [change for change in self.changes if change[-1].folder == entry]:
            _apply(change, self.durable_names)
            self.changes.remove(change)

    def torn(self, entry: Entry) -> dict[Torn, bytes]:
        """The contents that the disk may have of a file, by name; only `kept` if it is synced."""
        new, old = self.content[entry], self.durable.get(entry)
        if new == old:
            return {"kept": new}
        start = old if old is not None and new.startswith(old) else b""  # appended to, or written anew
        added = len(new) - len(start)
        contents: dict[Torn, bytes] = {
            "kept": new,
            "lost": old or b"",
            "zeros": start + bytes(added),
            "half": new[: len(start) + added // 2],
        }
        return contents if start else contents | {"empty": b""}

    def tree(self, kept: Mapping[int, bool] | None = None, contents: Mapping[Entry, Torn] | None = None) -> Tree:
        """What the disk holds after a power cut.

        Args:
            kept: whether each change of a name, by its number, is on the disk; all are where none are given.
            contents: of the unsynced files; `kept` where none are given.
        """
        names = {folder: dict(entries) for folder, entries in self.durable_names.items()}
        for number, change in enumerate(self.changes):
            if kept is None or kept.get(number, False):
                _apply(change, names)
        tree: Tree = {}
        ahead = [("", self.root)]
        while ahead:
            path, folder = ahead.pop()
            for name, entry in names.get(folder, {}).items():
                if entry in self.folders:
                    tree[path + name] = None
                    ahead.append((f"{path}{name}/", entry))
                else:
                    of_file = self.torn(entry)
                    torn: Torn = (contents or {}).get(entry, "kept")
                    tree[path + name] = of_file.get(torn, of_file["kept"])
        return tree

    def crash_states(self, chance: random.Random) -> Iterator[tuple[str, Tree]]:
        """(description, tree) of what a power cut may leave: all simple cases, and some of their combinations."""
        unsynced = sorted(entry for entry in self.content if len(self.torn(entry)) > 1)
        every, none = dict.fromkeys(range(len(self.changes)), True), dict[int, bool]()
        yield "everything is kept", self.tree(every)
        for torn in TORN:
            contents = dict.fromkeys(unsynced, torn)
            yield f"no name is kept, contents {torn}", self.tree(none, contents)
            yield f"names before contents, these {torn}", self.tree(every, contents)
            for entry in unsynced if len(unsynced) > 1 else ():
                yield f"one file {torn}", self.tree(every, {entry: torn})
        for number in every:
            without = every | {number: False}
            yield "one name is lost", self.tree(without)
            yield "one name is lost, contents lost", self.tree(without, dict.fromkeys(unsynced, "lost"))
            for torn in ("kept", *TORN):
                yield f"one name is kept, contents {torn}", self.tree({number: True}, dict.fromkeys(unsynced, torn))
        for _ in range(_SAMPLED if len(every) + len(unsynced) > 1 else 0):
            mixed = {number: chance.random() < 0.5 for number in every}
            yield "a mixture", self.tree(mixed, {entry: chance.choice(("kept", *TORN)) for entry in unsynced})


def _apply(change: Change, names: dict[Entry, dict[str, Entry]]) -> None:
    for edit in change:
        entries = names.setdefault(edit.folder, {})
        if not edit.removes:
            entries[edit.name] = edit.entry
        elif entries.get(edit.name) == edit.entry:
            del entries[edit.name]
