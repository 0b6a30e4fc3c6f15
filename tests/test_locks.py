"""The digests of locks/ are of the versions of constraints.txt, and of everything that the project asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
LOCKS = ("setup", "torch", "cuda", "docs")


def pins(path: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PINS.findall(path.read_text("utf-8"))}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_digests_of_pinned_versions(name):
    path = ROOT / "locks" / f"{name}.txt"
    for pin in re.split(r"\n(?=[A-Za-z])", path.read_text("utf-8"))[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin
    assert "://" not in path.read_text("utf-8")


def test_locks_and_constraints_have_the_same_versions():
    constraints = pins(ROOT / "constraints.txt")
    locked = {name: version for lock in LOCKS for name, version in pins(ROOT / "locks" / f"{lock}.txt").items()}
    differing = {name for name in constraints.keys() & locked.keys() if constraints[name] != locked[name]}
    assert not differing and not constraints.keys() - locked.keys()


def test_every_requirement_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {name: version for lock in LOCKS for name, version in pins(ROOT / "locks" / f"{lock}.txt").items()}
    extras = dict(project["optional-dependencies"])
    del extras["ctranslate2-gpu"]  # set-up does not install it: 600 MB that a torch of CUDA 12 pins itself
    for line in (*project["dependencies"], *(line for extra in extras.values() for line in extra)):
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name == "text-uda" or requirement.specifier.contains(locked[name]), line
