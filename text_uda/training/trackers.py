"""Trackers that receive the metrics beside metrics.jsonl, through accelerate."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, get_args

from text_uda.errors import MissingPartError, SettingsError

Tracker = Literal["tensorboard", "trackio", "wandb"]


def check_trackers(track: Sequence[str]) -> None:
    """Raise SettingsError for an unknown tracker, MissingPartError for one whose package is not installed."""
    for name in track:
        if name not in get_args(Tracker):
            raise SettingsError(f"track={name!r}: choose among {', '.join(get_args(Tracker))}")
        if find_spec(name) is None:
            raise MissingPartError(f"to track with {name}, install its package: pip install {name}")
