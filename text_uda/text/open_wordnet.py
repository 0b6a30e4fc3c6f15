"""The Open Multilingual WordNet: words of other languages by WordNet's synsets, from NLTK's data folders.

Bond & Foster 2013, "Linking and Extending an Open Multilingual Wordnet" (ACL). A file has lines of an offset in
WordNet 3.0 with the part of speech, a type that ends in `lemma`, and a word: `00001740-n<TAB>lemma<TAB>entidad`.
"""

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path, PurePosixPath

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError, SettingsError
from text_uda.text.language import three_letters

CORPORA = ("omw-1.4", "omw", "extended_omw")  # the last one has Wiktionary's words, for more languages
_PARTS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}
_loading = threading.Lock()

Sense = tuple[str, int]
"""Part of speech and offset in WordNet's data file, as in `WordNetTables`."""


class OpenWordNet:
    """The words of a language, in the order of its file; those of several words are left out."""

    def __init__(self, content: bytes, name: str = "") -> None:
        """Raises SettingsError if a line has no offset; `name` is that of the file, for the message."""
        self.digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        self.senses: dict[str, tuple[Sense, ...]] = {}
        self.words: dict[Sense, tuple[str, ...]] = {}
        if b"\0" in content:
            raise SettingsError(f"{name} is damaged; download the Open Multilingual WordNet again")
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            fields = line.split("\t")
            if line.startswith("#") or len(fields) < 3 or not fields[1].endswith("lemma"):
                continue  # a comment, a definition or an example
            offset, _, part = fields[0].partition("-")
            word = fields[2].strip()
            if not offset.isdecimal():
                raise SettingsError(
                    f"{name}, line {number}: {fields[0]!r:.80} is no offset with a part of speech, such as 00001740-n; "
                    "download the Open Multilingual WordNet again"
                )
            if word.isalpha() and part in _PARTS:
                sense = (_PARTS[part], int(offset))
                self.senses[word] = (*self.senses.get(word, ()), sense)
                self.words[sense] = (*self.words.get(sense, ()), word)
        if not self.senses:
            raise SettingsError(f"{name} has no words; download the Open Multilingual WordNet again")


def open_wordnet(language: str) -> OpenWordNet:
    """The words of a language (a code of ISO 639), loaded once.

    Raises:
        MissingPartError: there is no file of the language.
        SettingsError: the code is unknown.
    """
    with _loading:
        return _loaded(language)


@cache
def _loaded(language: str) -> OpenWordNet:
    codes = three_letters(language)
    for corpus in CORPORA:
        for name, read in _files(corpus):
            if PurePosixPath(name).stem in [f"wn-{kind}-{code}" for code in codes for kind in ("data", "wikt")]:
                try:
                    return OpenWordNet(read(), name)
                except (zipfile.BadZipFile, EOFError, UnicodeDecodeError) as error:
                    raise SettingsError(
                        f"{name} is damaged ({error}); download the Open Multilingual WordNet again"
                    ) from error
    raise MissingPartError(
        f"the Open Multilingual WordNet of language {language!r} is not installed: python -m nltk.downloader omw-1.4 "
        f"(or extended_omw, which has more languages), or set NLTK_DATA to a folder with "
        f"corpora/omw-1.4/{codes[0]}/wn-data-{codes[0]}.tab"
    )


def _files(corpus: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The name and a reader of each file of a corpus, in a folder or a zip archive, in the order of the names."""
    import nltk
    from nltk.data import ZipFilePathPointer

    for name in (f"corpora/{corpus}", f"corpora/{corpus}.zip/{corpus}/"):
        try:
            pointer = nltk.data.find(name, paths=[*nltk.data.path, str(home() / "nltk_data")])
        except (LookupError, OSError, ValueError):
            continue
        except zipfile.BadZipFile as error:
            raise SettingsError(
                f"the archive {corpus}.zip is damaged ({error}); download the Open Multilingual WordNet again: "
                f"python -m nltk.downloader --force {corpus}"
            ) from error
        if isinstance(pointer, ZipFilePathPointer):
            for entry in sorted(pointer.zipfile.namelist()):
                yield entry, partial(pointer.zipfile.read, entry)
        else:
            for path in sorted(Path(pointer.path).rglob("*.tab")):
                yield path.as_posix(), path.read_bytes
