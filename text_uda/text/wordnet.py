"""The files of WordNet: from NLTK's data folders, Debian's package, or NLTK's downloader.

Files that are not in one of NLTK's folders are copied into the cache folder, with digests (see `checked_folder`).
"""

import hashlib
import re
import shutil
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from text_uda.cache_dir import home
from text_uda.errors import DataError, MissingPartError
from translation_cache import checked_folder
from translation_cache.file_digest import file_digest

DEBIAN = Path("/usr/share/wordnet")  # from the packages wordnet-base and wordnet-sense-index

# The lexicographer files by number, from the manual page lexnames(5WN), since Debian does not ship this file. The digit
# is the part of speech: 1 noun, 2 verb, 3 adjective, 4 adverb.
_LEXNAMES = (
    *("adj.all 3", "adj.pert 3", "adv.all 4", "noun.Tops 1", "noun.act 1", "noun.animal 1", "noun.artifact 1"),
    *("noun.attribute 1", "noun.body 1", "noun.cognition 1", "noun.communication 1", "noun.event 1", "noun.feeling 1"),
    *("noun.food 1", "noun.group 1", "noun.location 1", "noun.motive 1", "noun.object 1", "noun.person 1"),
    *("noun.phenomenon 1", "noun.plant 1", "noun.possession 1", "noun.process 1", "noun.quantity 1", "noun.relation 1"),
    *("noun.shape 1", "noun.state 1", "noun.substance 1", "noun.time 1", "verb.body 2", "verb.change 2"),
    *("verb.cognition 2", "verb.communication 2", "verb.competition 2", "verb.consumption 2", "verb.contact 2"),
    *("verb.creation 2", "verb.emotion 2", "verb.motion 2", "verb.perception 2", "verb.possession 2", "verb.social 2"),
    *("verb.stative 2", "verb.weather 2", "adj.ppl 3"),
)
_PARTS = ("noun", "verb", "adj", "adv")
_DECISIVE = (*(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS), "index.sense")
_STANDARD = "71f9b2edd1243523"
"""The digest of Debian's WordNet 3.0, whose texts were made before digests were recorded."""
_ZIP_SHA256 = "cbda5ea6eef7f36a97a43d4a75f85e07fccbb4f23657d27b4ccbc93e2646ab59"  # of NLTK's wordnet.zip
_EXAMPLE = re.compile(r'[;:,]?\s*"')  # the start of the examples in a gloss
_loading = threading.Lock()


def read(name: str) -> bytes:
    """The content of a file of WordNet, such as data.noun.

    Raises:
        MissingPartError: there is no WordNet.
        DataError: the file is damaged, and not in the cache folder, where it would be made again.
    """
    with _loading:
        folder = _folder()
    try:
        with folder.join(name).open() as file:
            content = file.read()
    except (zipfile.BadZipFile, EOFError) as error:
        raise _damaged(folder, name) from error
    if not content or b"\0" in content or not content.endswith(b"\n"):
        raise _damaged(folder, name)
    return content


@cache
def version() -> str:
    """The version at the head of the files, and a digest of the files where they are not those of Debian: "3.0"."""
    files = {name: read(name) for name in _DECISIVE}
    match = re.search(rb"WordNet (\d+\.\d+)", files["data.adj"])
    number = match[1].decode("ascii") if match else "unknown"
    digest = hashlib.blake2b(digest_size=8)
    for name, content in files.items():
        digest.update(f"{name} {hashlib.blake2b(content).hexdigest()}\n".encode("ascii"))
    return number if digest.hexdigest() == _STANDARD else f"{number} {digest.hexdigest()}"


def _damaged(folder: Any, name: str) -> DataError:
    return DataError(
        f"{folder}, {name}: the file of WordNet is damaged; install it again (python -m nltk.downloader --force "
        "wordnet), or remove its folder where Debian's package wordnet-base is installed"
    )


def _folder() -> Any:
    """The folder of WordNet, in NLTK's data path or in the cache folder."""
    import nltk

    ours = home() / "nltk_data"
    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            return nltk.data.find(name, paths=[path for path in nltk.data.path if path != str(ours)])
        except (LookupError, OSError, ValueError, zipfile.BadZipFile):
            continue
    _fill(ours / "corpora" / "wordnet")
    _make_private(ours)
    if str(ours) not in nltk.data.path:
        nltk.data.path.append(str(ours))  # NLTK opens only files inside its path
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # as long as the error, which says the same
        try:
            return nltk.data.find("corpora/wordnet", paths=[str(ours)])
        except LookupError as error:
            raise MissingPartError(
                f"NLTK reads WordNet only from a folder that is yours and that nobody else may write, and refuses "
                f"{ours}: run `chmod -R go-w {ours}` as its owner, or set TEXT_UDA_HOME to a folder of yours"
            ) from error


def _make_private(folder: Path) -> None:
    """NLTK refuses files that others may write, as a umask of 002 lets the group do."""
    for path in (folder, *folder.rglob("*")):
        permissions = path.stat().st_mode
        if permissions & 0o022:
            with suppress(PermissionError):  # of another user
                path.chmod(permissions & ~0o022)


@cache
def _fill(folder: Path) -> None:
    """Copy WordNet, because NLTK refuses links; a copy that is there is checked once for each process."""

    def make(unfinished: Path) -> None:
        if (DEBIAN / "data.noun").exists() and (DEBIAN / "index.sense").exists():
            for path in DEBIAN.iterdir():
                if path.is_file():
                    shutil.copyfile(path, unfinished / path.name)
            lines = (f"{number:02d}\t{name}\n".replace(" ", "\t") for number, name in enumerate(_LEXNAMES))
            (unfinished / "lexnames").write_text("".join(lines), "ascii")
        else:
            _download(unfinished)

    checked_folder.load_or_make(folder, make)


def _download(folder: Path) -> None:
    """Unpack NLTK's archive, whose digest is known: NLTK compares it only with a digest from the same server."""
    import nltk

    with tempfile.TemporaryDirectory() as temporary:
        archive = folder.parent / "wordnet.zip"  # where earlier versions downloaded it to
        if not archive.is_file():
            archive = Path(temporary) / "corpora" / "wordnet.zip"
            if not nltk.download("wordnet", download_dir=temporary, quiet=True) or not archive.is_file():
                raise MissingPartError(
                    "WordNet is not installed: apt-get install wordnet-base wordnet-sense-index, or "
                    "python -m nltk.downloader wordnet, or set NLTK_DATA to a folder with corpora/wordnet"
                )
        if file_digest(archive, "sha256") != _ZIP_SHA256:
            raise MissingPartError(
                f"{archive.name} of NLTK is not the archive of WordNet that is known, so it is not used; apt-get "
                "install wordnet-base wordnet-sense-index, or set NLTK_DATA to a folder that you trust"
            )
        with zipfile.ZipFile(archive) as content:
            for entry in content.infolist():
                if not entry.is_dir():
                    with content.open(entry) as source, (folder / Path(entry.filename).name).open("wb") as target:
                        shutil.copyfileobj(source, target)


class NounSynset(NamedTuple):
    file: str
    """The lexicographer file: noun.person."""
    lemmas: tuple[str, ...]
    pointers: tuple[str, ...]
    """The symbol of each pointer to another synset: @ for a hypernym, ~ for a hyponym (wninput(5WN))."""
    definition: str
    """Without examples."""


def noun_synsets() -> Iterator[NounSynset]:
    """Each noun synset with a definition, in file order.

    Raises:
        MissingPartError: there is no WordNet.
    """
    for line in read("data.noun").decode("utf-8").splitlines():
        if line.startswith(" "):  # the licence at the head of the file
            continue
        entry, _, gloss = line.partition(" | ")
        # offset, lexicographer file, part of speech, number of words (hexadecimal), (word, id) ..., number of pointers,
        # (symbol, offset, part of speech, source and target word) ...
        fields = entry.split(" ")
        words_end = 4 + 2 * int(fields[3], 16)
        lemmas = tuple(word.replace("_", " ") for word in fields[4:words_end:2])
        pointers = tuple(fields[words_end + 1 : words_end + 1 + 4 * int(fields[words_end]) : 4])
        definition = _EXAMPLE.split(gloss.strip(), maxsplit=1)[0].rstrip("; ")
        if definition:
            yield NounSynset(_LEXNAMES[int(fields[1])].partition(" ")[0], lemmas, pointers, definition)
