"""An hour of writers, compactors, mergers, readers, exports and training runs, with kills and power cuts.

    sudo nice -n 10 python scripts/soak.py --minutes 60 --json

Two processes work at a time on a mounted ext4 image. The resident runs for the whole time: operations on a cache, and
whole training runs. Beside it one victim after the other starts: a writer, a compactor, `paraphrase` or `train`. It is
killed at a random moment by SIGKILL, SIGTERM or SIGINT. Now and then the power is cut: the image is copied and the copy
is mounted (see durability/disk.py). Ledgers outside of the disk hold the rows that were acknowledged. Each copy, and
the cache of an epoch at its end, must have them all, with the right content; a killed run must end with the bytes of an
undisturbed one. Memory and descriptors of the resident and of this process are sampled. Exit code 1 if rows are lost or
wrong, or if the figures of the last quarter exceed those of the first by a tenth.
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from durability.caches import content
from durability.disk import Disk, enter_private_mounts, send
from durability.inputs import write_inputs
from durability.laboratory import Laboratory, Snapshot, run_command
from durability.operations import ALL, EXPORTS, TEXTS, WRITING, Ledger, Operations, Reverse, epoch_texts, reverse
from durability.training import METHODS, durable_step, inspect_run, outcome, training_words
from pyarrow.csv import read_csv
from pyarrow.json import read_json
from pyarrow.parquet import read_table

from translation_cache import Cache, fill, fingerprint, rows, verify

EPOCH_S, CUT_EVERY_S, SAMPLE_EVERY_S = 90.0, 15.0, 5.0
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VICTIMS = ("writer", "writer", "writer", "compactor", "paraphrase", "train", "train")


def resident(folder: Path, inputs: Path, ledgers: Path, seed: int, orders: Any) -> None:
    """Operations of all kinds until the orders end; it pauses between epochs."""
    runs = 0
    while (epoch := orders.recv()) is not None:
        ledger, chance = Ledger(ledgers / f"{epoch}-resident"), random.Random(f"{seed} resident {epoch}")
        operations = Operations(epoch_folder(folder, epoch), epoch, ledger, chance)
        while not orders.poll():
            if chance.random() < 0.01:
                out, method = epoch_folder(folder, epoch) / f"run-{runs}", METHODS[runs % len(METHODS)]
                in_process(training_words(inputs, method, out))
                ledger.add("did", method)
                if method != "pretrain":
                    in_process(["report", out, "--out", out.with_suffix(".html")])
                    ledger.add("did", "report")
                runs += 1
            operations.do(ALL)
        ledger.close()
        orders.send(orders.recv())


def epoch_folder(root: Path, epoch: int) -> Path:
    """A new one in each epoch, since a cut can bring back files that were removed."""
    return root / f"epoch-{epoch}"


def in_process(words: list[object]) -> None:
    try:
        run_command([str(word) for word in words])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{words[0]} ended with exit code {end.code}") from end


def victim(folder: Path, ledger: Path, epoch: int, seed: str, names: tuple[str, ...]) -> None:
    operations = Operations(epoch_folder(folder, epoch), epoch, Ledger(ledger), random.Random(seed))
    parent = parent_process()
    while parent is not None and parent.is_alive():
        operations.do(names)


class Soak:
    def __init__(self, folder: Path, disk: Disk, laboratory: Laboratory, *, seed: int) -> None:
        self._folder, self._disk, self._laboratory, self._seed = folder, disk, laboratory, seed
        self._chance, self._root = random.Random(f"{seed} soak"), laboratory.root
        self._ledgers = folder / "ledgers"
        self._ledgers.mkdir()
        self._copy_root = folder / "copy"
        self._copy_root.mkdir()
        self._orders, theirs = laboratory.pipe()
        self._resident = laboratory.start(resident, self._root, folder, self._ledgers, seed, theirs, log="resident.log")
        self._epoch = self._victims = self._runs = 0
        self._paraphrased = False  # in this epoch, by the command
        self._undisturbed, self._swapped = dict[str, dict[str, Any]](), set[str]()
        self._samples: dict[str, list[tuple[int, int]]] = {"resident": [], "this process": []}
        self.counts = Counter[str]()

    @property
    def _method(self) -> str:
        return METHODS[self._runs % len(METHODS)]

    @property
    def _run(self) -> Path:
        return self._root / f"run-{self._runs}"

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def _acknowledged(self) -> set[int]:
        """Texts of this epoch whose rows were acknowledged so far."""
        rows: set[int] = set()
        for path in self._ledgers.glob(f"{self._epoch}-*"):
            for line in path.read_text().split("\n")[:-1]:
                if line.startswith("rows"):
                    rows |= set(range(*map(int, line.split()[1:])))
        return rows

    def _close_ledgers(self) -> None:
        for path in self._ledgers.iterdir():
            for line in path.read_text().split("\n")[:-1]:
                kind, _, rest = line.partition(" ")
                if kind == "did":
                    self.counts[f"operation {rest}"] += 1
                elif kind == "wrong":
                    self.counts["wrong"] += 1
                    self._laboratory.violation(f"epoch {self._epoch}: {rest}")
            path.unlink()

    def _count(self, label: str, **cases: list[Any]) -> None:
        for name, found in cases.items():
            self.counts[name] += len(found)
            if found:
                self._laboratory.violation(f"{label}: {len(found)} {name}, such as {found[0]}")

    def _check(self, root: Path, acknowledged: set[int], paraphrased: bool, label: str) -> None:
        """The files of an epoch: rows, exports, and the cache of the command `paraphrase`."""
        folder, texts = epoch_folder(root, self._epoch), epoch_texts(self._epoch)
        cache = Cache(folder / "cache")
        present = {row["source"]: row["paraphrase"] for row in rows(cache, fingerprint(Reverse().settings()))}
        self._count(
            f"{label}, cache",
            lost=[texts[number] for number in acknowledged if texts[number] not in present],
            wrong=[source for source, paraphrase in present.items() if paraphrase != reverse(source)],
            damaged=verify(cache)["damaged"] + verify(Cache(folder / "swapped"))["damaged"],
        )
        self.counts["checked rows"] += len(acknowledged)
        swapped = content(folder / "swapped")
        lost = sorted(self._swapped - swapped) if paraphrased else []
        self._count(f"{label}, paraphrase", lost=lost, wrong=sorted(swapped - self._swapped))
        self._check_exports(folder, label)

    def _check_exports(self, folder: Path, label: str) -> None:
        readers = (read_json, read_csv, read_table)
        for name, read in zip(EXPORTS, readers, strict=True):
            if not (folder / name).exists():
                continue
            try:
                table = read(folder / name)
                pairs = zip(table["source"].to_pylist(), table["paraphrase"].to_pylist(), strict=True)
                wrong = [source for source, paraphrase in pairs if paraphrase != reverse(source)]
            except (OSError, ValueError, KeyError) as error:
                wrong = [f"the file ({error})"]
            self._count(f"{label}, {name}", wrong=wrong)

    # --- kills and cuts -----------------------------------------------------------------------------------------------

    def _start_victim(self) -> tuple[str, Any]:
        self._victims += 1
        kind, laboratory = self._chance.choice(VICTIMS), self._laboratory
        if kind == "train":
            return kind, laboratory.command(training_words(self._folder, self._method, self._run))
        if kind == "paraphrase":
            return kind, laboratory.command(self._paraphrase_words(epoch_folder(self._root, self._epoch)))
        ledger = self._ledgers / f"{self._epoch}-{self._victims}"
        names, seed = WRITING if kind == "writer" else ("compact", "audit"), f"{self._seed} victim {self._victims}"
        return kind, laboratory.start(victim, self._root, ledger, self._epoch, seed, names)

    def _paraphrase_words(self, folder: Path) -> list[object]:
        return ["paraphrase", self._folder / "texts.txt", "--method", "swap", "--cache", folder / "swapped"]

    def _victim_and_cut(self, cut: bool) -> None:
        """One victim, killed at a random moment; before that the power may be cut."""
        kind, process = self._start_victim()
        process.join(self._chance.expovariate(1 / (4 if kind in ("train", "paraphrase") else 1.0)))
        snapshot = None
        if cut:
            run = (kind == "train" and process.exitcode == 0, durable_step(self._run))
            durable = (self._acknowledged(), self._paraphrased, run)
            snapshot = self._laboratory.cut("soak", self._disk, [process, self._resident], durable)
        if process.exitcode is None:
            number = self._chance.choice(SIGNALS)
            send(process.pid, number)
            self.counts[f"kill {signal.Signals(number).name} of {kind}"] += 1
            process.join(60)
            if process.exitcode is None:
                label = f"{kind} goes on for a minute after {signal.Signals(number).name}"
                self._laboratory.violation(f"{label}:\n{self._laboratory.stacks(process)}")
                process.kill()
                process.join()
        elif kind in ("train", "paraphrase"):
            self._paraphrased |= self._laboratory.finish(process, kind) and kind == "paraphrase"
        else:
            self._laboratory.violation(f"{kind} ended by itself with exit code {process.exitcode}")
        if snapshot is not None:
            self._check_copy(snapshot)
        if kind == "train" and process.exitcode == 0 and (self._run / "result.json").exists():
            self._check_run()

    def _check_copy(self, snapshot: Snapshot) -> None:
        label, (acknowledged, paraphrased, run) = f"cut {self._laboratory.cuts['soak']}", snapshot.durable
        with Disk(snapshot.image, self._copy_root, snapshot.options).mounted():
            self._check(self._copy_root, acknowledged, paraphrased, label)
            out, expected = self._copy_root / self._run.name, self._undisturbed[self._method]
            inspect_run(self._laboratory, out, run, expected, f"{label}, {self._method}")
        snapshot.image.unlink()

    def _check_run(self) -> None:
        """A run that was killed, perhaps several times, and has finished; the next one is of another method."""
        actual, expected = outcome(self._run), self._undisturbed[self._method]
        differences = [name for name, value in expected.items() if actual.get(name) != value]
        self._count(f"{self._method} after its kills", wrong=differences)
        self.counts["killed runs that finished"] += 1
        shutil.rmtree(self._run)
        self._runs += 1

    # --- time ---------------------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        for name, process in (("resident", self._resident.pid), ("this process", os.getpid())):
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            descriptors = len(os.listdir(f"/proc/{process}/fd"))
            self._samples[name].append((pages * os.sysconf("SC_PAGE_SIZE") >> 20, descriptors))

    def prepare(self) -> None:
        laboratory, folder = self._laboratory, self._folder
        swaps = ["paraphrase", folder / "reviews.csv", "--method", "swap", "--cache", folder / "cache"]
        laboratory.finish(laboratory.command(swaps), "paraphrases of flexmatch")
        laboratory.finish(laboratory.command(self._paraphrase_words(folder)), "undisturbed paraphrases")
        self._swapped = content(folder / "swapped")
        for method in METHODS:
            out = folder / f"undisturbed-{method}"
            laboratory.finish(laboratory.command(training_words(folder, method, out)), f"undisturbed {method}")
            self._undisturbed[method] = outcome(out)

    def run(self, seconds: float) -> None:
        started = last_cut = last_sample = time.monotonic()
        while (now := time.monotonic()) - started < seconds and self._resident.exitcode is None:
            epoch_end = min(now + EPOCH_S, started + seconds)
            self._orders.send(self._epoch)
            while (now := time.monotonic()) < epoch_end and self._resident.exitcode is None:
                if now - last_sample > SAMPLE_EVERY_S:
                    self._sample()
                    last_sample = now
                cut = now - last_cut > CUT_EVERY_S
                last_cut = now if cut else last_cut
                self._victim_and_cut(cut)
            if self._resident.exitcode is None:
                self._orders.send("pause")
                self._orders.recv()
                self._end_epoch()
        if self._resident.exitcode is None:
            self._orders.send(None)
        self._laboratory.finish(self._resident, "the resident", log="resident.log")

    def _end_epoch(self) -> None:
        acknowledged, label = self._acknowledged(), f"epoch {self._epoch}"
        self._check(self._root, acknowledged, self._paraphrased, label)
        folder = epoch_folder(self._root, self._epoch)
        fill(Cache(folder / "cache"), Reverse(), epoch_texts(self._epoch))
        self._check(self._root, set(range(TEXTS)), self._paraphrased, f"{label}, filled")
        self.counts["acknowledged rows"] += len(acknowledged)
        self._close_ledgers()
        shutil.rmtree(folder)
        self._epoch, self._paraphrased = self._epoch + 1, False
        cuts, kills = self._laboratory.cuts["soak"], self._total("kill")
        print(f"{label}: {self._total('operation')} operations, {kills} kills, {cuts} cuts", file=sys.stderr)

    def _total(self, kind: str) -> int:
        return sum(count for name, count in self.counts.items() if name.startswith(kind))

    def record(self) -> dict[str, Any]:
        flat, figures = True, {}
        for name, samples in self._samples.items():
            quarter = max(1, len(samples) // 4)
            for unit, values in zip(("memory_mb", "descriptors"), zip(*samples, strict=True), strict=True):
                first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
                figures[f"{unit} of {name}, first and last quarter"] = [first, last]
                flat &= last <= 1.1 * first
        return {
            "operations": self._total("operation"),
            "kills": self._total("kill"),
            "cuts": self._laboratory.cuts["soak"],
            "cuts_in_a_sync": self._laboratory.in_a_sync,
            "epochs": self._epoch,
            "lost": self.counts["lost"],
            "wrong": self.counts["wrong"],
            "damaged": self.counts["damaged"],
            "flat": flat,
            **figures,
            "counts": dict(sorted(self.counts.items())),
            "violations": self._laboratory.violations,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the operations, the kills and the cuts")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    enter_private_mounts()
    logging.getLogger("translation_cache").setLevel(logging.ERROR)  # damage is reported as a violation
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the folder is removed
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        write_inputs(Path(name))
        laboratory = Laboratory(Path(name), seed=arguments.seed, synced=True)
        with laboratory.disk() as disk:
            soak = Soak(Path(name), disk, laboratory, seed=arguments.seed)
            soak.prepare()
            soak.run(60 * arguments.minutes)
        record = soak.record()
    print(json.dumps(record) if arguments.json else "\n".join(f"{name:<40} {value}" for name, value in record.items()))
    raise SystemExit(bool(record["violations"]) or not record["flat"])


if __name__ == "__main__":
    main()
