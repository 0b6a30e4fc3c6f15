"""A loss or a gradient that is no number: what is said of it, and what is kept."""

from collections.abc import Mapping
from typing import Any

from text_uda.errors import UserError
from text_uda.runs.directory import RunDirectory

NAMED_ROWS = 6  # of a batch in an error; a file has all


class DivergedError(UserError):
    """The loss or its gradient is no number any more."""


def diverged(
    what: str,
    directory: RunDirectory,
    *,
    step: int,
    parts: Mapping[str, float],
    terms: Mapping[str, float],
    rows: Mapping[str, list[int]],
    learning_rate: float,
    kept: bool = True,
) -> DivergedError:
    """The error, to be raised; diverged.json keeps which rows it was.

    Args:
        what: is not finite.
        step: from 0.
        parts: the loss of each objective.
        terms: what is logged of the step.
        rows: of the data, by kind.
        kept: whether this process writes diverged.json: of several the one whose loss it was.
    """
    found: dict[str, Any] = {"step": step + 1, "parts": dict(parts), "terms": dict(terms), "rows": dict(rows)}
    if kept:
        directory.write("diverged.json", found)
    named = "; ".join(
        f"{kind} rows {', '.join(map(str, of_kind[:NAMED_ROWS]))}{', ...' if len(of_kind) > NAMED_ROWS else ''}"
        for kind, of_kind in rows.items()
    )
    values = ", ".join(f"{name} {value:g}" for name, value in {**parts, **terms}.items())
    return DivergedError(
        f"{what} is not finite at step {step + 1:,} ({values}; {named}; all of them are in "
        f"{directory.path / 'diverged.json'}); lower the learning rate ({learning_rate:g}) and start anew; "
        "the last checkpoint is kept"
    )
