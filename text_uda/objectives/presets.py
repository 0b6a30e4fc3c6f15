"""What a name on the command line stands for: objectives whose losses are added, and how the weights are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from text_uda.errors import SettingsError
from text_uda.objectives.adamatch import AdaMatch
from text_uda.objectives.baseline import Baseline
from text_uda.objectives.dash import Dash
from text_uda.objectives.entmin import EntMin
from text_uda.objectives.fixmatch import FixMatch
from text_uda.objectives.flexmatch import FlexMatch
from text_uda.objectives.freematch import FreeMatch
from text_uda.objectives.ict import ICT
from text_uda.objectives.infonce import InfoNCE
from text_uda.objectives.lga import LGA
from text_uda.objectives.logistic_regression import LogisticRegression
from text_uda.objectives.mean_teacher import MeanTeacher
from text_uda.objectives.mixmatch import MixMatch
from text_uda.objectives.mixmixup import MixMixup
from text_uda.objectives.objective import Method, Objective, in_use
from text_uda.objectives.pi_model import PiModel
from text_uda.objectives.pseudo_label import PseudoLabel
from text_uda.objectives.r_drop import RDrop
from text_uda.objectives.self_training import SelfTraining
from text_uda.objectives.sntg import SNTG
from text_uda.objectives.softmatch import SoftMatch
from text_uda.objectives.supcon import SupCon
from text_uda.objectives.supervised import Supervised
from text_uda.objectives.tmix import TMix
from text_uda.objectives.uda import UDA
from text_uda.objectives.vadd import VAdD
from text_uda.objectives.vat import VAT
from text_uda.objectives.weight_averaging import EMA, Averaging, FastSWA


@dataclass(frozen=True)
class Preset:
    """A method of the field with settings of its paper, adapted to text where a docstring says so."""

    objectives: tuple[Method, ...]
    averaging: Averaging | None = None

    @property
    def losses(self) -> tuple[Objective, ...]:
        """The objectives; none of a baseline, which takes no step."""
        return losses(self.objectives)

    def having(self, field: str, value: Any, *, name: str) -> "Preset":
        """The same with another value in every objective that has this field.

        "weight" is also the `unlabeled_weight` of those with a labeled loss of their own, "alignment" the `prior` of
        those with a threshold for each class, "ema_decay" the decay of the average.

        Raises:
            SettingsError: the method, called `name`, has no such field, or several weights, or not this value.
        """
        if field == "ema_decay" and isinstance(self.averaging, EMA):
            return replace(self, averaging=EMA(decay=value))
        wanted = {field, _ALSO[field]} if field in _ALSO else {field}
        found = {place: wanted & set(_fields(each)) for place, each in enumerate(self.objectives)}
        having = [type(self.objectives[place]).__name__ for place, own in found.items() if own]
        if field == "weight" and len(having) > 1:
            raise SettingsError(
                f"{name} has several weights: set them in Python, objectives=(Supervised(), "
                f"{', '.join(f'{each}(weight=...)' for each in having)})"
            )
        if having:
            changed = (
                replace(each, **dict.fromkeys(found[place], value))  # pyright: ignore[reportArgumentType, reportCallIssue]
                for place, each in enumerate(self.objectives)
            )
            return replace(self, objectives=tuple(changed))
        there = [name for name in _OPTIONS if any(name in _fields(each) for each in self.objectives)]
        has = ", ".join(_option(each) for each in there) or "none"
        raise SettingsError(f"{name} has no {_option(field)} (of the options it has {has}; more can be set in Python)")


PRESETS: dict[str, Preset] = {
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


_ALSO = {"weight": "unlabeled_weight", "alignment": "prior"}  # what else the option of the command line sets
_OPTIONS = (
    *("tsa", "class_weights", "label_smoothing", "weight", "unlabeled_weight", "temperature", "confidence_threshold"),
    *("ramp_up", "alignment", "prior"),
)


def _option(field: str) -> str:
    """As the command line has it."""
    option = next((option for option, also in _ALSO.items() if also == field), field)
    return f"--{option.replace('_', '-')}"


def _fields(objective: Method) -> list[str]:
    return [field.name for field in fields(objective)]  # pyright: ignore[reportArgumentType]


def losses(objectives: Sequence[Method]) -> tuple[Objective, ...]:
    """Those that are objectives."""
    return tuple(each for each in objectives if isinstance(each, Objective))


def baseline_of(objectives: Sequence[Method]) -> Baseline | None:
    """The baseline that stands in their place, if one does."""
    return next((each for each in objectives if not isinstance(each, Objective)), None)


def check_together(objectives: Sequence[Method]) -> None:
    """Raise SettingsError where objectives do not add up to what either of them is for, or are none."""
    several = isinstance(objectives, tuple | list)
    if not several or any(isinstance(each, type) or not isinstance(each, Objective | Baseline) for each in objectives):
        raise SettingsError(
            'give a tuple of objectives, such as (Supervised(), FixMatch()) or PRESETS["fixmatch"].objectives; '
            f"this is {objectives!r}"
        )
    if (baseline := baseline_of(objectives)) is not None:
        if len(objectives) > 1:
            kind = type(baseline).__name__
            raise SettingsError(f"{kind} is a method of its own, and has no loss to add: give ({kind}(),) alone")
        return
    objectives = losses(objectives)
    if not in_use(objectives):
        raise SettingsError("there is no objective with a weight above 0: give Supervised() at least")
    used = in_use(objectives).values()
    if all(each.needs.no_head_gradient or getattr(each, "until", 1) < 1 for each in used):
        raise SettingsError(
            f"{', '.join(type(each).__name__ for each in used)} alone would leave the last layer as it began: "
            "add Supervised()"
        )
    kinds = [type(each).__name__ for each in objectives]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise SettingsError(f"{twice} is there twice, and their terms have one name: give one of them")
    if any(isinstance(each, RDrop) for each in objectives):
        _check_plain(next((each for each in objectives if isinstance(each, Supervised)), Supervised()))
    own = [type(each).__name__ for each in objectives if "labeled" in each.needs.rows]
    if own and (len(own) > 1 or any(isinstance(each, Supervised) for each in objectives)):
        raise SettingsError(f"{own[0]} has a labeled loss of its own: leave out Supervised() and others that have one")


def _check_plain(supervised: Supervised) -> None:
    """Raise SettingsError where the first pass of R-Drop would have another cross entropy than the second."""
    for name in ("tsa", "class_weights", "label_smoothing"):
        if getattr(supervised, name):
            raise SettingsError(
                f"the second pass of RDrop trains on all labeled rows alike: leave out {name}, or RDrop"
            )


def method_name(objectives: Sequence[Method], averaging: Averaging | None, augmentation: str | None) -> str:
    """What a run is called: "none" for labels alone, the augmentation alone with UDA, else the method with it."""
    kinds = list(map(type, objectives))
    named = {
        (*map(type, preset.objectives), type(preset.averaging)): name for name, preset in reversed(PRESETS.items())
    }
    alone = named.get((*kinds, type(None)), " + ".join(kind.__name__ for kind in kinds))
    name = alone
    if averaging is not None:
        name = named.get((*kinds, type(averaging)), f"{alone} + {type(averaging).__name__}")
    if name == "supervised":
        return "none"
    if name == "uda" and augmentation:
        return augmentation
    return f"{name}, {augmentation}" if augmentation else name
