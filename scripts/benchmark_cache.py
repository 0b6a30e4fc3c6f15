"""The cache beside SQLite and LMDB, on the same rows and the same questions, in turn on the same machine.

    python scripts/benchmark_cache.py --json                 about 25 minutes and 20 GB of disk on 2 cores
    python scripts/benchmark_cache.py --rows 200000          the same in small, in a minute

- missing: which of 1 million texts have no row, in a store of as many rows (half of the texts are there);
- join: open a store of 10 million rows and find those of a data set of 5 million texts, 2 samples each, in the order of
  the data set, as one memory-mapped table; seconds and the peak memory of the process;
- write: rows a second, a durable commit every 10,000;
- overhead: what `fill` takes over the bare augmentation (SwitchOut on real reviews), in percent.

Each measurement is a process of its own, so that memory is its own; it counts what is read of mapped files, which the
system may take back. All three have to give the same answer. The stores have just been written, so files are cached.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import lmdb
import pyarrow as pa

from translation_cache import Cache, Paraphrase, fill, fingerprint, join, mapped_table, missing
from translation_cache.key import row_keys
from translation_cache.queries import blocks

SETTINGS = {"method": "benchmark"}
MARK = fingerprint(SETTINGS)
SAMPLES = 2
SHARD_ROWS = 250_000  # about what `fill` writes, and compaction leaves
COMMIT_ROWS = 10_000
RESULT = pa.schema({"paraphrase": pa.large_string(), "status": pa.string()})
STORES = ("ours", "sqlite", "lmdb")


# --- the same rows for all --------------------------------------------------------------------------------------------


def texts(count: int, *, first: int = 0) -> Iterator[list[str]]:
    """Sentences number `first` and on, all distinct, in blocks: halves of nine made-up words, put together anew."""
    chance = random.Random(0)
    syllables = ["".join(pair) for pair in zip("bcdfghjklmnprstvwz" * 5, "aeiou" * 18, strict=True)]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(20_000)]
    halves = [" ".join(chance.choices(words, k=9)) for _ in range(20_000)]
    for start in range(first, first + count, SHARD_ROWS):
        block = range(start, min(start + SHARD_ROWS, first + count))
        yield [f"{halves[number * 7919 % 20_000]} {number} {halves[number * 104_729 % 19_997]}" for number in block]


def rows(count: int, samples: int = SAMPLES) -> Iterator[tuple[list[str], int, list[str]]]:
    """(sources, sample, paraphrases) in blocks, `count` in all."""
    for sources in texts(count // samples):
        for sample in range(samples):
            yield sources, sample, [source[::-1] for source in sources]


# --- the three stores: build, missing, join, write --------------------------------------------------------------------


def ours_add(folder: Path, given: Iterator[tuple[list[str], int, list[str]]]) -> None:
    cache = Cache(folder / "ours")
    for sources, sample, made in given:
        cache.add(
            SETTINGS,
            [
                (source, sample, Paraphrase(text, scores={"change_rate": 0.5}))
                for source, text in zip(sources, made, strict=True)
            ],
        )


def ours_missing(folder: Path, asked: list[str]) -> pa.ChunkedArray:
    return missing(Cache(folder / "ours"), SETTINGS, asked).rows["source"]


def ours_join(folder: Path, asked: pa.ChunkedArray) -> pa.Table:
    return join(Cache(folder / "ours"), SETTINGS, asked, samples=SAMPLES)


def open_sqlite(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "rows.sqlite")
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-200000", "mmap_size=1099511627776"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, source TEXT, sample INT, paraphrase TEXT, pivot TEXT, "
        "status TEXT, change_rate REAL) WITHOUT ROWID"
    )
    return connection


def key_bytes(sources: list[str], sample: int) -> list[bytes]:
    data = next(row_keys(MARK, sources, [sample])).astype(">u8").tobytes()
    return [data[place : place + 16] for place in range(0, len(data), 16)]


def keys_of_all_samples(sources: list[str]) -> list[bytes]:
    """The samples of a source stand together."""
    of_samples = [key_bytes(sources, sample) for sample in range(SAMPLES)]
    return [key for of_source in zip(*of_samples, strict=True) for key in of_source]


def result(made: Sequence[Sequence[str]]) -> pa.Table:
    """From pairs (paraphrase, status)."""
    return pa.table([[text for text, _ in made], [status for _, status in made]], names=RESULT.names).cast(RESULT)


def sqlite_add(folder: Path, given: Iterator[tuple[list[str], int, list[str]]]) -> None:
    connection = open_sqlite(folder)
    for sources, sample, made in given:
        keyed = sorted(zip(key_bytes(sources, sample), sources, made, strict=True))
        with connection:
            connection.executemany(
                "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, NULL, 'ok', 0.5)",
                [(key, source, sample, text) for key, source, text in keyed],
            )
    connection.close()


def sqlite_missing(folder: Path, asked: list[str]) -> list[str]:
    keys = key_bytes(asked, 0)
    there = {key for key, _, _ in sqlite_rows(open_sqlite(folder), keys)}
    return [text for text, key in zip(asked, keys, strict=True) if key not in there]


def sqlite_join(folder: Path, asked: pa.ChunkedArray) -> pa.Table:
    connection = open_sqlite(folder)

    def parts() -> Iterator[pa.Table]:
        for block in blocks(asked):
            keys = keys_of_all_samples(block)
            found = {key: rest for key, *rest in sqlite_rows(connection, keys)}
            yield result([found[key] for key in keys])

    return mapped_table(RESULT, parts())


def sqlite_rows(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, str, str]]:
    """In the order of keys, which is that of the table; asked for by statements of as many keys as one may have."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), 30_000):
        some = ordered[start : start + 30_000]
        query = f"SELECT key, paraphrase, status FROM rows WHERE key IN ({','.join('?' * len(some))})"
        yield from connection.execute(query, some)


def open_lmdb(folder: Path) -> lmdb.Environment:
    return lmdb.open(str(folder / "lmdb"), map_size=1 << 40)


def lmdb_add(folder: Path, given: Iterator[tuple[list[str], int, list[str]]]) -> None:
    with open_lmdb(folder) as environment:
        for sources, sample, made in given:
            keyed = sorted(zip(key_bytes(sources, sample), sources, made, strict=True))
            rows = [(key, f"ok\0{text}\0{source}\0{sample}\0\x000.5".encode()) for key, source, text in keyed]
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(rows)


def lmdb_missing(folder: Path, asked: list[str]) -> list[str]:
    keys = key_bytes(asked, 0)
    with open_lmdb(folder) as environment, environment.begin() as transaction, transaction.cursor() as cursor:
        there = {key for key, _ in cursor.getmulti(sorted(keys))}
    return [text for text, key in zip(asked, keys, strict=True) if key not in there]


def lmdb_join(folder: Path, asked: pa.ChunkedArray) -> pa.Table:
    def parts() -> Iterator[pa.Table]:
        with open_lmdb(folder) as environment, environment.begin() as transaction, transaction.cursor() as cursor:
            for block in blocks(asked):
                keys = keys_of_all_samples(block)
                found = dict(cursor.getmulti(sorted(keys)))
                yield result([bytes(found[key]).decode().split("\0", 2)[1::-1] for key in keys])

    return mapped_table(RESULT, parts())


# --- one measurement, in a process of its own -------------------------------------------------------------------------


def measure(what: str, store: str, folder: Path, count: int) -> dict:
    """Seconds, and what was found, to see that all three did the same."""
    function: Callable = globals()[f"{store}_{what}"]
    peak = None
    if what == "missing":
        asked = [text for block in texts(count, first=count // 2) for text in block]
        started = time.perf_counter()
        answer = function(folder, asked)
        seconds = time.perf_counter() - started
        found = digest([answer if isinstance(answer, list) else answer.to_pylist()])
    elif what == "join":
        with pa.memory_map(str(folder / "texts.arrow")) as file:
            column = pa.ipc.open_file(file).read_all()["text"]
        started = time.perf_counter()
        table = function(folder, column)
        seconds, peak = time.perf_counter() - started, peak_memory()
        found = digest(batch[name].to_pylist() for name in RESULT.names for batch in table.to_batches())
    else:
        given = [
            (sources[start : start + COMMIT_ROWS], sample, made[start : start + COMMIT_ROWS])
            for sources, sample, made in rows(count)
            for start in range(0, len(sources), COMMIT_ROWS)
        ]
        started = time.perf_counter()
        function(folder, given)
        seconds, found = time.perf_counter() - started, str(count)
    return {"seconds": seconds, "peak_bytes": peak or peak_memory(), "found": found}


def digest(lists: Iterable[list[str]]) -> str:
    """What the stores found, to hold them to the same."""
    content = hashlib.blake2b(digest_size=8)
    for each in lists:
        content.update("".join(f"{text}\0" for text in each).encode())
    return content.hexdigest()


def peak_memory() -> int:
    """Of this process, in bytes, with what it read of mapped files. (getrusage would count the parent's.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def in_a_process(what: str, store: str, folder: Path, count: int) -> dict:
    command = [sys.executable, __file__, "--measure", what, store, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{what} on {store} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def overhead(repeats: int, limit: int) -> dict[str, float]:
    """Seconds of the bare augmentation and of `fill` with it, interleaved; nothing of the reading of the data."""
    from text_uda import SwitchOut, load  # here, for it needs memory

    corpus, job = load("movie-snippets"), SwitchOut(tokenizer="minilm-l6")
    reviews = list(dict.fromkeys((*corpus.train.texts, *corpus.unlabeled)))[:limit]
    job(reviews[:10], [0] * 10)  # opens the tokenizer
    bare, filled = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        for start in range(0, len(reviews), 1024):
            job(reviews[start : start + 1024], [0] * len(reviews[start : start + 1024]))
        bare.append(time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            fill(Cache(folder), job, reviews, batch_size=1024)
            filled.append(time.perf_counter() - started)
    return {
        "texts": len(reviews),
        "bare_s": statistics.median(bare),
        "fill_s": statistics.median(filled),
        "overhead_percent": 100 * statistics.median(f / b - 1 for f, b in zip(filled, bare, strict=True)),
    }


# --- all of them ------------------------------------------------------------------------------------------------------


def build(folder: Path, count: int, *, samples: int, with_texts: bool = False) -> None:
    folder.mkdir()
    for store in STORES:
        started = time.perf_counter()
        globals()[f"{store}_add"](folder, rows(count, samples))
        print(f"built {store}: {count:,} rows in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if with_texts:
        schema = pa.schema({"text": pa.large_string()})
        with pa.OSFile(str(folder / "texts.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for block in texts(count // samples):
                writer.write_table(pa.table({"text": pa.array(block, pa.large_string())}))


def size(path: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())


def run(folder: Path, count: int, repeats: int) -> dict:
    small = min(1_000_000, count)
    build(folder / "small", small, samples=1)
    build(folder / "large", count, samples=SAMPLES, with_texts=True)
    plan = [("missing", folder / "small", small), ("join", folder / "large", count)]
    taken: dict[str, dict[str, list[dict]]] = {}
    for what, where, asked in plan:
        taken[what] = {store: [] for store in STORES}
        for _ in range(repeats):
            for store in STORES:
                taken[what][store].append(in_a_process(what, store, where, asked))
        found = {json.dumps(each["found"]) for store in STORES for each in taken[what][store]}
        assert len(found) == 1, f"the stores disagree on {what}: {found}"
    written = min(200_000, count)
    taken["add"] = {store: [] for store in STORES}
    for number in range(repeats):
        for store in STORES:
            fresh = folder / f"write-{number}-{store}"
            fresh.mkdir()
            taken["add"][store].append(in_a_process("add", store, fresh, written))
    median = {
        what: {store: statistics.median(each["seconds"] for each in found) for store, found in by_store.items()}
        for what, by_store in taken.items()
    }
    peak = {store: max(each["peak_bytes"] for each in found) / 1e9 for store, found in taken["join"].items()}
    files = {"ours": "ours", "sqlite": "rows.sqlite", "lmdb": "lmdb"}
    return {
        "ratios": {
            f"{what}_over_{store}": median[what][store] / median[what]["ours"] for what in taken for store in STORES[1:]
        },
        "figures": {
            "rows": count,
            f"missing_among_{small}_s": median["missing"],
            f"join_{count}_s": median["join"],
            "join_peak_gb": peak,
            "write_rows_per_s": {store: written / seconds for store, seconds in median["add"].items()},
            "bytes_a_row": {store: size(folder / "large" / name) / count for store, name in files.items()},
            "fill": overhead(repeats, 10_000),
            "repeats": repeats,
        },
        "machine": {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "versions": {name: version(name) for name in ("pyarrow", "lmdb", "numpy")}
        | {"sqlite": sqlite3.sqlite_version, "python": platform.python_version()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the large store")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the stores are built; a folder of temporary files otherwise")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, store, folder, count = arguments.measure
        print(json.dumps(measure(what, store, Path(folder), int(count))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = run(Path(folder), arguments.rows, arguments.repeats)
    if arguments.json:
        print(json.dumps(result))
        return
    for part, values in result.items():
        print(part)
        for name, value in values.items():
            print(f"  {name:<28} {json.dumps(value)}")


if __name__ == "__main__":
    main()
