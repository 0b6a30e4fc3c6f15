"""Range checks of settings. Each raises SettingsError with the name of the setting."""

import math

from text_uda.errors import SettingsError


def check_weight(value: float, name: str = "weight") -> None:
    if not value >= 0:
        raise SettingsError(f"{name}={value}: give 0 or more")
    if value == math.inf:
        raise SettingsError(f"{name}=inf: give a finite number")


def check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingsError(f"{name}={value}: give a share in [0, 1]")


def check_until(until: float) -> None:
    if not 0 < until <= 1:
        raise SettingsError(f"until={until}: give a share of the steps, above 0 and at most 1")


def check_temperature(value: float) -> None:
    if not 0 < value <= 10:
        raise SettingsError(f"temperature={value}: give a number above 0, at most 10")


def check_threshold(value: float, name: str = "confidence_threshold") -> None:
    if not 0 <= value < 1:
        raise SettingsError(f"{name}={value}: give a number in [0, 1)")


def check_momentum(value: float, name: str = "momentum") -> None:
    if not 0 <= value < 1:
        raise SettingsError(f"{name}={value}: give a number in [0, 1)")


def check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise SettingsError(f"{name}={value}: give a number above 0")
