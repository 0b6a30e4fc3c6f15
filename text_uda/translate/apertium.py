"""Apertium: rule-based translation from Debian packages (`apertium-eng-spa`), deterministic and fast on a CPU.

This module runs the stages of Apertium's pipeline itself, because in the `apertium` command one sentence can change the
next: the statistical tagger remembers every ambiguity class that is not in its training data, and then tags later words
differently (about one sentence in thirty). Each sentence with such a class gets a separate tagger process; the other
sentences share one. So a translation depends only on its sentence.
"""

import hashlib
import re
import shlex
import shutil
import subprocess
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from text_uda.errors import MissingPartError, SettingsError
from text_uda.text.sentences import normalise
from text_uda.translate.device import WorkerShare
from text_uda.translate.translator import Translation

MODES = Path("/usr/share/apertium/modes")
_PAIR = re.compile(r"[A-Za-z]{2,3}(?:_[A-Za-z0-9]+)?-[A-Za-z]{2,3}(?:_[A-Za-z0-9]+)?")
_SPECIAL = re.compile(r"([\[\]{}^$@/\\<>])")  # in Apertium's stream format
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNTRAINED_WORD = re.compile(r"^Word '(.*)'\.$", re.MULTILINE)
_SENTENCES_PER_THREAD = 64  # at least: a thread starts processes
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


@dataclass(frozen=True)
class Apertium:
    """One direction of a language pair, such as `eng-spa`."""

    direction: str
    share: WorkerShare = field(default_factory=WorkerShare, kw_only=True, compare=False, repr=False)
    """Of the machine; it changes no translation."""
    mark_unknown: bool = field(default=False, kw_only=True)
    """Whether a word that Apertium does not know begins with `*`, one without translation with `@`, and one without the
    inflected form with `#`, as in the command `apertium`."""

    draws = 1
    block = 256

    def __post_init__(self) -> None:
        if not _PAIR.fullmatch(self.direction):
            raise SettingsError(
                f"apertium:{self.direction}: name two languages by their codes, such as apertium:eng-spa; it takes no "
                "path"
            )

    def settings(self) -> dict[str, Any]:
        marks = {"mark_unknown": True} if self.mark_unknown else {}
        return {"engine": "apertium", "direction": self.direction, "release": _release(self.direction)} | marks

    def __call__(self, sentences: Sequence[str], draws: Sequence[int] = ()) -> list[Translation]:
        """Raises MissingPartError if Apertium or the language pair is not installed, or if its output lacks a line."""
        distinct = list(dict.fromkeys(sentences))
        count = min(self.share.cores(), -(-len(distinct) // _SENTENCES_PER_THREAD))
        if count <= 1:
            translations = self._translate(distinct)
        else:
            translations = [Translation("")] * len(distinct)
            with ThreadPoolExecutor(count) as threads:
                parts = threads.map(self._translate, (distinct[first::count] for first in range(count)))
                for first, part in enumerate(parts):
                    translations[first::count] = part
        translation_of = dict(zip(distinct, translations, strict=True))
        return [translation_of[sentence] for sentence in sentences]

    def _translate(self, sentences: list[str]) -> list[Translation]:
        stages = _stages(self.direction, mark_unknown=self.mark_unknown)
        tagger = next((index for index, stage in enumerate(stages) if stage[0] == "apertium-tagger"), len(stages) - 1)
        segments = [_escape(sentence) for sentence in sentences]
        segments = _run(stages[:tagger], segments)
        segments = _tag(stages[tagger], segments)
        segments = _run(stages[tagger + 1 :], segments)
        return [_translation(segment) for segment in segments]


def _escape(sentence: str) -> bytes:
    """The sentence in Apertium's stream format, on one line, with plain quotes: at curly ones Apertium drops words.

    Accents are composed with their letters: Apertium translates a combining mark as a word.
    """
    line = _CONTROL.sub(" ", normalise(unicodedata.normalize("NFC", sentence))).strip()
    return _SPECIAL.sub(r"\\\1", line).encode("utf-8", "replace") + b"\n"


def _translation(segment: bytes) -> Translation:
    text = _ESCAPED.sub(r"\1", segment.decode("utf-8", "replace"))
    text = " ".join(text.split())  # a dropped word leaves its spaces
    return Translation(text, "ok" if text else "empty")


def _tag(stage: list[str], segments: list[bytes]) -> list[bytes]:
    """Disambiguate. A sentence with an ambiguity class unknown to the tagger gets a separate process."""
    report = _pipe([[*stage, "--debug"]], segments).stderr.decode("utf-8", "replace")
    words = {word.encode("utf-8") for word in _UNTRAINED_WORD.findall(report)}
    if not words:
        return _run([stage], segments)
    units = re.compile(rb"\^(?:" + b"|".join(re.escape(word) for word in sorted(words)) + rb")/")
    separate = [index for index, segment in enumerate(segments) if units.search(segment)]
    shared = sorted(set(range(len(segments))) - set(separate))
    tagged = dict(zip(shared, _run([stage], [segments[index] for index in shared]), strict=True))
    tagged |= {index: _run([stage], [segments[index]])[0] for index in separate}
    return [tagged[index] for index in range(len(segments))]


def _run(stages: list[list[str]], segments: list[bytes]) -> list[bytes]:
    """Run segments through stages; NUL separates the segments."""
    if not segments or not stages:
        return segments
    output = _pipe(stages, segments).stdout.split(b"\0")
    returned, rest = output[: len(segments)], output[len(segments) :]
    if len(returned) < len(segments) or any(part.strip() for part in rest):
        names = " | ".join(stage[0] for stage in stages)
        raise MissingPartError(
            f"Apertium ({names}) returned {len(output)} segments for {len(segments)}: reinstall its packages"
        )
    return returned


def _pipe(stages: list[list[str]], segments: list[bytes]) -> subprocess.CompletedProcess[bytes]:
    command = " | ".join(shlex.join([*stage, "-z"]) for stage in stages)
    data = b"".join(segment + b"\0" for segment in segments)
    done = subprocess.run(["bash", "-c", "set -o pipefail; " + command], input=data, capture_output=True)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise MissingPartError(f"Apertium failed ({lines[-1]}): reinstall its packages, or choose another translator")
    return done


def _stages(direction: str, *, mark_unknown: bool = False) -> list[list[str]]:
    """The commands in the mode file of a direction, with options that mark unknown words or leave them unmarked."""
    path = MODES / f"{direction}.mode"
    if shutil.which("apertium") is None or not path.exists():
        modes = sorted(mode.stem for mode in MODES.glob("*.mode"))
        installed = ", ".join(get_close_matches(direction, modes, n=5, cutoff=0.4) or modes[:10]) or "none"
        raise MissingPartError(
            f"Apertium's direction {direction!r} is not installed (installed: {installed}): apt-get install "
            f"apertium-{direction}, or the package with the languages in the other order; or choose "
            "--translator marian:FORWARD,BACK"
        )
    options = {"$1": ["-g" if mark_unknown else "-n"], "$2": []}
    return [
        [part for word in shlex.split(stage) for part in options.get(word, [word])]
        for stage in path.read_text("utf-8").strip().split("|")
    ]


@cache
def _release(direction: str) -> str:
    """A digest of Apertium's version and of its linguistic data, which decide a translation."""
    stages = _stages(direction)  # first: its error names the package to install
    digest = hashlib.blake2b(digest_size=8)
    digest.update(subprocess.run(["apertium", "-V"], capture_output=True, check=True).stdout)
    for stage in stages:
        for part in stage:
            digest.update(Path(part).read_bytes() if part.startswith("/") else part.encode("utf-8"))
    return digest.hexdigest()
