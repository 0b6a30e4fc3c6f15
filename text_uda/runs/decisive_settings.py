"""What decides the result of a run, as opposed to where, when and how fast it runs: the only definition.

Resuming compares all of it, a study stores a digest of the settings, and reports group runs that differ in the seed
only. Configurations of earlier versions are read in the terms of this version.
"""

import json
from collections.abc import Mapping
from typing import Any

from text_uda.runs.run_files import MARKER

# Top-level entries that record where and with what a run was computed.
PROVENANCE = (MARKER, "name", "versions", "code_revision", "command", "machine")

# Settings that do not affect the result, except for rounding and, with tokens_per_pass and compile, which units dropout
# draws.
WITHOUT_EFFECT = ("tokens_per_pass", "checkpoint_every", "log_every", "compile")

# The settings that a baseline reads; the others concern steps, and a baseline takes none. A report shows a baseline
# beside the runs with the same `tune`.
BASELINE_SETTINGS = ("encoder", "tune", "seed", "max_tokens", "keep_tokens", "precision")

# Entries of `data` that follow from its digest, or say where its texts were read; earlier versions did not write all.
_FROM_DATA_DIGEST = (
    *("name", "test_digest", "unlabeled", "most_unlabeled", "training_texts", "labeled", "dev", "test"),
    *("label_sampling", "labels_per_class"),
)

# What the seed decides, by section: it draws the split and with it the digest. `cache_digest` follows from the rest.
_FROM_SEED = {
    "settings": ("seed",),
    "data": ("digest", "test_digest", "labels_per_class"),
    "refit_of": ("digest", "steps", "label_share"),
}

# What the modes of `Choose` differ in: the columns are trained with the supervised loss.
_OF_MODE = ("objectives", "averaging", "augmentation", "filters", "in_step", "fusion")

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
    """The part of a configuration that must be equal for a run to resume.

    Contents decide, not where they lie: the digests of the data, of the cache and of the encoder stand for their paths.
    """
    result = _with_sorted_statuses(_without(config, PROVENANCE))
    if isinstance(data := result.get("data"), dict):
        result["data"] = _without(data, _FROM_DATA_DIGEST)
    if isinstance(result.get("objectives"), list):
        result["objectives"] = objectives_in_full(config)
    if isinstance(result.get("settings"), dict):
        result["settings"] = with_effect(settings_in_full(config))
    if result.get("encoder_digest") is not None:
        result = _without(result, ("encoder",)) | {"settings": _without(result["settings"], ("encoder",))}
    return result


def decisive_but_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that is equal in runs that differ in their seed only.

    Of a run of `Choose` it is what all its modes share: the seed decides which one the development rows pick.
    """
    config = _with_sorted_statuses(config)
    if "choose" in config:
        config = _without(config, ("choose", *_OF_MODE)) | config["choose"]
    settings = settings_in_full(config)
    # The top level repeats some settings.
    result = _without(config, (*PROVENANCE, "seed", "cache_digest", "encoder_digest", *settings))
    if config["tune"] == "head" or config["encoder"] == "minilm-l6":  # a run of another encoder does not record it
        result["head"] = "not linear" if has_earlier_head(config) else "linear"
    result["settings"] = with_effect(settings)
    result["objectives"] = objectives_in_full(config)
    for section, names in _FROM_SEED.items():
        if isinstance(entries := result.get(section), dict):
            result[section] = _without(entries, names)
    if "augmentation" in result:
        result["augmentation"] = _without_seeds(result["augmentation"])
    # The other rows of a labeled text are left out, and the seed decides which text that is. `most_unlabeled` and
    # `training_texts` tell one pool from another.
    if "fusion" in config:
        result["data"] = _without(result["data"], ("unlabeled",))
    return result


def _without_seeds(entries: Any) -> Any:
    """Settings without their seeds and those of the translators and operations in them."""
    if isinstance(entries, Mapping):
        return {name: _without_seeds(value) for name, value in entries.items() if name != "seed"}
    return list(map(_without_seeds, entries)) if isinstance(entries, list) else entries


def _with_sorted_statuses(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Filters accept a set of statuses; earlier versions recorded it in the order of the call."""
    return {
        name: sorted(value)
        if name == "accept" and isinstance(value, list | tuple)
        else _with_sorted_statuses(value)
        if isinstance(value, Mapping)
        else value
        for name, value in entries.items()
    }


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


def changes(earlier: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """One line for each setting in which a call differs from the run that it would resume.

    A consequence is left out where its cause is listed: other labels give other data, for one.
    """
    if earlier.get("encoder_digest") is None or requested.get("encoder_digest") is None:  # a run of an earlier version
        earlier, requested = _without(earlier, ("encoder_digest",)), _without(requested, ("encoder_digest",))
    before, now = decisive(earlier), decisive(requested)
    if before == now:
        return []
    flat_before, flat_now = _flat(before), _flat(now)
    names = [name for name in flat_before | flat_now if flat_before.get(name) != flat_now.get(name)]
    lines = {
        name: f"{name}: {_words(flat_before.get(name))} in the run, {_words(flat_now.get(name))} now"
        for name in names
        if not name.endswith(_DIGESTS)
    }
    # If nothing else differs, the rule is that of an earlier version.
    lines = {name: line for name, line in lines.items() if not _follows(name, earlier, requested)} or lines
    if "method" in lines:  # it names the objectives, the averaging and the augmentation
        lines = {name: line for name, line in lines.items() if name == "method" or "." not in name}
    if "encoder_digest" in names:
        names_of = [config["settings"].get("encoder") for config in (earlier, requested)]
        lines["encoder"] = (
            f"encoder: the files of {names_of[0]} have changed since"
            if names_of[0] == names_of[1]
            else f"encoder: {names_of[0]} in the run, {names_of[1]} now, and their files differ"
        )
    if "data.digest" in names and not lines.keys() & {"labels", "seed"}:
        lines["data"] = _other_data(earlier.get("data") or {}, requested.get("data") or {})
    for of_task in [name.removesuffix("data.digest") for name in names if name.endswith(".data.digest")]:
        is_in_both = all(f"{of_task}data.digest" in flat for flat in (flat_before, flat_now))
        if is_in_both and not lines.keys() & {f"{of_task}labels", "seed"}:
            lines[f"{of_task}data"] = f"{of_task}data: other texts or labels than when the run began"
    if any(name.endswith("cache_digest") for name in names) and not lines:
        lines["cache"] = "cache: it holds other paraphrases of the texts than when the run began"
    return list(lines.values()) or ["settings: other than when the run began"]


def _follows(name: str, *configs: Mapping[str, Any]) -> bool:
    """Whether a setting of the trainer was left to the same rule in both, and another setting decides it."""
    given = [config.get("settings") or {} for config in configs]
    return all(name in settings for settings in given) and given[0][name] == given[1][name]


_DIGESTS = ("data.digest", "encoder_digest", "cache_digest")


def _other_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    kinds = [kind for kind in ("labeled", "unlabeled", "dev", "test") if kind in before and kind in now]
    if all(before[kind] == now[kind] for kind in kinds):
        return "data: other texts or labels than when the run began"
    in_run, here = (", ".join(f"{data[kind]:,} {kind}" for kind in kinds) for data in (before, now))
    return f"data: {in_run} texts in the run, {here} texts now"


def _flat(entries: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested entries as `data.digest`, `Uda.temperature`; the settings of the trainer by their names alone."""
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        if name == "objectives" and isinstance(value, list):
            value = {objective["objective"]: _without(objective, ("objective",)) for objective in value}
        if isinstance(value, Mapping):
            flat |= _flat(value, prefix if name in ("settings", "objectives") else f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _words(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without(entries: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in names}
