"""Writes locks/: the digest of each file of each package that set-up installs, at the versions of constraints.txt.

    pip install uv; python scripts/write_locks.py

The locks hold the digests of all files on the package index, for any platform and Python, and of one build of torch for
CPUs that is not there. scripts/setup.sh installs from them. torch has a lock of its own, because pip with a lock takes
the build of the index even where it takes another one without.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
TORCH_FOR_CPUS = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"  # of Linux, x86-64, Python 3.11
_OF_CUDA = re.compile(r"(nvidia-|cuda-|triton=)")


def main() -> None:
    setup, whole = _locked("demo", "dev"), _locked("demo", "dev", "docs")
    torch = {name: lines for name, lines in setup.items() if name.startswith("torch==")}
    cuda = {name: lines for name, lines in setup.items() if _OF_CUDA.match(name)}
    _write("setup.txt", {name: lines for name, lines in setup.items() if name not in {**cuda, **torch}})
    _write("torch.txt", {name: f"{lines} \\\n    --hash=sha256:{TORCH_FOR_CPUS}" for name, lines in torch.items()})
    _write("cuda.txt", cuda)
    _write("docs.txt", {name: lines for name, lines in whole.items() if name not in setup})


def _locked(*extras: str) -> dict[str, str]:
    """The pin with its digests of each package of these extras, by its first line."""
    words = ["uv", "pip", "compile", "--quiet", "pyproject.toml", "-", "--constraint", "constraints.txt"]
    words += [word for extra in extras for word in ("--extra", extra)]
    words += ["--universal", "--python-version", PYTHON, "--generate-hashes", "--no-annotate", "--no-header"]
    done = subprocess.run(words, cwd=ROOT, input="setuptools\n", stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    pins = re.split(r"\n(?=\S)", done.stdout.strip())
    return {pin.partition(" ")[0]: pin for pin in pins}


def _write(name: str, pins: dict[str, str]) -> None:
    folder = ROOT / "locks"
    folder.mkdir(exist_ok=True)
    lines = ["# Written by scripts/write_locks.py.", *(pins[name] for name in sorted(pins, key=str.lower))]
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
