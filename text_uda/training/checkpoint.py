"""Checkpoints from which training goes on to the same bytes: trained weights and their average, optimiser moments,
objective state.

Nothing else has to be kept: rows, noise and schedules are pure functions of (seed, step). Only safetensors and JSON are
read, nothing is unpickled. A checkpoint appears whole or not at all; the one before it goes after that.
"""

import hashlib
import json
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
from text_uda.training.elapsed import Spent
from translation_cache.atomic import remove_leftovers, whole_folder

NOTHING = Spent()


@dataclass
class Best:
    """The weights that the development split would choose so far."""

    criterion: float
    """Of the development split, the lower, the better (see `Evaluation.criterion`)."""
    step: int
    weights: dict[str, Tensor]


def trained_weights(step: nn.Module, averaged: Averaged | None = None) -> dict[str, Tensor]:
    """A copy of the weights that training changes, or of their averages; frozen ones come from the encoder again."""
    current = {name: p for name, p in step.named_parameters() if p.requires_grad}
    kept = current if averaged is None else dict(zip(current, averaged.trained, strict=True))
    return {name: p.detach().cpu().clone() for name, p in kept.items()}


@torch.no_grad()
def put_weights(step: nn.Module, weights: dict[str, Tensor]) -> None:
    parameters = dict(step.named_parameters())
    for name, value in weights.items():
        own = parameters[name].shape
        if own != value.shape:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}, and that of the model {tuple(own)}")
        parameters[name].copy_(value)


def _objective_state(step: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in step.named_buffers() if name.startswith("objective_")}


def save(
    folder: Path,
    step: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: Averaged | None = None,
    *,
    done: int,
    best: Best | None,
    spent: Spent = NOTHING,
) -> Path:
    """Write the state after `done` steps, which took so long, to folder/step-XXXXXXXX, then remove the older ones."""
    final = folder / f"step-{done:08d}"
    if final.exists():
        return final
    remove_leftovers(folder)
    names: dict[Tensor, str] = {parameter: name for name, parameter in step.named_parameters()}
    moments = {
        f"{kind}.{names[parameter]}": value.detach().cpu().contiguous()
        for parameter, state in optimizer.state.items()
        for kind, value in state.items()
    }
    with whole_folder(final) as unfinished:
        weights = trained_weights(step)
        save_file(
            weights | {n: v.detach().cpu().clone() for n, v in _objective_state(step).items()},
            unfinished / "weights.safetensors",
        )
        save_file(moments, unfinished / "optimizer.safetensors")
        if averaged is not None:
            save_file(trained_weights(step, averaged), unfinished / "averaged.safetensors")
        if best is not None:
            save_file(best.weights, unfinished / "best.safetensors")
        files = {path.name: _digest(path) for path in sorted(unfinished.glob("*.safetensors"))}
        state = {
            "step": done,
            "best": best and {"criterion": best.criterion, "step": best.step},
            "spent": spent._asdict(),
            "files": files,
        }
        (unfinished / "state.json").write_text(json.dumps(state | {"digest": _digest_of(state)}), "utf-8")
    for older in sorted(folder.glob("step-*"))[:-1]:
        shutil.rmtree(older)
    return final


def load(
    folder: Path, step: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged | None = None
) -> tuple[int, Best | None, Spent]:
    """Put the newest checkpoint's state back; returns how many steps are done, 0 when there is no checkpoint.

    The time is that of these steps; none of a checkpoint of an earlier version, which did not keep it.

    Raises:
        SettingsError: a file of it was changed or cut short.
    """
    found = sorted(folder.glob("step-*"))
    if not found:
        return 0, None, NOTHING
    newest = found[-1]
    try:
        state: dict[str, Any] = json.loads((newest / "state.json").read_text("utf-8"))
        if state.pop("digest") != _digest_of(state):
            raise ValueError("state.json does not have the digest it was written with")
        for name, digest in state["files"].items():
            if _digest(newest / name) != digest:
                raise ValueError(f"{name} does not have the digest it was written with")
        weights = load_file(newest / "weights.safetensors")
        moments = load_file(newest / "optimizer.safetensors")
        spent = Spent(**state.get("spent", {}))
        best = None
        if state["best"] is not None:
            kept = state["best"]
            criterion = kept["criterion"] if "criterion" in kept else kept["error"]  # the name before `select_by`
            best = Best(criterion, kept["step"], load_file(newest / "best.safetensors"))
        objective_state = _objective_state(step)
        for name, value in objective_state.items():
            value.copy_(weights.pop(name))
        if averaged is not None:
            put_weights(step, load_file(newest / "averaged.safetensors"))
            model: Any = step.get_submodule("model")  # of a Step
            averaged.copy(model)
        if weights.keys() != {name for name, parameter in step.named_parameters() if parameter.requires_grad}:
            raise ValueError("weights.safetensors has not the weights that are trained")
        put_weights(step, weights)
        for name, parameter in step.named_parameters():
            kinds = {key.split(".", 1)[0]: value for key, value in moments.items() if key.split(".", 1)[1] == name}
            if kinds:
                optimizer.state[parameter] = {
                    kind: value.to(parameter.device)
                    for kind, value in kinds.items()  # the fused one's steps, too
                }
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise SettingsError(
            f"the checkpoint {newest} is damaged ({error}); remove that folder, or start anew with --no-resume"
        ) from error
    return int(state["step"]), best, spent


def _digest_of(state: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(state, sort_keys=True).encode("ascii")).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
