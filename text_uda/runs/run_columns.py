"""The columns beside the text that a run was trained with, by its config.json."""

from pathlib import Path

from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.runs.directory import RunDirectory


def columns_read_by(run: str | Path) -> OtherColumns:
    """The columns that its model reads: none for a run of the text without them."""
    fusion = RunDirectory(Path(run)).config().get("fusion")
    return NO_COLUMNS if fusion is None or fusion["fusion"] == "text" else OtherColumns.named(**fusion["columns"])
