"""Back-translation: to another language and back, sentence by sentence; what the filters reject has a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.filters import Filters
from text_uda.text import change_rate
from text_uda.translate import Translation, parse
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number


@dataclass(frozen=True, kw_only=True)
class BackTranslation:
    """Paraphrases by way of a pivot language.

    Source: Sennrich et al. 2016 (arXiv 1511.06709); as an augmentation, Xie et al. 2019 (arXiv 1904.12848), Section
    3.1, who sample both ways at a temperature of 0.8 to 0.9. Where the paper takes the original in place of a bad
    translation, here it is rejected with a reason: a text paired with itself carries no signal.
    """

    translator: str = "apertium:eng-spa"
    """`apertium:PAIR`, or `marian:MODEL,MODEL` (there and back)."""

    temperature: float | None = None
    """Sample both ways (marian) at this temperature; None decodes greedily."""

    seed: int = 0
    """Of the sampling."""

    def __post_init__(self) -> None:
        parse(self.translator, temperature=self.temperature)

    @property
    def deterministic(self) -> bool:
        """Is every sample of a text the same?"""
        return self._translators()[0].deterministic

    def settings(self) -> dict[str, Any]:
        there, back = self._translators()
        return {
            "method": "back-translation",
            "version": VERSION,
            "unit": "sentence",
            "there": there.settings(),
            "back": back.settings(),
        } | ({} if self.deterministic else {"seed": self.seed})

    def _translators(self):
        return parse(self.translator, temperature=self.temperature, seed=self.seed)

    def __call__(self, sources: Sequence[str], sample: int) -> list[Paraphrase]:
        there, back = self._translators()
        pivots = there(sources, sample)
        returned = back([pivot.text for pivot in pivots], sample)
        return [self._judge(source, pivot, text) for source, pivot, text in zip(sources, pivots, returned, strict=True)]

    def _judge(self, source: str, pivot: Translation, returned: Translation) -> Paraphrase:
        text = match_case(source, returned.text)
        scores = {
            "change_rate": change_rate(source, text),
            "length_ratio": len(text.split()) / max(1, len(source.split())),
        }
        for way, translation in (("there", pivot), ("back", returned)):
            scores |= {f"{name}_{way}": value for name, value in translation.scores.items()}
        failed = next((part.status for part in (pivot, returned) if part.status != "ok"), None)
        reason = failed or Filters().rejection(source, text)  # read_paraphrases may set others
        return Paraphrase(text or None, reason or "ok", pivot.text or None, scores)


def match_case(source: str, text: str) -> str:
    """The first letter as the source has it: engines begin every line with a capital, or none."""
    first = next((letter for letter in source if letter.isalpha()), "")
    place = next((index for index, letter in enumerate(text) if letter.isalpha()), None)
    if not first or place is None or first.isupper() == text[place].isupper():
        return text
    if first.islower() and (text[place : place + 2] == "I " or text[place + 1 : place + 2].isupper()):
        return text  # a pronoun or an acronym keeps its capital
    return text[:place] + (text[place].upper() if first.isupper() else text[place].lower()) + text[place + 1 :]
