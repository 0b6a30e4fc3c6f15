"""The files of WordNet: from NLTK's data folders, Debian's package, or NLTK's downloader."""

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError
from translation_cache.atomic import whole_folder

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
_EXAMPLE = re.compile(r'[;:,]?\s*"')  # the start of the examples in a gloss
_loading = threading.Lock()


def read(name: str) -> bytes:
    """The content of a file of WordNet, such as data.noun.

    Raises:
        MissingPartError: there is no WordNet.
    """
    with _loading:
        folder = _folder()
    with folder.join(name).open() as file:
        return file.read()


def _folder() -> Any:
    """The folder of WordNet, in NLTK's data path or in the cache folder, into which Debian's files are copied."""
    import nltk

    ours = home() / "nltk_data"
    if str(ours) not in nltk.data.path:
        nltk.data.path.append(str(ours))  # NLTK opens only files inside its path
    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            return nltk.data.find(name)
        except (LookupError, OSError, ValueError):
            continue
    if (DEBIAN / "data.noun").exists() and (DEBIAN / "index.sense").exists():
        _copy(DEBIAN, ours / "corpora" / "wordnet")
    elif not nltk.download("wordnet", download_dir=str(ours), quiet=True):
        raise MissingPartError(
            "WordNet is not installed: apt-get install wordnet-base wordnet-sense-index, or "
            "python -m nltk.downloader wordnet, or set NLTK_DATA to a folder with corpora/wordnet"
        )
    try:
        return nltk.data.find("corpora/wordnet", paths=[str(ours)])
    except LookupError:
        return nltk.data.find("corpora/wordnet.zip/wordnet/", paths=[str(ours)])


def _copy(source: Path, target: Path) -> None:
    """Copy, because NLTK refuses links. The folder appears whole or not at all."""
    with whole_folder(target) as folder:
        for path in source.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        lines = (f"{number:02d}\t{name}\n".replace(" ", "\t") for number, name in enumerate(_LEXNAMES))
        (folder / "lexnames").write_text("".join(lines), "ascii")


def glosses() -> Iterator[tuple[str, str, str]]:
    """For each noun synset, in file order: lexicographer file (noun.person), first lemma, definition without examples.

    Raises:
        MissingPartError: there is no WordNet.
    """
    for line in read("data.noun").decode("utf-8").splitlines():
        if line.startswith(" "):  # the licence at the head of the file
            continue
        entry, _, gloss = line.partition(" | ")
        fields = entry.split(" ")  # offset, lexicographer file, part of speech, number of words, first word, ...
        definition = _EXAMPLE.split(gloss.strip(), maxsplit=1)[0].rstrip("; ")
        if definition:
            yield _LEXNAMES[int(fields[1])].partition(" ")[0], fields[4].replace("_", " "), definition
