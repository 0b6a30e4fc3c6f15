"""Writers that overlap and compact are killed with SIGKILL at random moments, again and again; then is all there?

    python scripts/kill_cache.py --rounds 100 --json          about 3 minutes on 2 cores

In each round the writers start on the same cache, each with its own share of the work, which overlaps the others', and
are killed one by one. After each round every row that a writer had been told is on disk has to be there, and nothing
may be damaged. At the end one writer finishes the work, and the content has to equal that of one undisturbed run, row
for row. Exit code 1 when it does not.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from translation_cache import Cache, Job, Paraphrase, compact, fill, fingerprint, missing, rows, verify

ROUND_TEXTS = 1000


def texts(rounds: Iterable[int]) -> list[str]:
    """Each round has its own: a row that is lost has no copy from before."""
    return [f"text {number} of round {each}" for each in rounds for number in range(ROUND_TEXTS)]


@dataclass(frozen=True)
class Reverse(Job):
    """A paraphrase that is made in no time: the words in reverse."""

    def settings(self) -> dict:
        return {"method": "reverse", "version": 1}

    def __call__(self, sources, samples):
        return [
            Paraphrase(
                " ".join(source.split()[::-1]), "numbers" if "7" in source else "ok", scores={"change_rate": 0.5}
            )
            for source in sources
        ]


def write(folder: str, log: str, number: int, seed: int) -> None:
    """One writer: small shards, one after the other, told of in the log when they are on disk; sometimes compaction."""
    cache, job, chance = Cache(folder), Reverse(), random.Random(seed)
    acknowledged, work = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), texts([number])
    while True:
        start = chance.randrange(len(work))
        mine = work[start : start + chance.randrange(1, 40)]
        if chance.random() < 0.3:
            fill(cache, job, mine, batch_size=4, commit_every_s=0)
        else:
            first = [0] * len(mine)
            cache.add(job.settings(), list(zip(mine, first, job(mine, first), strict=True)))
        os.write(acknowledged, f"rows {start} {start + len(mine)}\n".encode())
        if chance.random() < 0.1:
            os.write(acknowledged, b"compaction begins\n")
            compact(cache)
            os.write(acknowledged, b"compaction ends\n")


def content(cache: Cache) -> list[str]:
    return sorted(repr(row) for mark in cache.fingerprints() for row in rows(cache, mark))


def run(folder: Path, *, rounds: int, writers: int, seed: int) -> dict:
    settings, chance = Reverse().settings(), random.Random(seed)
    cache = Cache(folder / "killed")
    context = get_context("forkserver")  # a fork of a process that has only imported: it starts at once
    context.set_forkserver_preload(["translation_cache", "pyarrow.parquet"])
    acknowledged: set[str] = set()
    found = {
        "rounds": rounds,
        "kills": 0,
        "in_commit": 0,
        "in_compaction": 0,
        "acknowledged": 0,
        "lost": 0,
        "damaged": 0,
    }
    for number in range(rounds):
        logs = [folder / f"log-{number}-{writer}" for writer in range(writers)]
        processes = [
            context.Process(target=write, args=(str(cache), str(log), number, chance.randrange(1 << 30)))
            for log in logs
        ]
        for process in processes:
            process.start()
        while not all(log.exists() and log.stat().st_size for log in logs):
            time.sleep(0.005)
        for process in processes:
            time.sleep(chance.random() * 0.3)
            process.kill()
            process.join()
            found["kills"] += 1
        lines = [log.read_text().splitlines() for log in logs]
        found["in_compaction"] += sum(each[-1] == "compaction begins" for each in lines)
        temporary = list((folder / "killed" / fingerprint(settings)).glob(".*.tmp"))
        found["in_commit"] += len(temporary)
        for path in temporary:
            path.unlink()  # so that the next round counts its own
        told = [line.split()[1:] for each in lines for line in each if line.startswith("rows")]
        work = texts([number])
        acknowledged |= {text for start, stop in told for text in work[int(start) : int(stop)]}
        found["lost"] += len(missing(cache, settings, sorted(acknowledged)).rows)
        found["damaged"] += len(verify(cache)["damaged"])
    found["acknowledged"] = len(acknowledged)
    whole, work = Cache(folder / "undisturbed"), texts(range(rounds))
    fill(whole, Reverse(), work)
    there = content(cache)
    found["rows_of_the_killed"] = len(there)
    found["wrong"] = len(set(there) - set(content(whole)))
    fill(cache, Reverse(), work)
    found["rows"] = len(content(whole))
    found["equal"] = content(cache) == content(whole)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the work")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        found = run(Path(folder), rounds=arguments.rounds, writers=arguments.writers, seed=arguments.seed)
        found["seconds"] = round(time.monotonic() - started, 1)
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:<14} {value}" for name, value in found.items()))
    raise SystemExit(not found["equal"] or any(found[name] > 0 for name in ("lost", "wrong", "damaged")))


if __name__ == "__main__":
    main()
