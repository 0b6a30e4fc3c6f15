"""Cuts of folders that are made once: WordNet's copy and the conversion of a model to CTranslate2."""

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from .inputs import texts, write_marian
from .laboratory import Laboratory, after

UNFINISHED = ".unfinished-"
Tree = dict[str, str]  # the digest of each file by its path


def tree(folder: Path) -> Tree:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cut_folders(laboratory: Laboratory, goal: int) -> list[str]:
    """Returns the folders that were cut; one whose source is not installed is left out."""
    from text_uda.text.wordnet import DEBIAN

    folder, chance, home = laboratory.folder, laboratory.chance, laboratory.root / "home"
    (folder / "few.txt").write_text("\n".join(texts()[:20]) + "\n", "utf-8")
    words = ["paraphrase", folder / "few.txt", "--cache", laboratory.root / "cache", "--method"]
    commands: dict[str, list[object]] = {}
    if (DEBIAN / "data.noun").exists():
        commands["nltk_data/corpora/wordnet"] = [*words, "synonym"]
    if find_spec("ctranslate2"):
        write_marian(folder / "marian")
        pair = f"ctranslate2:{folder / 'marian'},{folder / 'marian'}"
        commands["ctranslate2"] = [*words, "back-translation", "--translator", pair]
    undisturbed = dict.fromkeys(commands, Tree())
    for name, command in commands.items():
        with laboratory.disk():
            laboratory.finish(laboratory.command(command), f"undisturbed {name}")
            undisturbed[name] = tree(home / name)
    starts = 0
    while commands and laboratory.cuts["folders"] < goal:
        name, starts = list(commands)[starts % len(commands)], starts + 1
        parent = home / name if name == "ctranslate2" else (home / name).parent  # a folder for each converted model
        with laboratory.disk(neighbour=True) as disk:
            process = laboratory.command(commands[name])

            def is_written(parent: Path = parent) -> bool:
                return parent.is_dir() and any(os.scandir(parent))

            due = after(is_written, chance.random() * 0.3)
            snapshots = laboratory.cut_while_running("folders", disk, process, [due], lambda: False)
            if laboratory.finish(process, name) and laboratory.cuts["folders"] < goal and chance.random() < 0.5:
                snapshots += laboratory.cut_afterwards("folders", disk, 1, True)
        for snapshot in snapshots:
            label = f"{name}, {snapshot.image.name}, {snapshot.options}"
            with laboratory.disk(snapshot):
                visible = {path: digest for path, digest in tree(home / name).items() if UNFINISHED not in path}
                if visible != undisturbed[name] and (visible or snapshot.durable):
                    laboratory.violation(f"{label}: {len(visible)} files, not those of an undisturbed command")
                laboratory.finish(laboratory.command(commands[name]), label)
                rest = {path: digest for path, digest in tree(home / name).items() if UNFINISHED not in path}
                if rest != undisturbed[name]:
                    laboratory.violation(f"{label}: after the rerun, the files differ")
            print(f"{label}: {len(visible)} files", file=sys.stderr)
    return list(commands)
