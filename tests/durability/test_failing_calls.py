"""Each call to the disk fails once: a clear error, nothing torn under a final name, and a rerun to the same bytes."""

import errno
import itertools
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cache_scenario import RERUN, early_compaction, rows
from exploring import EXHAUSTIVE
from failing import Failure
from output_scenarios import files, same_bytes, write_predictions, write_report
from run_scenario import Training, train_alone

from text_uda.cli.failures import USAGE, explain

CODES = (errno.EIO, errno.ENOSPC, errno.EACCES)


@dataclass
class Attempts:
    name: str
    calls: int = 0
    tried: int = 0
    tolerated: int = 0

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.calls:,} calls, {self.tried:,} failures, {self.tolerated:,} without an effect, "
            "each other one with a clear error"
        )


def fail_each(
    name: str,
    work: Callable[[Path], object],
    check: Callable[[Path], None],
    check_rerun: Callable[[Path], None],
    scratch: Path,
    *,
    most: int,
    exhaustive: int | None = None,
) -> Attempts:
    """Run the work in a fresh folder for each failure, or a sample of them.

    Args:
        check: raises where something is torn.
        check_rerun: runs the work again, and raises where its result is another one.
        most, exhaustive: failures to try, as a sample of all, in the suite and in the exhaustive mode.
    """
    disk = scratch / "counted"
    disk.mkdir()
    with Failure(disk).in_calls() as counted:
        work(disk)
    failures = list(itertools.product(range(len(counted.calls)), CODES))
    limit = exhaustive if EXHAUSTIVE else most
    if limit is not None and len(failures) > limit:
        failures = sorted(random.Random(0).sample(failures, limit))
    attempts = Attempts(name, len(counted.calls))
    shutil.rmtree(disk)
    unclear = []
    for at, code in failures:
        disk = scratch / "failing"
        disk.mkdir()
        attempts.tried += 1
        try:
            with Failure(disk, at, code).in_calls() as failure:
                work(disk)
            attempts.tolerated += 1
        except Exception as error:
            line, exit_code = explain(error)
            if exit_code != USAGE:
                unclear.append(f"{failure.call}: {line}")
        place = f"{failure.call} with {errno.errorcode[code]}"
        try:
            check(disk)
            check_rerun(disk)
        except Exception as error:
            raise AssertionError(f"after {place}: {type(error).__name__}: {error}") from error
        shutil.rmtree(disk)
    print(attempts)
    assert not unclear, "\n".join(unclear)
    return attempts


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early_compaction(monkeypatch)

    def work(disk: Path) -> None:
        for part in RERUN:
            part(disk)

    whole = tmp_path / "whole"
    work(whole)
    expected = rows(whole)

    def check(disk: Path) -> None:
        assert all(present <= expected[name] for name, present in rows(disk).items())

    def check_rerun(disk: Path) -> None:
        work(disk)
        assert rows(disk) == expected

    fail_each("cache", work, check, check_rerun, tmp_path, most=16)


def test_training(tmp_path: Path) -> None:
    training = Training.record(train_alone, tmp_path / "whole")
    fail_each(
        "train",
        training.call,
        lambda disk: training.check(disk, 0, same_process=False),
        training.call_and_check,
        tmp_path,
        most=4,
        exhaustive=200,
    )


@pytest.mark.parametrize("write", [write_report, write_predictions], ids=lambda write: write.__name__)
def test_outputs(tmp_path: Path, write: Callable) -> None:
    with same_bytes():
        versions = []
        for _ in write(tmp_path / "whole"):
            versions.append(files(tmp_path / "whole"))

        def check(disk: Path) -> None:
            for name, content in files(disk).items():
                assert any(version.get(name) == content for version in versions), f"{name} is torn"

        def check_rerun(disk: Path) -> None:
            list(write(disk))
            present = files(disk)
            assert versions[-1].items() <= present.items(), "a rerun leaves other files"

        fail_each(write.__name__, lambda disk: list(write(disk)), check, check_rerun, tmp_path, most=8)
