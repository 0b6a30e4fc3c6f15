"""What decides the result of a run, as opposed to where, when and how fast it runs: the only definition.

Resuming compares all of it, a study stores a digest of the settings, and reports group runs that differ in the seed
only. Configurations of earlier versions are read in the terms of this version.
"""

from collections.abc import Mapping
from typing import Any

# Top-level entries that record where and with what a run was computed.
PROVENANCE = ("name", "versions", "code_revision", "command", "machine")

# Settings that do not affect the result, except for rounding and, with tokens_per_pass, which units dropout draws.
WITHOUT_EFFECT = ("tokens_per_pass", "checkpoint_every", "log_every", "compile")

# The settings that a baseline reads; the others concern steps, and a baseline takes none. A report shows a baseline
# beside the runs with the same `tune`.
BASELINE_SETTINGS = ("encoder", "tune", "seed", "max_tokens", "keep_tokens", "precision")

# Entries of `data` that follow from its digest; earlier versions did not write them.
_FROM_DATA_DIGEST = ("test_digest", "unlabeled", "labeled", "dev", "test", "label_sampling", "labels_per_class")

# What the seed decides, by section: it draws the split and with it the digest. `cache_digest` follows from the rest.
_FROM_SEED = {
    "settings": ("seed",),
    "augmentation": ("seed",),
    "data": ("digest", "test_digest", "labels_per_class"),
    "refit_of": ("digest", "steps", "label_share"),
}

# The behavior of earlier versions, which had no such setting.
SETTINGS_BEFORE = {
    "select_by": "error",
    "head_learning_rate": None,
    "schedule": "linear",
    "head_penalty": None,  # but see `has_earlier_head`
    "max_grad_norm": 1.0,
    "patience": None,
}

# The behavior of earlier versions, whose objectives had no such field.
_OBJECTIVES_BEFORE = {
    "Supervised": {"class_weights": None, "label_smoothing": 0.0},
    "FlexMatch": {"prior": "uniform"},
    "FreeMatch": {"prior": "uniform"},
    "SoftMatch": {"alignment": "uniform"},
    "VAdD": {"entropy_weight": 0.0},
}


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that must be equal for a run to resume."""
    result = _without(config, PROVENANCE)
    if isinstance(data := result.get("data"), dict):
        result["data"] = _without(data, _FROM_DATA_DIGEST)
    if isinstance(result.get("objectives"), list):
        result["objectives"] = objectives_in_full(config)
    if isinstance(result.get("settings"), dict):
        result["settings"] = with_effect(settings_in_full(config))
    return result


def decisive_but_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that is equal in runs that differ in their seed only."""
    settings = settings_in_full(config)
    result = _without(config, (*PROVENANCE, "seed", "cache_digest", *settings))  # the top level repeats some settings
    if config["tune"] == "head" or config["encoder"] == "minilm-l6":  # a run of another encoder does not record it
        result["head"] = "not linear" if has_earlier_head(config) else "linear"
    result["settings"] = with_effect(settings)
    result["objectives"] = objectives_in_full(config)
    for section, names in _FROM_SEED.items():
        if isinstance(entries := result.get(section), dict):
            result[section] = _without(entries, names)
    return result


def with_effect(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that affect the result."""
    return _without(settings, WITHOUT_EFFECT)


def has_earlier_head(config: Mapping[str, Any]) -> bool:
    """Whether the run is of a version without linear heads: with tune="head" and for sentence encoders, its head has a
    tanh, and other learning rates suit it."""
    settings = config.get("settings")
    return isinstance(settings, dict) and "learning_rate" in settings and "head_penalty" not in settings


def settings_in_full(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run in the terms of this version, comparable with those of any other run."""
    settings = SETTINGS_BEFORE | config["settings"]
    if "tune" not in config["settings"] or "learning_rate" not in settings:
        return settings  # of a pretraining run or a baseline
    if has_earlier_head(config) and settings["tune"] == "all" and settings["learning_rate"] is None:
        settings["learning_rate"] = 2e-5
    if settings.get("layer_decay", 1.0) is None and settings["tune"] != "all":
        settings["layer_decay"] = 1.0
    if settings.get("warmup_steps", 0) is None:
        settings["warmup_steps"] = 0 if settings["tune"] == "head" else settings["steps"] // 10
    return settings


def objectives_in_full(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objectives of a run in the terms of this version. AdaMatch of an earlier version started its running means
    from other values, which this does not show."""
    objectives = []
    for entry in config["objectives"]:
        objective = _OBJECTIVES_BEFORE.get(entry["objective"], {}) | entry
        if "distribution_alignment" in objective:  # the earlier name of UDA's `alignment`
            objective["alignment"] = "uniform" if objective.pop("distribution_alignment") else None
        objectives.append(objective)
    return objectives


def differences(existing: Any, requested: Any, name: str = "") -> list[str]:
    """One line for each value that differs between two configurations."""
    if isinstance(existing, dict) and isinstance(requested, dict):
        lines = []
        for key in sorted(existing.keys() | requested.keys()):
            lines += differences(existing.get(key), requested.get(key), f"{name}.{key}" if name else key)
        return lines
    return [] if existing == requested else [f"{name}: {existing!r} in the folder, {requested!r} requested"]


def _without(entries: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in names}
