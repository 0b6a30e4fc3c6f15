"""The options of the objective: which method `train` uses, and its settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from text_uda.cli.augmentation_choice import IN_STEP
from text_uda.cli.declarations import DeclaredField, calls, declared_class
from text_uda.cli.output import printable
from text_uda.cli.parameter_types import NumbersOr
from text_uda.cli.settings_options import Verb, declared_options, default_of
from text_uda.errors import SettingsError
from text_uda.lazy_imports import classes_by_file

if TYPE_CHECKING:
    from text_uda.objectives import Preset
    from text_uda.objectives.schedules import TSASchedule


def objective_names() -> tuple[str, ...]:
    """The keys of `text_uda.objectives.PRESETS`, without torch."""
    listed = calls("text_uda.objectives.presets", "LISTED")
    used = {kind for preset in listed.values() for kind in preset}
    classes = classes_by_file("text_uda.objectives.all_objectives")
    return (*listed, *(name for name, (_, kind) in classes.items() if kind not in used))


OBJECTIVES = objective_names()


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    objective: str | None = None
    """Method of training (docs/methods.md). None: uda with --augment, else supervised."""

    tsa: "Literal['none'] | TSASchedule" = "none"
    """Training signal annealing: the schedule that releases the labeled rows."""

    weight: float | None = None
    """Factor on the unlabeled loss. None: the method's weight, see docs/methods.md."""

    temperature: float | None = None
    """Temperature of the targets; below 1 sharpens them."""

    confidence_threshold: float | None = None
    """Use only unlabeled rows with a predicted probability above this."""

    ramp_up: float | None = None
    """Share of the steps in which the weight rises."""

    alignment: str | tuple[float, ...] | None = None
    """Expected class distribution of the unlabeled texts: uniform, labels (as in the labeled texts), or the share of
    each class in the order of `text-uda data DATA`."""

    class_weights: str | tuple[float, ...] | None = None
    """Factor on the labeled loss of each class, in the order of `text-uda data DATA`. None: equal factors."""

    label_smoothing: float | None = None
    """Share of a label that is spread evenly over all classes."""

    ema_decay: float | None = None
    """Decay of the moving average of the weights in each step."""

    def build(self, method: str) -> "Preset":
        """The preset with the given settings. Without a name: `uda` with an augmentation, else `supervised`."""
        from text_uda.objectives import PRESETS, all_needs

        name = self.objective or ("supervised" if method == "none" else "uda")
        preset = PRESETS[name]
        needs = all_needs(preset.objectives)
        if needs.augmentation and method == "none":
            raise SettingsError(
                f"--objective {name} compares texts with augmented texts; give --augment METHOD --cache DIR, or "
                f"{', '.join(IN_STEP[:-1])} or {IN_STEP[-1]} without a cache"
            )
        if not needs.second_view and method != "none":
            raise SettingsError(f"--objective {name} reads no augmented texts; leave out --augment")
        settings = {**vars(self), "objective": None, "tsa": None if self.tsa == "none" else self.tsa}
        for field, value in settings.items():
            if value is not None:
                try:
                    preset = preset.with_setting(field, None if value == "none" else value, name=name)
                except SettingsError as error:
                    if name != self.objective and field in calls("text_uda.objectives.presets", "LISTED")["uda"]["UDA"]:
                        raise SettingsError(
                            f"{error}. With --augment METHOD the objective is uda, which has it"
                        ) from error
                    raise
        return preset

    def check_classes(self, classes: Sequence[str], *, of: str = "the data") -> None:
        """Raise SettingsError, which names the classes in order, unless there is a number for each class."""
        for option, value in (("--alignment", self.alignment), ("--class-weights", self.class_weights)):
            if isinstance(value, tuple) and len(value) != len(classes):
                names = ", ".join(printable(name, 40) for name in classes[:20])
                raise SettingsError(
                    f"{option} has {len(value)} numbers and {printable(of)} {len(classes)} classes: give one for each"
                    f" class, in this order: {names}{', ...' if len(classes) > 20 else ''}"
                )


def _default(field: DeclaredField) -> str | None:
    """The default of the option, the value in the preset `uda`, or the default of the class that reads the option."""
    uda_settings = calls("text_uda.objectives.presets", "LISTED")["uda"]["UDA"]
    if field.name in uda_settings:
        return f"{uda_settings[field.name]} with uda"
    if field.name == "ema_decay":
        return default_of(declared_class("text_uda.objectives.weight_averaging", "EMA").fields["decay"])
    if field.name == "label_smoothing":
        return default_of(declared_class("text_uda.objectives.supervised", "Supervised").fields["label_smoothing"])
    return default_of(field)


def objective_options(function: Verb) -> Verb:
    """Handed over as `objective: ObjectiveChoice`."""
    decorate: Callable[[Verb], Verb] = declared_options(
        (__name__, "ObjectiveChoice"),
        into=ObjectiveChoice,
        under="objective",
        group="Objective",
        names={"weight": "--weight/--lambda"},
        types=_TYPES,
        metavars={
            "ramp_up": "SHARE",
            "alignment": "none|uniform|labels|P,P,...",
            "class_weights": "balanced|W,W,...",
        },
        default_words=_default,
    )
    return decorate(function)


_TYPES: dict[str, Any] = {
    "objective": click.Choice(OBJECTIVES),
    "alignment": NumbersOr("none", "uniform", "labels"),
    "class_weights": NumbersOr("balanced"),
}
