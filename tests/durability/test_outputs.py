"""A power cut at each step of a call that writes files: each is whole, as it was before, or absent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from exploring import CrashStates
from output_scenarios import WRITES, Writes, files, same_bytes
from recording import Recorder

from translation_cache.atomic import remove_leftovers


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    with same_bytes():
        yield


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_file_is_whole_after_a_power_cut(tmp_path: Path, write: Writes) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    recorder, versions = Recorder(disk), [dict[str, bytes]()]
    with recorder.recording():
        for _ in write(disk):
            recorder.acknowledge()
            versions.append(files(disk))

    def check(state: Path, acknowledged: int) -> None:
        remove_leftovers(state / "out")  # as the next call does, which puts a folder back that was to be replaced
        present, possible = files(state), versions[acknowledged : acknowledged + 2]
        for name in versions[acknowledged]:
            assert name in present or name not in possible[-1], f"{name} is lost"
        for name, content in present.items():
            wholes = [version[name] for version in (possible if name in possible[-1] else versions) if name in version]
            assert content in wholes, f"{name} is not whole"

    def check_rerun(state: Path, acknowledged: int) -> None:
        check(state, acknowledged)
        list(write(state))
        present = files(state)
        different = {name for name, content in versions[-1].items() if present.get(name) != content}
        assert not different, f"a rerun leaves other files: {different}"

    states = CrashStates(recorder)
    states.explore(f"{write.__name__}, as it lies", check, tmp_path, most=100).assert_whole()
    states.explore(f"{write.__name__}, rerun", check_rerun, tmp_path, most=3, exhaustive=100).assert_whole()
