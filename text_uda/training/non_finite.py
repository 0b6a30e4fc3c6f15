"""A loss or a gradient that is not finite: the error and the record of the step."""

from collections.abc import Mapping

from text_uda.errors import UserError
from text_uda.runs.directory import RunDirectory

NAMED_ROWS = 6  # of a batch in the message; diverged.json has all


class NonFiniteError(UserError):
    """The loss or its gradient is NaN or infinite."""


def non_finite_error(
    quantity: str,
    directory: RunDirectory,
    *,
    step: int,
    parts: Mapping[str, float],
    terms: Mapping[str, float],
    rows: Mapping[str, list[int]],
    learning_rate: float,
    record: bool = True,
) -> NonFiniteError:
    """The error to raise; diverged.json records the step and its rows.

    Args:
        quantity: what is not finite.
        step: from 0.
        parts: the loss of each objective.
        terms: what the step logs.
        rows: indices of the rows of the data, by kind.
        record: whether this process writes diverged.json: of several processes, the one with the non-finite loss.
    """
    if record:
        content = {"step": step + 1, "parts": dict(parts), "terms": dict(terms), "rows": dict(rows)}
        directory.write("diverged.json", content)
    named = "; ".join(
        f"{kind} rows {', '.join(map(str, indices[:NAMED_ROWS]))}{', ...' if len(indices) > NAMED_ROWS else ''}"
        for kind, indices in rows.items()
    )
    values = ", ".join(f"{name} {value:g}" for name, value in {**parts, **terms}.items())
    return NonFiniteError(
        f"{quantity} is not finite at step {step + 1:,} ({values}; {named}; {directory.path / 'diverged.json'} lists "
        f"all rows); lower the learning rate ({learning_rate:g}) and start again; the last checkpoint is kept"
    )
