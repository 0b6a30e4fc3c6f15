"""The synsets of WordNet, parsed from its database files (format: wndb(5WN)) and held in memory."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from text_uda.text.wordnet import read

_FILES = {"noun": "noun", "verb": "verb", "adjective": "adj", "adverb": "adv"}
_PART_OF_DIGIT = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}  # 5: adjective satellite


class Synset(NamedTuple):
    words: dict[str, str]
    """Each word with its marker: "(p)" for an adjective used only as predicate, "(a)" only before a noun, else ""."""
    antonyms: tuple[int, ...]
    """Synsets of the same part of speech, by their offset in the data file."""
    similar: tuple[int, ...]
    frames: dict[str, set[str]]
    """For each verb, the numbers of its sentence frames, such as "Somebody ----s something"."""


class WordNetTables:
    """The database files, read once; lookups parse a line and cache the result.

    Kept beside NLTK's reader, which is slower, larger and not thread-safe (it seeks in its files): on one core, loading
    takes 0.3 s and 82 MiB here, 4.2 s and 134 MiB there; 32,000 lemmas a second the first time against 1,500. For the
    12,050 lemmas of movie-snippets the senses are equal, and `Synonym` has the same candidates for 13,784 of 13,789
    words; in the others NLTK misses counts of adjectives, such as `next` (90 in the file).

    Raises:
        MissingPartError: there is no WordNet.
    """

    def __init__(self) -> None:
        self._data = {part: read(f"data.{file}") for part, file in _FILES.items()}
        self._index: dict[str, dict[str, str]] = {}
        for part, file in _FILES.items():
            lines = [line for line in read(f"index.{file}").decode("ascii").splitlines() if line[:1] != " "]
            self._index[part] = {line[: line.index(" ")]: line for line in lines}
        self._counts: dict[tuple[str, str], dict[int, int]] = {}
        for line in read("index.sense").decode("ascii").splitlines():
            if not line.endswith(" 0"):
                key, offset, _, count = line.split()
                lemma, _, rest = key.partition("%")
                self._counts.setdefault((lemma, _PART_OF_DIGIT[rest[0]]), {})[int(offset)] = int(count)
        self.senses = lru_cache(maxsize=1 << 16)(self._senses)
        self.counts = lru_cache(maxsize=1 << 16)(self._sense_counts)
        self.synset = lru_cache(maxsize=1 << 16)(self._synset)

    def phrases(self) -> Iterator[tuple[str, ...]]:
        """The words of each entry of several words, by part of speech and in file order."""
        for index in self._index.values():
            yield from (tuple(name.split("_")) for name in index if "_" in name)

    def _senses(self, lemma: str, part_of_speech: str) -> tuple[int, ...]:
        """The synsets of a lemma, by offset, the most frequent first."""
        fields = self._index[part_of_speech].get(lemma, "").split()
        return tuple(int(field) for field in fields[-int(fields[2]) :]) if fields else ()

    def _sense_counts(self, lemma: str, part_of_speech: str) -> tuple[int, ...]:
        """For each of these synsets, how often the texts that WordNet's authors tagged use the lemma in this sense."""
        counts = self._counts.get((lemma, part_of_speech), {})
        return tuple(counts.get(offset, 0) for offset in self._senses(lemma, part_of_speech))

    def _synset(self, part_of_speech: str, offset: int) -> Synset:
        data = self._data[part_of_speech]
        # offset, lexicographer file, type, number of words (hexadecimal), (word, id) ..., number of pointers,
        # (symbol, offset, part of speech, source and target word) ..., and the frames of verbs
        fields = data[offset : data.index(b"|", offset)].decode("ascii").split()
        words_end = 4 + 2 * int(fields[3], 16)
        words = {}
        for field in fields[4:words_end:2]:
            name, marker, rest = field.partition("(")
            words[name] = marker + rest
        pointers = fields[words_end + 1 : words_end + 1 + 4 * int(fields[words_end])]
        targets = list(zip(pointers[::4], pointers[1::4], strict=True))
        antonyms = tuple(dict.fromkeys(int(target) for symbol, target in targets if symbol == "!"))
        similar = tuple(int(target) for symbol, target in targets if symbol == "&")
        frames: dict[str, set[str]] = {}
        if part_of_speech == "verb":  # number of frames, ("+", frame, number of the word, or 00 for all words) ...
            names = list(words)
            frame_fields = fields[words_end + 2 + len(pointers) :]
            for frame, number in zip(frame_fields[1::3], frame_fields[2::3], strict=True):
                for name in names if number == "00" else [names[int(number, 16) - 1]]:
                    frames.setdefault(name, set()).add(frame)
        return Synset(words, antonyms, similar, frames)
