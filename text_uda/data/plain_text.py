"""The characters of a text file: unpacked, in its encoding, checked once as a whole."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from text_uda.errors import DataError

PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")

MOST_BYTES = 16 << 20  # of a row: rows are held in memory, files are not
_BLOCK_BYTES = 1 << 20
_ARROW_CODECS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_SPREADSHEET_MEMBERS = ("xl/", "word/", "content.xml")
_SAVE_AS_CSV = "save the sheet as csv (UTF-8) in your spreadsheet program"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_CP1252_ONLY = re.compile(rb"[\x80-\x9f]")


@dataclass(frozen=True)
class PlainText:
    """A file that was checked: it can be decoded, holds no NUL and is not blank."""

    path: Path
    encoding: str
    characters: int
    """An upper bound."""
    has_quotes: bool
    """Whether a double quote occurs."""
    too_long: int | None = None
    """The number of the first line that is too long to be a row."""

    def open(self) -> IO[str]:
        """The characters, with the line ends of the file."""
        return io.TextIOWrapper(unpacked(self.path), encoding=self.encoding, newline="")

    def refuse_long_line(self) -> None:
        """Raises DataError if a line is too long to be a row."""
        if self.too_long is not None:
            raise DataError(
                f"{self.path}, row {self.too_long}: a line of more than {MOST_BYTES >> 20} MB; divide its text, or "
                "check the line ends"
            )


def refuse_no_bytes(path: Path) -> None:
    """Raises DataError if the file has no bytes, or cannot be opened."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise empty_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its name and permissions") from error


def empty_file(path: Path) -> DataError:
    lines = ".txt" in map(str.lower, path.suffixes)
    return DataError(f"{path} is empty; {'give one text a line' if lines else 'use a file with a header and rows'}")


def check_plain_text(path: Path) -> PlainText:
    """Reads a file once.

    Raises:
        DataError: it is blank, damaged, no text, or in an unknown encoding; the message names the row.
    """
    blank, only_ascii, quotes = True, True, False
    before, size = 0, 0  # lines before the block, bytes
    line_bytes, too_long = 0, None  # of the line that the block continues
    encoding = "utf-8-sig"
    try:
        with unpacked(path) as file:
            encoding = _encoding(file.read(4096))
        for block in _blocks(path, encoding):
            if size == 0:
                block = block.removeprefix(codecs.BOM_UTF8)
            _check_block(path, block, before, only_ascii)
            only_ascii = only_ascii and block.isascii()
            blank = blank and not block.strip()
            quotes = quotes or b'"' in block
            first_end = next((place for end in (b"\n", b"\r") if (place := block.find(end)) >= 0), None)
            if line_bytes + (len(block) if first_end is None else first_end) > MOST_BYTES:
                too_long = too_long or before + 1
            last_end = max(block.rfind(b"\n"), block.rfind(b"\r"))
            line_bytes = len(block) - last_end - 1 + (line_bytes if last_end < 0 else 0)
            before += block.count(b"\n")
            size += len(block)
    except _DAMAGE as error:
        kind = path.suffix.lower().removeprefix(".")
        raise DataError(f"{path}: the {kind} file is damaged or incomplete ({error}); copy or pack it again") from error
    except UnicodeError as error:
        raise DataError(f"{path} begins like {encoding.upper()} and is not ({error}); save it as UTF-8") from error
    if blank:
        raise empty_file(path)
    return PlainText(path, encoding, size, quotes, too_long)


def unpacked(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked as its first bytes say, whatever its name.

    Raises:
        DataError: it is a spreadsheet, or an archive of several files.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # pyright: ignore[reportReturnType]
    if start.startswith(b"BZh"):
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    if start[:4] in _ARROW_CODECS:
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.OSFile(str(path)), _ARROW_CODECS[start[:4]])
        return io.BufferedReader(stream, _BLOCK_BYTES)  # pyright: ignore[reportArgumentType]
    if start.startswith(b"PK\x03\x04"):
        return _zip_member(path)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError(f"{path} is a spreadsheet of Excel; {_SAVE_AS_CSV}")
    if start.startswith((b"7z\xbc\xaf", b"Rar!")):
        raise DataError(f"{path} is a 7z or rar archive; unpack it first")
    return path.open("rb")


def member_name(path: Path) -> str:
    """The name of the only file in a zip archive. Raises DataError if there are several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the zip file is damaged or incomplete ({error}); copy or pack it again") from error
    if any(name.startswith(_SPREADSHEET_MEMBERS) for name in names):
        raise DataError(f"{path} is a spreadsheet; {_SAVE_AS_CSV}")
    if len(names) != 1:
        raise DataError(f"{path} is a zip archive of {len(names)} files; unpack it and name one, or the folder")
    return names[0]


def refuse_spreadsheet(path: Path) -> None:
    if path.suffix.lower() in SPREADSHEETS:
        raise DataError(f"{path} is a spreadsheet, which is not read; {_SAVE_AS_CSV} and name that file")


def _zip_member(path: Path) -> IO[bytes]:
    name = member_name(path)
    archive = zipfile.ZipFile(path)  # closed with its member
    member = archive.open(name)
    archive.close()
    return member


def _encoding(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = start[::2].count(0), start[1::2].count(0)  # Latin letters have a zero byte in UTF-16
    if len(start) > 3 and max(even, odd) > len(start) // 4 and min(even, odd) * 8 < max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8-sig"


def _blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """The characters in UTF-8, in blocks of whole characters; a file can be one long line."""
    with unpacked(path) as file:
        if encoding != "utf-8-sig":
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                while characters := text.read(_BLOCK_BYTES):
                    yield characters.encode()
            return
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            block = rest + block
            start = next(
                (place for place in (-1, -2, -3) if block[place:][:1] >= b"\xc0"), None
            )  # of the last character
            rest = b"" if start is None else block[start:]
            yield block[: len(block) - len(rest)]
        yield rest


def _check_block(path: Path, block: bytes, before: int, only_ascii: bool) -> None:
    if b"\0" in block:
        row = before + len(_LINE_END.findall(block, 0, block.index(b"\0"))) + 1
        raise DataError(f"{path}, row {row}: a NUL character; is this a text file?")
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        row = before + len(_LINE_END.findall(block, 0, error.start)) + 1
        if not (only_ascii and block[: error.start].isascii()):
            raise DataError(
                f"{path}, row {row}: byte 0x{block[error.start]:02x} is not UTF-8, and earlier rows are; correct that "
                "row, for `iconv` would spoil the others"
            ) from error
        source = "windows-1252" if _CP1252_ONLY.search(block, error.start) else "latin1"
        raise DataError(
            f"{path}, row {row}: byte 0x{block[error.start]:02x} is not UTF-8; convert the file first, for example "
            f"with `iconv -f {source} -t utf-8` if it is in a western European language, or save it as UTF-8"
        ) from error
