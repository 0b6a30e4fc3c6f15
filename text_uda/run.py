"""The run directory: all that a run leaves, and the only thing that reports read.

config.json           what was asked for and what made it: settings, digests, versions, code revision
metrics.jsonl         one line a logged step, one a development evaluation
examples.jsonl        some of the unlabeled pairs
test_examples.jsonl   some of the test rows, with what the chosen weights say of them
diverged.json         where the loss or its gradient was no number, if it ever was: step, terms, rows
result.json           errors, scores of classes, confusion, calibration, coverage; there only when the run is finished
checkpoints/          the newest one, until the run is finished
tokens/               ids of texts that are many, until the run is finished
model/                an ordinary transformers folder, of the chosen weights
refit/                a run directory of its own, where a refit was asked for: a model of every label
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_uda.errors import SettingsError

log = logging.getLogger("text_uda")

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from text_uda.precision import Numbers, Precision

PRETRAINING = "pretrain"  # the method of a run that leaves an encoder
REFIT = "refit"  # the folder of the refit in that of the run

# Parts of the configuration that tell where and with what a run was made, but do not decide what it computes.
PROVENANCE = ("name", "versions", "code_revision", "command", "machine")

# Of the data, what follows from its digest; earlier versions did not write it.
_FROM_DIGEST = ("test_digest", "unlabeled", "labeled", "dev", "test", "label_sampling", "labels_per_class")

# What runs did before there was a setting.
BEFORE_THERE_WAS = {
    "select_by": "error",
    "head_learning_rate": None,
    "schedule": "linear",
    "head_penalty": None,  # but see `has_earlier_head`
    "max_grad_norm": 1.0,
    "patience": None,
}

# What objectives did before they had a field.
_OBJECTIVES_BEFORE = {
    "Supervised": {"class_weights": None, "label_smoothing": 0.0},
    "FlexMatch": {"prior": "uniform"},
    "FreeMatch": {"prior": "uniform"},
    "SoftMatch": {"alignment": "uniform"},
    "VAdD": {"entropy_weight": 0.0},
}

# Settings that tell how a run goes and is told of, but not what it comes to (but for rounding, and which dropout).
OF_THE_WAY = ("tokens_per_pass", "checkpoint_every", "log_every", "compile")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all, even when the power goes."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone; a report is there to be read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class RunDirectory:
    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tokens(self) -> Path:
        return self.path / "tokens"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def open(self, config: Mapping[str, Any], *, resume: bool) -> bool:
        """Begin, or go on, the run that this configuration describes. True where it begins here.

        Raises:
            SettingsError: the folder holds something else, or a run with other settings.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SettingsError(f"{self.path} is a file; name a folder for the run")
        self._remove_what_a_kill_left()
        earlier = self.config() if (self.path / "config.json").exists() else None
        if earlier is None and self.path.exists() and any(self.path.iterdir()):
            raise SettingsError(f"{self.path} holds files that no run made; name an empty folder for the run")
        if earlier is not None and not resume:
            shutil.rmtree(self.path)
        elif earlier is not None:
            differences = _differences(_decisive(earlier), _decisive(json.loads(json.dumps(config))))
            if differences:
                raise SettingsError(
                    f"{self.path} holds a run with other settings ({'; '.join(differences[:6])}); "
                    "name another folder, or start it anew with --no-resume"
                )
            if earlier.get("machine") not in (None, config.get("machine")):
                log.warning(
                    "%s was begun with %s and goes on with %s: it will not be the same to the bit",
                    self.path,
                    _said(earlier["machine"]),
                    _said(config.get("machine") or {}),
                )
            return False
        self.path.mkdir(parents=True, exist_ok=True)
        self.write("config.json", config)
        return True

    def check_head(self, *, tune: str, linear: Callable[[], bool]) -> None:
        """Raise SettingsError where an earlier version began the run, and its head would be another one today.

        Args:
            linear: whether the encoder gets a linear head; asked where there is an earlier run.
        """
        if (self.path / "config.json").exists() and has_earlier_head(self.config()) and (tune == "head" or linear()):
            raise SettingsError(
                f"{self.path} holds a run of an earlier version, whose head was not one linear layer, as it is now: "
                "name another folder, or start it anew with --no-resume"
            )

    def _remove_what_a_kill_left(self) -> None:
        """Files that `write_whole` had begun."""
        for name in ("config.json", "metrics.jsonl", "diverged.json", "test_examples.jsonl", "result.json"):
            for path in self.path.glob(f".{name}.*"):
                path.unlink()

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        write_whole(self.path / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def write_test_examples(self, lines: str) -> None:
        write_whole(self.path / "test_examples.jsonl", lines)

    def write_model(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", notes: Mapping[str, str] | None = None
    ) -> None:
        """An ordinary transformers folder, whole or absent.

        Args:
            notes: further files, by their path in the folder.
        """
        from text_uda.linear_head import saved_form

        aside = self.path / ".model"
        shutil.rmtree(aside, ignore_errors=True)
        with saved_form(model):
            model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        for path in aside.iterdir():
            path.chmod(0o644)  # safetensors makes files that are their owner's alone
        for name, content in (notes or {}).items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_text(content, "utf-8")
        shutil.rmtree(self.model, ignore_errors=True)
        aside.rename(self.model)

    def config(self) -> dict[str, Any]:
        return self._read("config.json")

    def numbers(self, precision: "Precision", width: int | None, *, resume: bool) -> "Numbers":
        """In which numbers the encoder's forward passes are: of a run that goes on, and was left the choice, those that
        it was begun with; else what `resolve` takes here."""
        from text_uda.precision import resolve

        if precision == "auto" and resume and (self.path / "config.json").exists():
            begun = (self.config().get("machine") or {}).get("precision")
            if begun in ("fp32", "bf16"):
                return begun
        return resolve(precision, width=width)

    def result(self) -> dict[str, Any] | None:
        """The finished run's result, or None."""
        return self._read("result.json") if (self.path / "result.json").exists() else None

    def holds_pretraining(self) -> bool:
        """Whether this is a run of `text-uda pretrain`, finished or not, which leaves an encoder and no classifier."""
        try:
            return self.config().get("method") == PRETRAINING
        except SettingsError:  # nothing there, or nothing that a run writes
            return False

    def check_holds_no_pretraining(self) -> None:
        """Raise SettingsError where a classifier is asked for and there is an encoder."""
        if self.holds_pretraining():
            raise SettingsError(
                f"{self.path} holds a pretraining run: an encoder, and no classifier; give it to `text-uda train` as "
                "--encoder"
            )

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} cannot be read ({error}); is {self.path} a run directory?") from error
        if not isinstance(content, dict):
            raise SettingsError(f"{path} is not what a run writes; is {self.path} a run directory?")
        return content

    def mean_of(self, name: str) -> float | None:
        """Of the metrics of training, over those that were written; None where there is none of this name."""
        values = [float(record[name]) for record in self.read_metrics() if name in record]
        return round(sum(values) / len(values), 6) if values else None

    def read_metrics(self) -> list[dict[str, Any]]:
        """The records so far; a last line that a kill cut short is left out."""
        if not self.metrics.exists():
            return []
        records = []
        for line in self.metrics.read_text("utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def keep_metrics_until(self, step: int) -> None:
        """Drop the metrics of steps that are to be run again."""
        kept = [json.dumps(record) + "\n" for record in self.read_metrics() if record["step"] <= step]
        write_whole(self.metrics, "".join(kept))


def has_earlier_head(config: Mapping[str, Any]) -> bool:
    """Whether a version made the run that had no linear heads: with tune="head", and on a sentence encoder, its head
    has a tanh, and other rates suit it."""
    settings = config.get("settings")
    return isinstance(settings, dict) and "learning_rate" in settings and "head_penalty" not in settings


def settings_in_full(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run in today's terms, so that those of an earlier version can be held against them."""
    settings = BEFORE_THERE_WAS | config["settings"]
    if "tune" not in config["settings"] or "learning_rate" not in settings:
        return settings  # of a pretraining, or a baseline
    if has_earlier_head(config) and settings["tune"] == "all" and settings["learning_rate"] is None:
        settings["learning_rate"] = 2e-5
    if settings.get("layer_decay", 1.0) is None and settings["tune"] != "all":
        settings["layer_decay"] = 1.0
    if settings.get("warmup_steps", 0) is None:
        settings["warmup_steps"] = 0 if settings["tune"] == "head" else settings["steps"] // 10
    return settings


def objectives_in_full(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objectives of a run in today's terms; AdaMatch of an earlier version started its means elsewhere."""
    found = []
    for each in config["objectives"]:
        each = _OBJECTIVES_BEFORE.get(each["objective"], {}) | each
        if "distribution_alignment" in each:  # of UDA
            each["alignment"] = "uniform" if each.pop("distribution_alignment") else None
        found.append(each)
    return found


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    decisive = {name: value for name, value in config.items() if name not in PROVENANCE}
    if isinstance(data := decisive.get("data"), dict):
        decisive["data"] = {name: value for name, value in data.items() if name not in _FROM_DIGEST}
    if isinstance(decisive.get("objectives"), list):
        decisive["objectives"] = objectives_in_full(config)
    if isinstance(decisive.get("settings"), dict):
        settings = settings_in_full(config)
        decisive["settings"] = {name: value for name, value in settings.items() if name not in OF_THE_WAY}
    return decisive


def _said(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _differences(there: Any, asked: Any, where: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(asked, dict):
        found = []
        for name in sorted(there.keys() | asked.keys()):
            found += _differences(there.get(name), asked.get(name), f"{where}.{name}" if where else name)
        return found
    return [] if there == asked else [f"{where}: {there!r} there, {asked!r} asked"]


def provenance() -> dict[str, Any]:
    """Versions and code revision: what made a result."""
    packages = ("text-uda", "torch", "transformers", "accelerate", "datasets", "numpy", "scikit-learn")
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"versions": versions, "code_revision": _code_revision()}


def machine(accelerator: "Accelerator", numbers: "Numbers") -> dict[str, Any]:
    """Where a run is, and in which numbers its forward passes are."""
    import torch

    on_cuda = accelerator.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_cuda else accelerator.device.type,
        "precision": numbers,
        "processes": accelerator.num_processes,
    }


def _code_revision() -> str | None:
    """The git revision of the code that runs, with `+` when it was changed since; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(here)]
        revision = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        if tracked.returncode:
            return None  # installed inside somebody else's repository
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changed else "")
