"""Which method `train` trains by, and the options that change it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from text_uda.cli.augmentation_choice import IN_STEP
from text_uda.cli.output import printable
from text_uda.cli.shared_options import NumbersOr, gathered
from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from text_uda.objectives import Preset

# The names of text_uda.objectives.PRESETS, not imported here because it imports torch. A test compares.
OBJECTIVES = (
    "logistic-regression",
    "self-training",
    "supervised",
    "uda",
    "pi-model",
    "mean-teacher",
    "vat",
    "vat-entmin",
    "sntg",
    "vadd",
    "fast-swa",
    "ict",
    "pseudo-label",
    "mixmatch",
    "tmix",
    "lga-vat",
    "mixmixup",
    "fixmatch",
    "flexmatch",
    "freematch",
    "softmatch",
    "adamatch",
    "dash",
    "r-drop",
    "supcon",
    "infonce",
)


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    objective: str | None
    tsa: str
    weight: float | None
    temperature: float | None
    confidence_threshold: float | None
    ramp_up: float | None
    alignment: str | tuple[float, ...] | None
    class_weights: str | tuple[float, ...] | None
    label_smoothing: float | None
    ema_decay: float | None

    def build(self, method: str) -> "Preset":
        """The objectives whose losses add up. Without a name: `uda` where there is an augmentation."""
        from text_uda.objectives import PRESETS, all_needs

        name = self.objective or ("supervised" if method == "none" else "uda")
        preset = PRESETS[name]
        needs = all_needs(preset.objectives)
        if needs.augmentation and method == "none":
            raise SettingsError(
                f"--objective {name} compares texts with augmented ones; give --augment METHOD --cache DIR, or one of "
                f"{', '.join(IN_STEP)} without a cache"
            )
        if not needs.second_view and method != "none":
            raise SettingsError(f"--objective {name} reads no augmented texts; leave out --augment")
        given = {
            "tsa": None if self.tsa == "none" else self.tsa,
            "weight": self.weight,
            "temperature": self.temperature,
            "confidence_threshold": self.confidence_threshold,
            "ramp_up": self.ramp_up,
            "alignment": self.alignment,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "ema_decay": self.ema_decay,
        }
        for option, value in given.items():
            if value is not None:
                preset = preset.having(option, None if value == "none" else value, name=name)
        return preset

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise SettingsError, which names the classes in their order, where there is not a number for each."""
        for option, value in (("--alignment", self.alignment), ("--class-weights", self.class_weights)):
            if isinstance(value, tuple) and len(value) != len(classes):
                names = ", ".join(printable(name, 40) for name in classes[:20])
                raise SettingsError(
                    f"{option} has {len(value)} numbers and the data {len(classes)} classes: give one for each class,"
                    f" in this order: {names}{', ...' if len(classes) > 20 else ''}"
                )


objective_options = gathered(
    ObjectiveChoice,
    click.option(
        "--objective",
        type=click.Choice(OBJECTIVES),
        help="Method to train by (docs/methods.md). [default: uda with --augment, else supervised]",
    ),
    click.option(
        "--tsa",
        type=click.Choice(("none", "log", "linear", "exp")),
        default="none",
        show_default=True,
        help="Training signal annealing: release the labeled rows by this schedule.",
    ),
    click.option("--weight", "--lambda", type=float, metavar="W", help="Factor on the unlabeled loss."),
    click.option("--temperature", type=float, metavar="T", help="Below 1 sharpens the targets. [default of uda: 0.5]"),
    click.option(
        "--confidence-threshold",
        type=float,
        metavar="P",
        help="Only unlabeled rows predicted above P. [default of uda: 0.75]",
    ),
    click.option(
        "--ramp-up", type=float, metavar="SHARE", help="Share of the steps to grow the weight. [default of uda: 0.3]"
    ),
    click.option(
        "--alignment",
        type=NumbersOr("none", "uniform", "labels"),
        metavar="none|uniform|labels|P,P,...",
        help="How often each class is expected among the unlabeled texts; labels: as among the labeled."
        " Shares go in the order in which `text-uda data DATA` names the classes."
        " [default of uda: labels]",
    ),
    click.option(
        "--class-weights",
        type=NumbersOr("balanced"),
        metavar="balanced|W,W,...",
        help="Factor on the labeled loss of each class, in the order in which `text-uda data DATA` names them.",
    ),
    click.option("--label-smoothing", type=float, metavar="E", help="Share of a label that all classes get alike."),
    click.option("--ema-decay", type=float, metavar="D", help="How much of the averaged weights a step keeps."),
    under="objective",
)
