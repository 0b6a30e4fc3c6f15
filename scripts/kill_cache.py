"""Kills concurrent, compacting writers with SIGKILL at random moments, and checks that no acknowledged row is lost.

    python scripts/kill_cache.py --rounds 100 --json          about 3 minutes on 2 cores

In each round the writers start on the same cache with overlapping work, and are killed one by one. After each round
every acknowledged row must be present, and nothing may be damaged. At the end one writer finishes the work, and the
content must equal that of one undisturbed run, row for row. Exit code 1 if it does not.
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
from translation_cache.atomic import PREFIX

ROUND_TEXTS = 1000


def texts(rounds: Iterable[int]) -> list[str]:
    """Different texts in each round, so that a lost row has no earlier copy."""
    return [f"text {number} of round {round_}" for round_ in rounds for number in range(ROUND_TEXTS)]


@dataclass(frozen=True)
class Reverse(Job):
    """A fast paraphrase: the words in reverse order."""

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
    """One writer: writes small shards, logs each one when it is durable, and sometimes compacts."""
    cache, job, chance = Cache(folder), Reverse(), random.Random(seed)
    acknowledged, work = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), texts([number])
    while True:
        start = chance.randrange(len(work))
        sources = work[start : start + chance.randrange(1, 40)]
        if chance.random() < 0.3:
            fill(cache, job, sources, batch_size=4, commit_every_s=0)
        else:
            first = [0] * len(sources)
            cache.add(job.settings(), list(zip(sources, first, job(sources, first), strict=True)))
        os.write(acknowledged, f"rows {start} {start + len(sources)}\n".encode())
        if chance.random() < 0.1:
            os.write(acknowledged, b"compaction begins\n")
            compact(cache)
            os.write(acknowledged, b"compaction ends\n")


def content(cache: Cache) -> list[str]:
    return sorted(repr(row) for fingerprint in cache.fingerprints() for row in rows(cache, fingerprint))


def run(folder: Path, *, rounds: int, writers: int, seed: int) -> dict:
    settings, chance = Reverse().settings(), random.Random(seed)
    cache = Cache(folder / "killed")
    context = get_context("forkserver")  # forks of a process with the imports done start fast
    context.set_forkserver_preload(["translation_cache", "pyarrow.parquet"])
    acknowledged: set[str] = set()
    counts = {
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
            counts["kills"] += 1
        lines = [log.read_text().splitlines() for log in logs]
        counts["in_compaction"] += sum(log_lines[-1] == "compaction begins" for log_lines in lines)
        temporary = list((folder / "killed" / fingerprint(settings)).glob(f"{PREFIX}*"))
        counts["in_commit"] += len(temporary)
        for path in temporary:
            path.unlink()  # so that the next round does not count it
        ranges = [line.split()[1:] for log_lines in lines for line in log_lines if line.startswith("rows")]
        work = texts([number])
        acknowledged |= {text for start, stop in ranges for text in work[int(start) : int(stop)]}
        counts["lost"] += len(missing(cache, settings, sorted(acknowledged)).rows)
        counts["damaged"] += len(verify(cache)["damaged"])
    counts["acknowledged"] = len(acknowledged)
    whole, work = Cache(folder / "undisturbed"), texts(range(rounds))
    fill(whole, Reverse(), work)
    survivors = content(cache)
    counts["rows_of_the_killed"] = len(survivors)
    counts["wrong"] = len(set(survivors) - set(content(whole)))
    fill(cache, Reverse(), work)
    counts["rows"] = len(content(whole))
    counts["equal"] = content(cache) == content(whole)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the kills and of the work")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        counts = run(Path(folder), rounds=arguments.rounds, writers=arguments.writers, seed=arguments.seed)
        counts["seconds"] = round(time.monotonic() - started, 1)
    if arguments.json:
        print(json.dumps(counts))
    else:
        print("\n".join(f"{name:<14} {value}" for name, value in counts.items()))
    raise SystemExit(not counts["equal"] or any(counts[name] > 0 for name in ("lost", "wrong", "damaged")))


if __name__ == "__main__":
    main()
