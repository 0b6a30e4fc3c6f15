"""Ranges of settings, declared in the annotation of a field: `steps: Count`. The command line takes the same ranges."""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_args, get_type_hints

from text_uda.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Range:
    least: float | None = None
    """The smallest number allowed."""

    above: float | None = None
    """Numbers have to be larger than this one."""

    most: float | None = None
    """The largest number allowed."""

    below: float | None = None
    """Numbers have to be smaller than this one."""

    words: str
    """The numbers allowed, as an error message writes them."""

    def allows(self, number: Any) -> bool:
        return (
            (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
            and not math.isnan(number)
        )


Count = Annotated[int, Range(least=1, words="a number above 0")]
WholeNumber = Annotated[int, Range(least=0, words="0 or more")]
Positive = Annotated[float, Range(above=0, words="a number above 0")]
NotNegative = Annotated[float, Range(least=0, words="0 or more")]
TaskPower = Annotated[float, Range(least=0, most=10, words="0 to 10")]
Fraction = Annotated[float, Range(above=0, most=1, words="a number above 0, at most 1")]
Probability = Annotated[float, Range(least=0, below=1, words="a number in [0, 1)")]


LARGEST = 2**63 - 1
"""The largest whole number of a setting: it fits in 64 bits, as torch and the files need it."""


def range_of(annotation: Any) -> Range | None:
    """The range that an annotation such as `Count` or `Count | None` declares."""
    if isinstance(annotation, Range):
        return annotation
    metadata = getattr(annotation, "__metadata__", ())
    return next(filter(None, map(range_of, (*metadata, *get_args(annotation)))), None)


def check_ranges(settings: Any) -> None:
    """Raise SettingsError where a field of a dataclass is outside of the range that its annotation declares."""
    annotations = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        value, allowed = getattr(settings, field.name), range_of(annotations[field.name])
        optional = type(None) in get_args(annotations[field.name])
        if allowed is None or (value is None and optional):
            continue
        if not allowed.allows(value):
            or_none = ", or None" if optional else ""
            raise SettingsError(f"{field.name}={value}: give {allowed.words}{or_none}")
        if isinstance(value, int) and value > LARGEST:
            raise SettingsError(f"{field.name}={value}: give a number below 2^63")
        if value == math.inf:
            raise SettingsError(f"{field.name}=inf: give a finite number")
