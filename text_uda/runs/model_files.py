"""The digests of a run's model/, which result.json records: a model is read only where it is the one that was written.

Every file decides the predictions except for the model card, which a user may edit. Files of other names may be added,
for example an export to ONNX.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from text_uda.errors import SettingsError
from text_uda.runs.run_files import CARD, MODEL
from translation_cache.file_digest import known_file_digest

_ALGORITHM = "sha256"


class DamagedModelError(SettingsError):
    """The model of a finished run is not the one that the run wrote."""


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): known_file_digest(path, _ALGORITHM) for path in files}


def check_model(run: Path, result: Mapping[str, Any]) -> None:
    """Check the model of a finished run. A run of an earlier version has no digests: its weights must be there.

    Args:
        result: the content of result.json.
    Raises:
        DamagedModelError: a file of the model is missing, altered or added; the message names it.
    """
    model = run / "model"
    recorded = result.get("model_files")
    if recorded is None:
        names = ("config.json", "model*.safetensors")
        missing = next((name for name in names if not any(model.glob(name))), None)
        if missing is not None:
            raise _damaged(model / missing, "is missing")
        return
    for name, digest in recorded.items():
        path = model / name
        if name == CARD:
            continue
        if not path.is_file():
            raise _damaged(path, "is missing")
        if known_file_digest(path, _ALGORITHM) != digest:
            raise _damaged(path, "is not as the run wrote it (its SHA-256 differs from the one in result.json)")
    for path in sorted(model.iterdir()):
        if path.name not in recorded and any(fnmatchcase(path.name, name) for name in MODEL) and path.is_file():
            raise _damaged(path, "was added after the run, and transformers reads it")


def _damaged(path: Path, reason: str) -> DamagedModelError:
    remedy = "remove it" if "added" in reason else "restore it from a copy"
    return DamagedModelError(f"{path} {reason}: {remedy}, or train the run again with --no-resume (resume=False)")
