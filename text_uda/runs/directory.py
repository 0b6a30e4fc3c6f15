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
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text_uda.errors import SettingsError
from text_uda.runs.decisive_settings import decisive, differences, has_earlier_head

log = logging.getLogger("text_uda")

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from text_uda.model.precision import Precision, ResolvedPrecision

PRETRAINING = "pretrain"  # the method of a run that leaves an encoder
REFIT = "refit"  # the folder of the refit in that of the run


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
            different = differences(decisive(earlier), decisive(json.loads(json.dumps(config))))
            if different:
                raise SettingsError(
                    f"{self.path} holds a run with other settings ({'; '.join(different[:6])}); "
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
        from text_uda.model.linear_head import saved_form

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

    def numbers(self, precision: "Precision", width: int | None, *, resume: bool) -> "ResolvedPrecision":
        """In which numbers the encoder's forward passes are: of a run that goes on, and was left the choice, those that
        it was begun with; else what `resolve` takes here."""
        from text_uda.model.precision import resolve_precision

        if precision == "auto" and resume and (self.path / "config.json").exists():
            begun = (self.config().get("machine") or {}).get("precision")
            if begun in ("fp32", "bf16"):
                return begun
        return resolve_precision(precision, width=width)

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


def _said(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
