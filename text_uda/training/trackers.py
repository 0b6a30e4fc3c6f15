"""Trackers that receive the metrics beside metrics.jsonl, through accelerate."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any, Literal, get_args

from accelerate import Accelerator

from text_uda.errors import MissingPartError, SettingsError
from text_uda.training.settings import TrainSettings

Tracker = Literal["tensorboard", "trackio", "wandb"]


def check_trackers(track: Sequence[str]) -> None:
    """Raise SettingsError for an unknown tracker, MissingPartError for one whose package is not installed."""
    for name in track:
        if name not in get_args(Tracker):
            raise SettingsError(f"track={name!r}: choose among {', '.join(get_args(Tracker))}")
        if find_spec(name) is None:
            raise MissingPartError(f"to track with {name}, install its package: pip install {name}")


@contextmanager
def tracking(
    accelerator: Accelerator, track: Sequence[Tracker], config: Mapping[str, Any], settings: TrainSettings
) -> Iterator[None]:
    """A block in which the trackers receive the metrics of a run with this configuration."""
    if track:
        tracked = {"run": config["name"], "method": config["method"], **asdict(settings)}
        accelerator.init_trackers("text_uda", config=tracked)
    try:
        yield
    finally:
        for tracker in accelerator.trackers if track else ():
            tracker.finish()
