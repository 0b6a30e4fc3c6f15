"""What decides a run: the part of its configuration that has to be equal for it to resume."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


# Parts of the configuration that tell where and with what a run was made, but do not decide what it computes.
PROVENANCE = ("name", "versions", "code_revision", "command", "machine")


# Of the data, what follows from its digest; earlier versions did not write it.
_FROM_DIGEST = ("test_digest", "unlabeled", "labeled", "dev", "test", "label_sampling", "labels_per_class")


# What runs did before there was a setting.
SETTINGS_BEFORE = {
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
WITHOUT_EFFECT = ("tokens_per_pass", "checkpoint_every", "log_every", "compile")


def has_earlier_head(config: Mapping[str, Any]) -> bool:
    """Whether a version made the run that had no linear heads: with tune="head", and on a sentence encoder, its head
    has a tanh, and other rates suit it."""
    settings = config.get("settings")
    return isinstance(settings, dict) and "learning_rate" in settings and "head_penalty" not in settings


def settings_in_full(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run in today's terms, so that those of an earlier version can be held against them."""
    settings = SETTINGS_BEFORE | config["settings"]
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


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    decisive = {name: value for name, value in config.items() if name not in PROVENANCE}
    if isinstance(data := decisive.get("data"), dict):
        decisive["data"] = {name: value for name, value in data.items() if name not in _FROM_DIGEST}
    if isinstance(decisive.get("objectives"), list):
        decisive["objectives"] = objectives_in_full(config)
    if isinstance(decisive.get("settings"), dict):
        settings = settings_in_full(config)
        decisive["settings"] = {name: value for name, value in settings.items() if name not in WITHOUT_EFFECT}
    return decisive


def differences(there: Any, asked: Any, where: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(asked, dict):
        found = []
        for name in sorted(there.keys() | asked.keys()):
            found += differences(there.get(name), asked.get(name), f"{where}.{name}" if where else name)
        return found
    return [] if there == asked else [f"{where}: {there!r} there, {asked!r} asked"]
