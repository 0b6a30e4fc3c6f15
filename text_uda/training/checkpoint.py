"""Checkpoints from which training resumes to the same bytes: trained weights, their average, optimizer moments and the
state of the objectives.

Nothing else needs to be kept: rows, random draws and schedules are pure functions of (seed, step). Only safetensors and
JSON are read; nothing is unpickled. A checkpoint appears whole or not at all; only then is the previous one removed. It
has digests of its files and of the metrics up to it, so that a disk that lost some of them is noticed.
"""

import errno
import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from text_uda.errors import SettingsError
from text_uda.objectives.weight_averaging import Averaged
from text_uda.runs.run_files import DAMAGED_METRICS
from text_uda.training.elapsed import NO_TIME, Elapsed
from translation_cache.atomic import remove_leftovers, set_aside, whole_folder
from translation_cache.file_digest import file_digest

log = logging.getLogger("text_uda")

_DAMAGE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EIO)  # other errors of a read pass, or can be mended


@dataclass
class Best:
    """The weights that the development split has chosen so far."""

    criterion: float
    """On the development split; lower is better (see `Evaluation.criterion`)."""
    step: int
    weights: dict[str, Tensor]


def trained_weights(module: nn.Module, averaged: Averaged | None = None) -> dict[str, Tensor]:
    """A copy of the weights that training changes, or of their averages. Frozen ones are loaded from the encoder."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    weights = trained if averaged is None else dict(zip(trained, averaged.trained, strict=True))
    return {name: p.detach().to("cpu", copy=True) for name, p in weights.items()}


@torch.no_grad()
def put_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    parameters = dict(module.named_parameters())
    for name, value in weights.items():
        expected = parameters[name].shape
        if expected != value.shape:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}; the model expects {tuple(expected)}")
        parameters[name].copy_(value)


def _objective_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.named_buffers() if name.startswith("objective_")}


def save(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: Averaged | None = None,
    *,
    done: int,
    best: Best | None,
    elapsed: Elapsed = NO_TIME,
    metrics: Path | None = None,
) -> Path:
    """Write the state after `done` steps to folder/step-XXXXXXXX, then remove the older checkpoints.

    Args:
        metrics: metrics.jsonl of these steps, durable.
    """
    final = folder / f"step-{done:08d}"
    if final.exists():
        return final
    remove_leftovers(folder)
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    moments = {
        f"{kind}.{names[parameter]}": value.detach().cpu().contiguous()
        for parameter, state in optimizer.state.items()
        for kind, value in state.items()
    }
    with whole_folder(final) as unfinished:
        objective_state = {name: value.detach().cpu().clone() for name, value in _objective_state(module).items()}
        save_file(trained_weights(module) | objective_state, unfinished / "weights.safetensors")
        save_file(moments, unfinished / "optimizer.safetensors")
        if averaged is not None:
            save_file(trained_weights(module, averaged), unfinished / "averaged.safetensors")
        if best is not None:
            save_file(best.weights, unfinished / "best.safetensors")
        files = {path.name: file_digest(path) for path in sorted(unfinished.glob("*.safetensors"))}
        state = {
            "step": done,
            "best": best and {"criterion": best.criterion, "step": best.step},
            "spent": elapsed._asdict(),
            "files": files,
            "metrics": metrics and {"bytes": metrics.stat().st_size, "digest": file_digest(metrics)},
        }
        (unfinished / "state.json").write_text(json.dumps(state | {"digest": _state_digest(state)}), "utf-8")
    for older in sorted(folder.glob("step-*"))[:-1]:
        shutil.rmtree(older)
    return final


def set_damaged_aside(folder: Path, metrics: Path) -> None:
    """Rename checkpoints that are not whole to damaged-step-XXXXXXXX, with a warning each.

    Training goes on from the checkpoint before, or from the start; either way it comes to the same weights. Metrics
    that are not those of the checkpoint are no reason to compute its steps again: they are renamed, with a warning.

    Args:
        metrics: metrics.jsonl of the run.
    Raises:
        OSError: a file cannot be read now (permission, a network file system): its checkpoint stays.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            state = _verified_state(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OSError) and error.errno not in _DAMAGE:
                raise
            kept = set_aside(path, f"damaged-{path.name}")
            earlier = max((other.name for other in folder.glob("step-*")), default=None)
            log.warning(
                "the checkpoint %s is damaged (%s), and is %s until the run is finished: training goes on from %s",
                path,
                error,
                kept.name,
                f"the checkpoint {earlier}" if earlier else "the start",
            )
        else:
            _set_other_metrics_aside(metrics, state)
            return


def load(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None = None
) -> tuple[int, Best | None, Elapsed]:
    """Restore the newest checkpoint; returns how many steps are done (0 without a checkpoint), and their time.

    The time is zero for a checkpoint of an earlier version, which did not keep it.

    Raises:
        SettingsError: a file of the checkpoint was changed or cut short.
    """
    checkpoints = sorted(folder.glob("step-*"))
    if not checkpoints:
        return 0, None, NO_TIME
    newest = checkpoints[-1]
    try:
        state = _verified_state(newest)
        weights = load_file(newest / "weights.safetensors")
        moments = load_file(newest / "optimizer.safetensors")
        elapsed = Elapsed(**state.get("spent", {}))
        best = None
        if (chosen := state["best"]) is not None:
            # Checkpoints from before `select_by` name the criterion "error".
            criterion = chosen["criterion"] if "criterion" in chosen else chosen["error"]
            best = Best(criterion, chosen["step"], load_file(newest / "best.safetensors"))
        for name, value in _objective_state(module).items():
            value.copy_(weights.pop(name))
        if averaged is not None:
            put_weights(module, load_file(newest / "averaged.safetensors"))
            model: Any = module.get_submodule("model")  # of a Step
            averaged.copy(model)
        if weights.keys() != {name for name, parameter in module.named_parameters() if parameter.requires_grad}:
            raise ValueError("weights.safetensors does not hold the weights that are trained")
        put_weights(module, weights)
        for name, parameter in module.named_parameters():
            kinds = {key.split(".", 1)[0]: value for key, value in moments.items() if key.split(".", 1)[1] == name}
            if kinds:
                optimizer.state[parameter] = {
                    kind: value.to(parameter.device)
                    for kind, value in kinds.items()  # also the step count of the fused optimizer
                }
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise SettingsError(
            f"the checkpoint {newest} is damaged ({error}); remove that folder, or start again with --no-resume"
        ) from error
    return int(state["step"]), best, elapsed


def _verified_state(checkpoint: Path) -> dict[str, Any]:
    """The content of state.json. Raises ValueError where it or a file does not match its digest."""
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text("utf-8"))
    if state.pop("digest") != _state_digest(state):
        raise ValueError("state.json does not match its digest")
    for name, digest in state["files"].items():
        if file_digest(checkpoint / name) != digest:
            raise ValueError(f"{name} does not match its digest")
    return state


def _set_other_metrics_aside(path: Path, state: dict[str, Any]) -> None:
    """Rename metrics that do not begin with those that the checkpoint knows; one of an earlier version knows none."""
    if (known := state.get("metrics")) is None or not known["bytes"]:
        return
    try:
        if hashlib.blake2b(path.read_bytes()[: known["bytes"]]).hexdigest() == known["digest"]:
            return
        fault = "no longer holds the lines"
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        fault = f"cannot be read ({error.strerror}), which had the lines"
    kept = f", and is kept as {set_aside(path, DAMAGED_METRICS).name}" if path.exists() else ""
    log.warning(
        "%s %s of the first %s steps%s: training goes on from the checkpoint to the same model, and a new file begins "
        "there; for the metrics of all steps, start again with --no-resume (resume=False)",
        path,
        fault,
        f"{state['step']:,}",
        kept,
    )


def _state_digest(state: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(state, sort_keys=True).encode("ascii")).hexdigest()
