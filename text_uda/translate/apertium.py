"""Apertium: rule-based translation that Debian packages (`apertium-eng-spa`), deterministic and fast on a CPU.

The stages of its pipeline are run by us, for its own command lets one sentence change the next: the statistical tagger
keeps every class of ambiguity that it was not trained on, and then tags later words otherwise (about one sentence in
thirty). Sentences with such a class get a tagger process of their own; the others share one. So a translation depends
on its sentence alone.
"""

import hashlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from text_uda.errors import MissingPartError
from text_uda.text.sentences import normalise
from text_uda.translate import device
from text_uda.translate.translator import Translation

MODES = Path("/usr/share/apertium/modes")
_SPECIAL = re.compile(r"([\[\]{}^$@/\\<>])")  # of Apertium's stream format
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNTRAINED_WORD = re.compile(r"^Word '(.*)'\.$", re.MULTILINE)
_LEAST_SHARE = 64  # sentences that are worth processes of their own
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


@dataclass(frozen=True)
class Apertium:
    """One direction of a language pair, such as `eng-spa`."""

    direction: str

    draws = 1
    block = 256

    def settings(self) -> dict[str, Any]:
        return {"engine": "apertium", "direction": self.direction, "release": _release(self.direction)}

    def __call__(self, sentences: Sequence[str], draws: Sequence[int] = ()) -> list[Translation]:
        """Raises MissingPartError where Apertium or the language pair is not installed, or it lost a line."""
        distinct = list(dict.fromkeys(sentences))
        shares = min(device.cores(), -(-len(distinct) // _LEAST_SHARE))
        if shares <= 1:
            made = self._translate(distinct)
        else:
            with ThreadPoolExecutor(shares) as threads:
                parts = threads.map(self._translate, (distinct[share::shares] for share in range(shares)))
                made = [Translation("")] * len(distinct)
                for share, part in enumerate(parts):
                    made[share::shares] = part
        found = dict(zip(distinct, made, strict=True))
        return [found[sentence] for sentence in sentences]

    def _translate(self, sentences: list[str]) -> list[Translation]:
        stages = _stages(self.direction)
        tagger = next((at for at, stage in enumerate(stages) if stage[0] == "apertium-tagger"), len(stages) - 1)
        segments = [_escape(sentence) for sentence in sentences]
        segments = _run(stages[:tagger], segments)
        segments = _tag(stages[tagger], segments)
        segments = _run(stages[tagger + 1 :], segments)
        return [_translation(segment) for segment in segments]


def _escape(sentence: str) -> bytes:
    """In Apertium's stream format, on one line; it translates plain quotes, and drops words beside curly ones."""
    line = _CONTROL.sub(" ", normalise(sentence)).strip()
    return _SPECIAL.sub(r"\\\1", line).encode("utf-8", "replace") + b"\n"


def _translation(segment: bytes) -> Translation:
    text = _ESCAPED.sub(r"\1", segment.decode("utf-8", "replace"))
    text = " ".join(text.split())  # words that are dropped leave their spaces
    return Translation(text, "ok" if text else "empty")


def _tag(stage: list[str], segments: list[bytes]) -> list[bytes]:
    """Disambiguate; a sentence with a class of ambiguity that the tagger was not trained on is tagged alone."""
    report = _pipe([[*stage, "--debug"]], segments).stderr.decode("utf-8", "replace")
    words = {word.encode("utf-8") for word in _UNTRAINED_WORD.findall(report)}
    if not words:
        return _run([stage], segments)
    units = re.compile(rb"\^(?:" + b"|".join(re.escape(word) for word in sorted(words)) + rb")/")
    alone = [at for at, segment in enumerate(segments) if units.search(segment)]
    together = sorted(set(range(len(segments))) - set(alone))
    tagged = dict(zip(together, _run([stage], [segments[at] for at in together]), strict=True))
    tagged |= {at: _run([stage], [segments[at]])[0] for at in alone}
    return [tagged[at] for at in range(len(segments))]


def _run(stages: list[list[str]], segments: list[bytes]) -> list[bytes]:
    """Segments through stages, which keep them apart by NUL."""
    if not segments or not stages:
        return segments
    output = _pipe(stages, segments).stdout.split(b"\0")
    kept, rest = output[: len(segments)], output[len(segments) :]
    if len(kept) < len(segments) or any(part.strip() for part in rest):
        names = " | ".join(stage[0] for stage in stages)
        raise MissingPartError(f"Apertium ({names}) gave {len(output)} parts for {len(segments)}: is it damaged?")
    return kept


def _pipe(stages: list[list[str]], segments: list[bytes]) -> subprocess.CompletedProcess[bytes]:
    command = " | ".join(shlex.join([*stage, "-z"]) for stage in stages)
    data = b"".join(segment + b"\0" for segment in segments)
    done = subprocess.run(["bash", "-c", "set -o pipefail; " + command], input=data, capture_output=True)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise MissingPartError(f"Apertium failed ({said[-1]}): install its packages again, or take another translator")
    return done


def _stages(direction: str) -> list[list[str]]:
    """The commands of a direction, as its mode file has them, with unknown words left unmarked."""
    path = MODES / f"{direction}.mode"
    if shutil.which("apertium") is None or not path.exists():
        modes = sorted(mode.stem for mode in MODES.glob("*.mode"))
        there = ", ".join(get_close_matches(direction, modes, n=5, cutoff=0.4) or modes[:10]) or "none"
        raise MissingPartError(
            f"Apertium's direction {direction!r} is not installed (there: {there}): apt-get install "
            f"apertium-{direction}, or the same with the languages in the other order; or take "
            "--translator marian:THERE,BACK"
        )
    options = {"$1": ["-n"], "$2": []}
    return [
        [part for word in shlex.split(stage) for part in options.get(word, [word])]
        for stage in path.read_text("utf-8").strip().split("|")
    ]


@cache
def _release(direction: str) -> str:
    """A digest of the programs' version and of the linguistic data: what decides a translation."""
    stages = _stages(direction)  # first, for it says what to install
    digest = hashlib.blake2b(digest_size=8)
    digest.update(subprocess.run(["apertium", "-V"], capture_output=True, check=True).stdout)
    for stage in stages:
        for part in stage:
            digest.update(Path(part).read_bytes() if part.startswith("/") else part.encode("utf-8"))
    return digest.hexdigest()
