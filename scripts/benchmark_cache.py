"""The cache beside SQLite and LMDB: the same rows and the same queries, interleaved on one machine.

    python scripts/benchmark_cache.py --json                 about 25 minutes and 20 GB of disk on 2 cores
    python scripts/benchmark_cache.py --rows 200000          a small version, about a minute

- missing: which of 1 million texts have no row, in a store of 1 million rows (half of the texts are present);
- join: open a store of 10 million rows and read the rows of a data set of 5 million texts, 2 samples each, in the order
  of the data set, as one memory-mapped table; seconds and the peak memory of the process;
- write: rows per second, with a durable commit every 10,000 rows;
- overhead: the time of `fill` over the time of the bare augmentation (SwitchOut on real reviews), in percent.

Each measurement is a separate process, so that its memory can be measured; the figure includes pages of mapped files,
which the system can reclaim. All three stores must return the same rows. The stores have just been written, so their
files are in the page cache.
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
SHARD_ROWS = 250_000  # about the size of a shard after `fill` or compaction
COMMIT_ROWS = 10_000
RESULT = pa.schema({"paraphrase": pa.large_string(), "status": pa.string()})
STORES = ("ours", "sqlite", "lmdb")


# --- the same rows for all --------------------------------------------------------------------------------------------


def texts(count: int, *, first: int = 0) -> Iterator[list[str]]:
    """Distinct sentences from number `first` on, in blocks; each combines two halves of nine random words."""
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


def ours_add(folder: Path, rows: Iterator[tuple[list[str], int, list[str]]]) -> None:
    cache = Cache(folder / "ours")
    for sources, sample, paraphrases in rows:
        cache.add(
            SETTINGS,
            [
                (source, sample, Paraphrase(text, scores={"change_rate": 0.5}))
                for source, text in zip(sources, paraphrases, strict=True)
            ],
        )


def ours_missing(folder: Path, queries: list[str]) -> pa.ChunkedArray:
    return missing(Cache(folder / "ours"), SETTINGS, queries).rows["source"]


def ours_join(folder: Path, queries: pa.ChunkedArray) -> pa.Table:
    return join(Cache(folder / "ours"), SETTINGS, queries, samples=SAMPLES)


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
    """Sorted by source, then by sample."""
    by_sample = [key_bytes(sources, sample) for sample in range(SAMPLES)]
    return [key for source_keys in zip(*by_sample, strict=True) for key in source_keys]


def result(pairs: Sequence[Sequence[str]]) -> pa.Table:
    """From pairs (paraphrase, status)."""
    return pa.table([[text for text, _ in pairs], [status for _, status in pairs]], names=RESULT.names).cast(RESULT)


def sqlite_add(folder: Path, rows: Iterator[tuple[list[str], int, list[str]]]) -> None:
    connection = open_sqlite(folder)
    for sources, sample, paraphrases in rows:
        keyed = sorted(zip(key_bytes(sources, sample), sources, paraphrases, strict=True))
        with connection:
            connection.executemany(
                "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, NULL, 'ok', 0.5)",
                [(key, source, sample, text) for key, source, text in keyed],
            )
    connection.close()


def sqlite_missing(folder: Path, queries: list[str]) -> list[str]:
    keys = key_bytes(queries, 0)
    present = {key for key, _, _ in sqlite_rows(open_sqlite(folder), keys)}
    return [text for text, key in zip(queries, keys, strict=True) if key not in present]


def sqlite_join(folder: Path, queries: pa.ChunkedArray) -> pa.Table:
    connection = open_sqlite(folder)

    def parts() -> Iterator[pa.Table]:
        for block in blocks(queries):
            keys = keys_of_all_samples(block)
            row_of = {key: rest for key, *rest in sqlite_rows(connection, keys)}
            yield result([row_of[key] for key in keys])

    return mapped_table(RESULT, parts())


def sqlite_rows(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, str, str]]:
    """The rows sorted by key, the order of the table, with as many keys per statement as SQLite allows."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), 30_000):
        some = ordered[start : start + 30_000]
        query = f"SELECT key, paraphrase, status FROM rows WHERE key IN ({','.join('?' * len(some))})"
        yield from connection.execute(query, some)


def open_lmdb(folder: Path) -> lmdb.Environment:
    return lmdb.open(str(folder / "lmdb"), map_size=1 << 40)


def lmdb_add(folder: Path, rows: Iterator[tuple[list[str], int, list[str]]]) -> None:
    with open_lmdb(folder) as environment:
        for sources, sample, paraphrases in rows:
            keyed = sorted(zip(key_bytes(sources, sample), sources, paraphrases, strict=True))
            values = [(key, f"ok\0{text}\0{source}\0{sample}\0\x000.5".encode()) for key, source, text in keyed]
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(values)


def lmdb_missing(folder: Path, queries: list[str]) -> list[str]:
    keys = key_bytes(queries, 0)
    with open_lmdb(folder) as environment, environment.begin() as transaction, transaction.cursor() as cursor:
        present = {key for key, _ in cursor.getmulti(sorted(keys))}
    return [text for text, key in zip(queries, keys, strict=True) if key not in present]


def lmdb_join(folder: Path, queries: pa.ChunkedArray) -> pa.Table:
    def parts() -> Iterator[pa.Table]:
        with open_lmdb(folder) as environment, environment.begin() as transaction, transaction.cursor() as cursor:
            for block in blocks(queries):
                keys = keys_of_all_samples(block)
                row_of = dict(cursor.getmulti(sorted(keys)))
                yield result([bytes(row_of[key]).decode().split("\0", 2)[1::-1] for key in keys])

    return mapped_table(RESULT, parts())


# --- one measurement, in a separate process ---------------------------------------------------------------------------


def measure(what: str, store: str, folder: Path, count: int) -> dict:
    """Seconds, peak memory, and a digest of the result, which must be the same for all stores."""
    function: Callable = globals()[f"{store}_{what}"]
    peak = None
    if what == "missing":
        queries = [text for block in texts(count, first=count // 2) for text in block]
        started = time.perf_counter()
        answer = function(folder, queries)
        seconds = time.perf_counter() - started
        content = digest([answer if isinstance(answer, list) else answer.to_pylist()])
    elif what == "join":
        with pa.memory_map(str(folder / "texts.arrow")) as file:
            column = pa.ipc.open_file(file).read_all()["text"]
        started = time.perf_counter()
        table = function(folder, column)
        seconds, peak = time.perf_counter() - started, peak_memory()
        content = digest(batch[name].to_pylist() for name in RESULT.names for batch in table.to_batches())
    else:
        commits = [
            (sources[start : start + COMMIT_ROWS], sample, paraphrases[start : start + COMMIT_ROWS])
            for sources, sample, paraphrases in rows(count)
            for start in range(0, len(sources), COMMIT_ROWS)
        ]
        started = time.perf_counter()
        function(folder, commits)
        seconds, content = time.perf_counter() - started, str(count)
    return {"seconds": seconds, "peak_bytes": peak or peak_memory(), "content": content}


def digest(lists: Iterable[list[str]]) -> str:
    content = hashlib.blake2b(digest_size=8)
    for texts in lists:
        content.update("".join(f"{text}\0" for text in texts).encode())
    return content.hexdigest()


def peak_memory() -> int:
    """Of this process in bytes, with pages of mapped files. (getrusage would count the parent's peak.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def in_process(what: str, store: str, folder: Path, count: int) -> dict:
    command = [sys.executable, __file__, "--measure", what, store, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{what} on {store} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def overhead(repeats: int, limit: int) -> dict[str, float]:
    """Seconds of the bare augmentation and of `fill` with it, interleaved, without reading the data."""
    from text_uda import SwitchOut, load  # a late import, because it uses memory

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


# --- the whole benchmark ----------------------------------------------------------------------------------------------


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
    return sum(file.stat().st_blocks * 512 for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def run(folder: Path, count: int, repeats: int) -> dict:
    small = min(1_000_000, count)
    build(folder / "small", small, samples=1)
    build(folder / "large", count, samples=SAMPLES, with_texts=True)
    plan = [("missing", folder / "small", small), ("join", folder / "large", count)]
    measured: dict[str, dict[str, list[dict]]] = {}
    for what, where, size_of_store in plan:
        measured[what] = {store: [] for store in STORES}
        for _ in range(repeats):
            for store in STORES:
                measured[what][store].append(in_process(what, store, where, size_of_store))
        contents = {json.dumps(one["content"]) for store in STORES for one in measured[what][store]}
        assert len(contents) == 1, f"the stores disagree on {what}: {contents}"
    written = min(200_000, count)
    measured["add"] = {store: [] for store in STORES}
    for number in range(repeats):
        for store in STORES:
            fresh = folder / f"write-{number}-{store}"
            fresh.mkdir()
            measured["add"][store].append(in_process("add", store, fresh, written))
    median = {
        what: {store: statistics.median(one["seconds"] for one in results) for store, results in by_store.items()}
        for what, by_store in measured.items()
    }
    peak = {store: max(one["peak_bytes"] for one in results) / 1e9 for store, results in measured["join"].items()}
    files = {"ours": "ours", "sqlite": "rows.sqlite", "lmdb": "lmdb"}
    return {
        "ratios": {
            f"{what}_over_{store}": median[what][store] / median[what]["ours"]
            for what in measured
            for store in STORES[1:]
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
    parser.add_argument("--folder", type=Path, help="for the stores; the default is a temporary folder")
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
