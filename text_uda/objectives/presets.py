"""The methods by name: objectives whose losses are added, and how the weights are averaged."""
# ruff: noqa: F405  the names of the objectives come from their list

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from text_uda.errors import SettingsError
from text_uda.lazy_imports import classes_by_file
from text_uda.objectives import all_objectives
from text_uda.objectives.all_objectives import *  # noqa: F403
from text_uda.objectives.baseline import Baseline
from text_uda.objectives.objective import Method, Objective, in_use
from text_uda.objectives.weight_averaging import EMA, Averaging, FastSWA


@dataclass(frozen=True)
class Preset:
    """A published method with the settings of its paper; docstrings of the objectives tell what text changes."""

    objectives: tuple[Method, ...]
    averaging: Averaging | None = None

    @property
    def losses(self) -> tuple[Objective, ...]:
        """The objectives that have a loss; empty for a baseline, which takes no step."""
        return losses(self.objectives)

    def with_setting(self, field: str, value: Any, *, name: str) -> "Preset":
        """A copy with another value in every objective that has this field.

        "weight" also sets the `unlabeled_weight` of objectives that include a labeled loss, "alignment" the `prior` of
        objectives with a threshold for each class, and "ema_decay" the decay of the average.

        Raises:
            SettingsError: the method `name` lacks this field, has several weights, or refuses the value.
        """
        if field == "ema_decay" and isinstance(self.averaging, EMA):
            return replace(self, averaging=EMA(decay=value))
        field_names = {field, _ALSO[field]} if field in _ALSO else {field}
        matches = [field_names & set(_fields(objective)) for objective in self.objectives]
        kinds = [type(objective).__name__ for objective, names in zip(self.objectives, matches, strict=True) if names]
        if field == "weight" and len(kinds) > 1:
            raise SettingsError(
                f"{name} has several weights: set them in Python, objectives=(Supervised(), "
                f"{', '.join(f'{kind}(weight=...)' for kind in kinds)})"
            )
        if kinds:
            changed = (
                replace(objective, **dict.fromkeys(names, value))  # pyright: ignore[reportArgumentType, reportCallIssue]
                for objective, names in zip(self.objectives, matches, strict=True)
            )
            return replace(self, objectives=tuple(changed))
        known = [_option(name) for name in _OPTIONS if any(name in _fields(objective) for objective in self.objectives)]
        raise SettingsError(
            f"{name} has no {_option(field)}; its options are: {', '.join(known) or 'none'} (Python sets more fields)"
        )


LISTED: dict[str, Preset] = {
    "logistic-regression": Preset((LogisticRegression(),)),
    "self-training": Preset((SelfTraining(),)),
    "supervised": Preset((Supervised(),)),
    "uda": Preset((Supervised(), UDA(temperature=0.5, confidence_threshold=0.75, ramp_up=0.3, alignment="labels"))),
    "pi-model": Preset((Supervised(), PiModel())),
    "mean-teacher": Preset((Supervised(), MeanTeacher()), EMA()),
    "vat": Preset((Supervised(), VAT())),
    "vat-entmin": Preset((Supervised(), VAT(), EntMin())),
    "sntg": Preset((Supervised(), PiModel(), SNTG())),
    "vadd": Preset((Supervised(), VAdD())),
    "fast-swa": Preset((Supervised(), PiModel()), FastSWA()),
    "ict": Preset((Supervised(), ICT()), EMA()),
    "pseudo-label": Preset((Supervised(), PseudoLabel())),
    "mixmatch": Preset((MixMatch(),)),
    "tmix": Preset((TMix(),)),
    "lga-vat": Preset((Supervised(), LGA(), VAT())),
    "mixmixup": Preset((MixMixup(),)),
    "fixmatch": Preset((Supervised(), FixMatch())),
    "flexmatch": Preset((Supervised(), FlexMatch())),
    "freematch": Preset((Supervised(), FreeMatch())),
    "softmatch": Preset((Supervised(), SoftMatch())),
    "adamatch": Preset((Supervised(), AdaMatch())),
    "dash": Preset((Supervised(), Dash())),
    "r-drop": Preset((Supervised(), RDrop())),
    "supcon": Preset((Supervised(), SupCon())),
    "infonce": Preset((Supervised(), InfoNCE())),
}
"""The methods by their names on the command line, with the settings of their papers."""


def _unlisted() -> dict[str, Preset]:
    """The objectives that no line above uses: each with Supervised(), under the name of its file."""
    used = {type(objective) for preset in LISTED.values() for objective in preset.objectives}
    classes = {
        name: getattr(all_objectives, kind) for name, (_, kind) in classes_by_file(all_objectives.__name__).items()
    }
    return {name: Preset((Supervised(), kind())) for name, kind in classes.items() if kind not in used}


PRESETS = LISTED | _unlisted()
"""name on the command line -> method. A new objective needs a line above only where it takes more than Supervised()."""

_ALSO = {"weight": "unlabeled_weight", "alignment": "prior"}  # the other field that an option of this name sets
_OPTIONS = (
    *("tsa", "class_weights", "label_smoothing", "weight", "unlabeled_weight", "temperature", "confidence_threshold"),
    *("ramp_up", "alignment", "prior"),
)


def _option(field: str) -> str:
    """The option of the command line that sets the field."""
    option = next((option for option, other in _ALSO.items() if other == field), field)
    return f"--{option.replace('_', '-')}"


def _fields(objective: Method) -> list[str]:
    return [field.name for field in fields(objective)]  # pyright: ignore[reportArgumentType]


def losses(objectives: Sequence[Method]) -> tuple[Objective, ...]:
    """The objectives that have a loss, which leaves out a baseline."""
    return tuple(objective for objective in objectives if isinstance(objective, Objective))


def baseline_of(objectives: Sequence[Method]) -> Baseline | None:
    """The baseline among them, if there is one."""
    return next((objective for objective in objectives if not isinstance(objective, Objective)), None)


def check_together(objectives: Sequence[Method]) -> None:
    """Raise SettingsError for objectives whose losses cannot be added, or a value that is not an objective."""
    several = isinstance(objectives, tuple | list)
    if not several or any(
        isinstance(objective, type) or not isinstance(objective, Objective | Baseline) for objective in objectives
    ):
        raise SettingsError(
            'give a tuple of objectives, such as (Supervised(), FixMatch()) or PRESETS["fixmatch"].objectives; '
            f"this is {objectives!r}"
        )
    if (baseline := baseline_of(objectives)) is not None:
        if len(objectives) > 1:
            kind = type(baseline).__name__
            raise SettingsError(f"{kind} is a baseline and has no loss to add: give ({kind}(),) alone")
        return
    objectives = losses(objectives)
    if not in_use(objectives):
        raise SettingsError("there is no objective with a weight above 0: give Supervised() at least")
    used = in_use(objectives).values()
    if all(objective.needs.no_head_gradient or getattr(objective, "until", 1) < 1 for objective in used):
        names = ", ".join(type(objective).__name__ for objective in used)
        raise SettingsError(f"{names} alone would not train the last layer: add Supervised()")
    kinds = [type(objective).__name__ for objective in objectives]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise SettingsError(f"{twice} is given twice, and its terms would share one name: give one of them")
    if any(isinstance(objective, RDrop) for objective in objectives):
        _check_plain(next((objective for objective in objectives if isinstance(objective, Supervised)), Supervised()))
    labeled = [type(objective).__name__ for objective in objectives if "labeled" in objective.needs.rows]
    if labeled and (len(labeled) > 1 or any(isinstance(objective, Supervised) for objective in objectives)):
        raise SettingsError(f"{labeled[0]} includes a labeled loss: leave out Supervised() and others that include one")


def _check_plain(supervised: Supervised) -> None:
    """Raise SettingsError where the two passes of R-Drop would have different cross entropies."""
    for name in ("tsa", "class_weights", "label_smoothing"):
        if getattr(supervised, name):
            raise SettingsError(
                f"the second pass of RDrop weights all labeled rows equally: leave out {name}, or RDrop"
            )


def method_name(objectives: Sequence[Method], averaging: Averaging | None, augmentation: str | None) -> str:
    """The name of a run: "none" for labels alone, the augmentation for UDA, else the method and the augmentation."""
    kinds = list(map(type, objectives))
    named = {
        (*map(type, preset.objectives), type(preset.averaging)): name for name, preset in reversed(PRESETS.items())
    }
    without_averaging = named.get((*kinds, type(None)), " + ".join(kind.__name__ for kind in kinds))
    name = without_averaging
    if averaging is not None:
        name = named.get((*kinds, type(averaging)), f"{without_averaging} + {type(averaging).__name__}")
    if name == "supervised":
        return "none"
    if name == "uda" and augmentation:
        return augmentation
    return f"{name}, {augmentation}" if augmentation else name
