"""`predict`: classify the lines of standard input."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json
from text_uda.cli.parameter_types import COUNT
from text_uda.cli.shared_options import ends, run_argument
from text_uda.errors import DataError


@verb()
@run_argument
@option(
    "--batch-size",
    type=COUNT,
    default=32,
    show_default=True,
    metavar="N",
    help="Texts in a batch; 1 answers each line at once.",
)
@ends
def predict(run: Path, batch_size: int, as_json: bool) -> None:
    """Read one text per line from standard input and write one JSON object per line.

    \b
    Example:
      text-uda predict run < texts.txt
      tail -f reviews.log | text-uda predict run --batch-size 1
    """
    del as_json  # the output is always JSON
    from text_uda.runs.evaluation import predict as classify

    source = _Lines(sys.stdin.buffer)
    for record in classify(run, source, batch_size=batch_size):
        emit_json(record)
    if source.error is not None:
        raise source.error


class _Lines(Iterable[str]):
    """The lines of standard input up to the first bad one; `error` is raised when the lines before it are answered."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: DataError | None = None

    def __iter__(self) -> Iterator[str]:
        number = 0
        for number, line in enumerate(self._stream, start=1):
            line = line.rstrip(b"\r\n")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                self.error = DataError(
                    f"<stdin>, line {number}: byte {error.start + 1} (0x{byte:02x}) is not UTF-8;"
                    " convert the texts first, for example with `iconv -f latin1 -t utf-8`"
                )
                return
            if not text.strip():
                self.error = DataError(f"<stdin>, line {number}: the text is blank; remove the line")
                return
            yield text
        if number == 0:
            self.error = DataError(
                "<stdin> is empty; give one text per line, for example `text-uda predict RUN < texts.txt`"
            )
