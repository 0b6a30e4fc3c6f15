"""Records of JSON files: one object a line, or an array of objects."""

import json
import re
from collections.abc import Iterator

from text_uda.data.plain_text import MOST_BYTES, PlainText
from text_uda.data.records import Read, Record
from text_uda.errors import DataError, listed

_BLOCK_CHARACTERS = 1 << 20
_BETWEEN = re.compile(r"[ \t\r\n,]*")

_EXAMPLE = '{"text": "..."}'
_ONE_FORM = f"a JSON file is one array of objects such as {_EXAMPLE}, or one object a line"


def read_json(text: PlainText) -> tuple[list[str], Read]:
    """(columns, function that reads the records); a row number is a line, or the place in the array.

    Raises:
        DataError: it is not JSON, or an object of columns.
    """
    with text.open() as file:
        start = file.read(1 << 16).lstrip()
    if start.startswith("["):
        read = _array
    else:
        _refuse_one_object(text, start)
        read = _lines
    columns: dict[str, None] = {}
    for _, record in read(text):
        if not record.keys() <= columns.keys():
            columns |= dict.fromkeys(record)
    if not columns:
        raise DataError(f"{text.path} is empty: it has no row with a field; use a file with rows")
    return list(columns), lambda _columns: read(text)


def _refuse_one_object(text: PlainText, start: str) -> None:
    """Raises DataError if the file is one object of columns, or one object over several lines."""
    line, _, rest = start.partition("\n")
    remedy = f"write one object a line, such as {_EXAMPLE} (pandas: to_json(FILE, orient='records', lines=True))"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        if line.strip() == "{" and rest.lstrip().startswith('"'):
            raise DataError(f"{text.path} is one JSON object over several lines; {remedy}") from None
        return
    if (
        isinstance(record, dict)
        and record
        and not rest.strip()
        and all(isinstance(v, list | dict) for v in record.values())
    ):
        raise DataError(f"{text.path} is one JSON object with {listed(record)}, not a list of rows; {remedy}")


def _lines(text: PlainText) -> Iterator[Record]:
    text.refuse_long_line()
    with text.open() as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{text.path}, row {number}: not JSON ({error}); every line has to be one object"
                ) from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{text.path}, row {number}: not an object; every line has to be one, such as {_EXAMPLE}"
                )
            yield number, record


def _array(text: PlainText) -> Iterator[Record]:
    decoder = json.JSONDecoder()
    with text.open() as file:
        buffer, number = file.read(_BLOCK_CHARACTERS).lstrip(), 0
        place = 1  # after the bracket
        while True:
            place = _BETWEEN.match(buffer, place).end()  # pyright: ignore[reportOptionalMemberAccess]
            if buffer.startswith("]", place):
                if buffer[place + 1 :].strip() or file.read().strip():
                    raise DataError(f"{text.path}: there is more after the array of rows; {_ONE_FORM}")
                return
            try:
                record, place = decoder.raw_decode(buffer, place)
            except (ValueError, RecursionError) as error:
                rest = buffer[place:]
                if len(rest) > MOST_BYTES:
                    raise DataError(
                        f"{text.path}, row {number + 1}: no end within {MOST_BYTES >> 20} MB ({error}); correct it"
                    ) from error
                more = file.read(max(_BLOCK_CHARACTERS, len(rest)))  # the row may go on
                if not more:
                    raise DataError(f"{text.path}, row {number + 1}: not JSON ({error}); correct it") from error
                buffer, place = rest + more, 0
                continue
            number += 1
            if not isinstance(record, dict):
                raise DataError(f"{text.path}, row {number}: not an object; {_ONE_FORM}")
            yield number, record
