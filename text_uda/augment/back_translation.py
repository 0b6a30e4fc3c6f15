"""Back-translation: to another language and back, sentence by sentence; what the filters reject has a reason."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from text_uda.errors import SettingsError
from text_uda.paraphrasing.filters import Filters, words
from text_uda.text.protected_spans import Protected, protect
from text_uda.text.sentences import change_rate
from text_uda.translate import Translation, Translator, parse
from text_uda.translate.device import Share
from translation_cache import Paraphrase

VERSION = 3  # of the algorithm: a change of what it makes is a new number
_ATTEMPT = 1 << 16  # draws of one attempt: samples beyond are refused


@dataclass(frozen=True, kw_only=True)
class BackTranslation:
    """Paraphrases by way of a pivot language, or of several in turn.

    Source: Sennrich et al. 2016 (arXiv 1511.06709); as an augmentation, Xie et al. 2019 (arXiv 1904.12848), Section
    3.1, who sample both ways at a temperature of 0.8 to 0.9; two pivots as in MixText (Chen et al. 2020, arXiv
    2004.12239). Where the paper takes the original in place of a bad translation, here it is drawn again, and then
    rejected with a reason: a text paired with itself carries no signal.

    Sample k goes by way of pivot k modulo their number. The samples of a sentence differ: sample k is the first of its
    draws that the filters let pass and that no lower sample is. Where there is none it has the reason that its first
    draw was rejected for, or is a `duplicate` where a lower sample has the same words.
    """

    translator: str = "apertium:eng-spa"
    """`apertium:PAIR`, `marian:THERE,BACK` or `ctranslate2:THERE,BACK`; several, for several pivots, joined by `+`."""

    temperature: float | None = None
    """Sample both ways at this temperature; None decodes greedily, or with beams."""

    top_k: int | None = None
    """Sample among the k likeliest tokens alone."""

    top_p: float | None = None
    """Sample among the fewest likeliest tokens that together have this probability."""

    beams: int = 1
    """Of beam search; sample k is then the k-th best translation there, and the k-th best of that back."""

    precision: str | None = None
    """Of the arithmetic; None is float32 for marian and int8 for ctranslate2, see there."""

    retries: int = 2
    """How often a sample that is rejected is drawn again, where one samples."""

    protect: tuple[str, ...] = ()
    """Names that have to survive, besides URLs, placeholders and the like, see `text_uda.text.protected_spans`."""

    seed: int = 0
    """Of the sampling."""

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= 100:
            raise SettingsError(f"retries={self.retries}: give 0 to 100")
        if isinstance(self.protect, str) or not all(name.strip() for name in self.protect):
            raise SettingsError("protect: give a list of names, none of them blank")
        _ = self._ways

    @cached_property
    def _ways(self) -> tuple[tuple[Translator, Translator], ...]:
        return self._translators(Share())

    def _translators(self, share: Share) -> tuple[tuple[Translator, Translator], ...]:
        return parse(
            self.translator,
            precision=self.precision,
            share=share,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            beams=self.beams,
            seed=self.seed,
        )

    @property
    def max_samples(self) -> int | None:
        """How many different samples of a text there can be; None is without limit."""
        of_ways = [None if there.draws is None else there.draws for there, _ in self._ways]
        limits = [draws * len(of_ways) + way for way, draws in enumerate(of_ways) if draws is not None]
        return min(limits, default=None)

    @property
    def batch_size(self) -> int:
        """Sentences that it is best given at once: two blocks, of which one is on its way there and one back."""
        return 2 * max(there.block for there, _ in self._ways)

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU is of use to it: Apertium has none."""
        return not all(part.strip().startswith("apertium:") for part in self.translator.split("+"))

    def start_worker(self, worker: int, workers: int) -> None:
        """Said once to each process that makes paraphrases: it takes its GPU, or its share of the cores."""
        self.__dict__["_ways"] = self._translators(Share(worker, workers))  # in place of the cached ones

    def settings(self) -> dict[str, Any]:
        ways = [{"there": there.settings(), "back": back.settings()} for there, back in self._ways]
        sampling = {} if self.temperature is None else {"retries": self.retries}
        names = {"protect": sorted(self.protect)} if self.protect else {}
        named = {"method": "back-translation", "version": VERSION, "unit": "sentence"}
        return named | (ways[0] if len(ways) == 1 else {"pivots": ways}) | sampling | names

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        most: dict[str, int] = {}  # the largest sample of each source: those below have a say in it
        for source, sample in zip(sources, samples, strict=True):
            most[source] = max(sample, most.get(source, 0))
        if (largest := max(most.values(), default=0)) >= _ATTEMPT:
            raise SettingsError(f"sample {largest}: there are {_ATTEMPT} of a text")
        drawn = {source: _Drawn(protect(source, self.protect), largest + 1) for source, largest in most.items()}
        asked = [(source, sample, 0) for source, of_source in drawn.items() for sample in of_source.asked(0)]
        while asked:
            for (source, sample, _), made in zip(asked, self._draw(asked, drawn), strict=True):
                drawn[source].attempts[sample].append(made)
            asked = [
                (source, sample, len(of_source.attempts[sample]))
                for source, of_source in drawn.items()
                for sample in of_source.asked(self._attempts)
            ]
        chosen = {source: of_source.chosen() for source, of_source in drawn.items()}
        return [chosen[source][sample] for source, sample in zip(sources, samples, strict=True)]

    @property
    def _attempts(self) -> int:
        return 1 if self.temperature is None else 1 + self.retries

    def _draw(self, asked: list[tuple[str, int, int]], drawn: "dict[str, _Drawn]") -> list[Paraphrase]:
        """A judged paraphrase for each (source, sample, attempt)."""
        made: list[Paraphrase] = [Paraphrase(None, "failed")] * len(asked)
        for number, (there, back) in enumerate(self._ways):
            rows = [row for row, (_, sample, _) in enumerate(asked) if sample % len(self._ways) == number]
            draws = [asked[row][1] // len(self._ways) + _ATTEMPT * asked[row][2] for row in rows]
            texts = [drawn[asked[row][0]].protected.text for row in rows]
            for row, (pivot, returned) in zip(rows, _there_and_back(there, back, texts, draws), strict=True):
                source, _, attempt = asked[row]
                made[row] = _judged(source, drawn[source].protected, pivot, returned, attempt)
        return made


class _Drawn:
    """What was drawn of a source so far, for each of its samples."""

    def __init__(self, protected: Protected, samples: int) -> None:
        self.protected = protected
        self.attempts: list[list[Paraphrase]] = [[] for _ in range(samples)]

    def asked(self, attempts: int) -> list[int]:
        """The samples that have none to choose yet and may be drawn again; at first all of them."""
        if self.protected.nothing_left:
            return []
        if not attempts:
            return list(range(len(self.attempts)))
        return [
            sample
            for sample, made in enumerate(self.chosen())
            if made.status != "ok" and len(self.attempts[sample]) < attempts
        ]

    def chosen(self) -> list[Paraphrase]:
        """Of each sample the first attempt that may pass and that no lower sample has taken."""
        if self.protected.nothing_left:
            reason = "unchanged" if self.protected.spans or self.protected.text.strip() else "empty"
            return [Paraphrase(None, reason)] * len(self.attempts)
        taken: set[tuple[str, ...]] = set()  # of the rejected too: a filter may accept them later
        chosen = []
        for attempts in self.attempts:
            good = [made for made in attempts if made.status == "ok" and made.text is not None]
            made = next((made for made in good if words(made.text or "") not in taken), attempts[0])
            if made.text is not None:
                if words(made.text) in taken and made.status != "unchanged":
                    made = Paraphrase(made.text, "duplicate", made.pivot, made.scores)
                taken.add(words(made.text))
            chosen.append(made)
        return chosen


def _there_and_back(
    there: Translator, back: Translator, texts: list[str], draws: list[int]
) -> Iterator[tuple[Translation, Translation | None]]:
    """Both translations of each; the second is None where the first is no good. A block goes back while the next one
    goes there."""
    blocks = [slice(start, start + there.block) for start in range(0, len(texts), there.block)]
    with ThreadPoolExecutor(1) as ahead:
        pivots = ahead.submit(there, texts[blocks[0]], draws[blocks[0]]) if blocks else None
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            assert pivots is not None
            found = pivots.result()
            if following is not None:
                pivots = ahead.submit(there, texts[following], draws[following])
            good = [row for row, pivot in enumerate(found) if pivot.status == "ok"]
            returned = back([found[row].text for row in good], [draws[block][row] for row in good])
            by_row = dict(zip(good, returned, strict=True))
            yield from ((pivot, by_row.get(row)) for row, pivot in enumerate(found))


def _judged(
    source: str, protected: Protected, pivot: Translation, returned: Translation | None, attempt: int
) -> Paraphrase:
    scores = {f"{name}_there": value for name, value in pivot.scores.items()}
    if attempt:
        scores["retries"] = attempt
    pivot_text = (protected.restore(pivot.text) or pivot.text) or None
    if returned is None:
        return Paraphrase(None, pivot.status, pivot_text, scores)
    scores |= {f"{name}_back": value for name, value in returned.scores.items()}
    cased = match_case(protected.text, returned.text)  # while stand-ins stand for what may not change
    restored = protected.restore(cased)
    text = cased if restored is None else restored
    scores |= {
        "change_rate": change_rate(source, text),
        "length_ratio": len(text.split()) / max(1, len(source.split())),
    }
    reason = None if returned.status == "ok" else returned.status
    reason = reason or ("protected" if restored is None else Filters().rejection(source, text))
    return Paraphrase(text or None, reason or "ok", pivot_text, scores)


def match_case(source: str, text: str) -> str:
    """The first letter as the source has it: engines begin every line with a capital, or none."""
    first = next((letter for letter in source if letter.isalpha()), "")
    begun = re.search(r"[^\W\d_]+", text)
    if begun is None or first.isupper() == begun[0][0].isupper() or first.isupper() == first.islower():
        return text
    word, at = begun[0], begun.start()
    if first.islower() and (word == "I" or word[1:2].isupper() or re.search(rf"\b{word}\b", source)):
        return text  # a pronoun, an acronym, or a name of the source keeps its capital
    return text[:at] + (text[at].upper() if first.isupper() else text[at].lower()) + text[at + 1 :]
