"""Cuts of three writers of one cache, which compact it too."""

import os
import random
import sys
import time
from multiprocessing import parent_process
from pathlib import Path

from .inputs import TEXTS, texts
from .laboratory import Laboratory

WRITERS = 3


def write_rows(folder: Path, texts: list[str], acknowledgements: Path, seed: int) -> None:
    """Write shards, and log the texts of those that are durable; compact sometimes."""
    from text_uda.augment.swap import Swap
    from translation_cache import Cache, compact, fill

    cache, job, chance, stop = Cache(folder), Swap(), random.Random(seed), 0
    log, parent = os.open(acknowledgements, os.O_WRONLY | os.O_CREAT | os.O_APPEND), parent_process()
    while stop < len(texts) and parent is not None and parent.is_alive():
        start, stop = stop, stop + chance.randrange(1, 30)
        sources = texts[start:stop]
        if chance.random() < 0.3:
            fill(cache, job, sources, batch_size=4, commit_every_s=0)
        else:
            first = [0] * len(sources)
            cache.add(job.settings(), list(zip(sources, first, job(sources, first), strict=True)))
        os.write(log, f"{start} {stop}\n".encode())
        if chance.random() < 0.1:
            compact(cache)


def content(folder: Path) -> set[str]:
    from translation_cache import Cache, rows

    cache = Cache(folder)
    return {repr(row) for fingerprint in cache.fingerprints() for row in rows(cache, fingerprint)}


def cut_cache(laboratory: Laboratory, goal: int) -> int:
    """Returns the number of rows that were acknowledged before the cuts."""
    from text_uda.augment.swap import Swap
    from translation_cache import Cache, missing, verify

    folder, cache, chance = laboratory.folder, laboratory.root / "cache", laboratory.chance
    words = ["paraphrase", folder / "texts.txt", "--method", "swap", "--cache"]
    laboratory.finish(laboratory.command([*words, folder / "undisturbed-cache"]), "undisturbed cache")
    undisturbed, acknowledged_rows, starts = content(folder / "undisturbed-cache"), 0, 0
    share = TEXTS // WRITERS
    parts = [texts()[number * share : (number + 1) * share] for number in range(WRITERS)]
    while laboratory.cuts["cache"] < goal:
        starts += 1
        logs = [folder / f"acknowledged-{starts}-{number}" for number in range(WRITERS)]
        snapshots = []
        with laboratory.disk(neighbour=True) as disk:
            processes = [
                laboratory.start(write_rows, cache, part, log, 100 * starts + number)
                for number, (part, log) in enumerate(zip(parts, logs, strict=True))
            ]
            count, wanted = 0, 0
            for _ in range(min(4, goal - laboratory.cuts["cache"])):
                wanted = count + chance.randrange(1, 150)
                while count < wanted and any(process.exitcode is None for process in processes):
                    time.sleep(0.001)
                    count = sum(log.read_bytes().count(b"\n") for log in logs if log.exists())
                time.sleep(chance.random() * 0.02)
                durable = [log.read_text().split("\n")[:-1] if log.exists() else [] for log in logs]
                snapshots.append(laboratory.cut("cache", disk, processes, durable))
            for process in processes:
                process.kill()
                process.join()
        for snapshot in snapshots:
            label = f"cache, {snapshot.image.name}, {snapshot.options}"
            acknowledged = {
                text
                for part, lines in zip(parts, snapshot.durable, strict=True)
                for start, stop in (map(int, line.split()) for line in lines)
                for text in part[start:stop]
            }
            acknowledged_rows += len(acknowledged)
            with laboratory.disk(snapshot):
                if lost := len(missing(Cache(cache), Swap().settings(), sorted(acknowledged)).rows):
                    laboratory.violation(f"{label}: {lost} of {len(acknowledged)} acknowledged rows are lost")
                if damaged := verify(Cache(cache))["damaged"]:
                    laboratory.violation(f"{label}: {damaged[0]['file']}: {damaged[0]['reason']}")
                if wrong := len(content(cache) - undisturbed):
                    laboratory.violation(f"{label}: {wrong} rows are not those of an undisturbed run")
                if laboratory.finish(laboratory.command([*words, cache]), label) and content(cache) != undisturbed:
                    laboratory.violation(f"{label}: after the rerun, the rows differ")
            print(f"{label}: {len(acknowledged)} acknowledged rows", file=sys.stderr)
    return acknowledged_rows
