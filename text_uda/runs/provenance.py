"""Records how a result was computed: versions, code revision, device and precision."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator

    from text_uda.model.precision import ResolvedPrecision


def code_versions() -> dict[str, Any]:
    """Versions of Python and of the packages, and the code revision."""
    packages = ("text-uda", "torch", "transformers", "accelerate", "datasets", "numpy", "scikit-learn")
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"versions": versions, "code_revision": _code_revision()}


def machine(accelerator: "Accelerator", precision: "ResolvedPrecision") -> dict[str, Any]:
    """Device, precision of the forward passes, and number of processes."""
    import torch

    on_cuda = accelerator.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_cuda else accelerator.device.type,
        "precision": precision,
        "processes": accelerator.num_processes,
    }


def _code_revision() -> str | None:
    """The git revision of the running code, with `+` if files differ from it; None outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(folder)]
        revision = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        if tracked.returncode:
            return None  # installed inside another project's repository
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changed else "")
