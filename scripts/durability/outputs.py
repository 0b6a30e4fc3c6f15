"""Cuts after commands that write one file: `report`, `predict`, `pseudo-label` and `cache export`."""

import sys
from pathlib import Path

from .folders import tree
from .laboratory import Laboratory
from .training import training_words


def output_words(folder: Path, to: Path) -> list[list[object]]:
    """The commands; they read what is not on the disk."""
    run, data = folder / "run-to-read", folder / "reviews.csv"
    return [
        ["report", run, "--out", to / "report.html"],
        ["predict", run, data, "--out", to / "predicted.csv"],
        ["pseudo-label", run, folder / "texts.txt", "--threshold", 0.4, "--out", to / "labels.jsonl"],
        ["cache", "export", folder / "cache-to-read", "--out", to / "pairs.parquet"],
    ]


def cut_outputs(laboratory: Laboratory, goal: int) -> None:
    folder, to = laboratory.folder, laboratory.root / "outputs"
    swaps = ["paraphrase", folder / "reviews.csv", "--method", "swap", "--cache", folder / "cache-to-read"]
    for words in (swaps, training_words(folder, "uda", folder / "run-to-read")):
        laboratory.finish(laboratory.command(words), str(words[0]))
    while laboratory.cuts["outputs"] < goal:
        snapshots = []
        with laboratory.disk(neighbour=True) as disk:
            to.mkdir()
            for words in output_words(folder, to)[: goal - laboratory.cuts["outputs"]]:
                laboratory.finish(laboratory.command(words), str(words[0]))
                snapshots += laboratory.cut_afterwards("outputs", disk, 1, tree(to))
        for snapshot in snapshots:
            label = f"outputs, {snapshot.image.name}, {snapshot.options}"
            with laboratory.disk(snapshot):
                kept = tree(to)
            lost = [name for name, digest in snapshot.durable.items() if kept.get(name) != digest]
            if lost:
                laboratory.violation(f"{label}: {', '.join(lost)} lost or torn, though the command had returned")
            print(f"{label}: {len(snapshot.durable)} files", file=sys.stderr)
