"""Back-translation, sentence by sentence: to a pivot language and back; filters reject translations with a reason."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from text_uda.augment.words import words_in
from text_uda.errors import SettingsError
from text_uda.paraphrasing.filters import Filters, normalised_words
from text_uda.text.language import ANY, language_versions
from text_uda.text.protected_spans import Protected, protect
from text_uda.text.sentences import change_rate
from text_uda.text.typography import plain, restore_marks
from text_uda.translate import Translation, Translator, parse, source_language
from text_uda.translate.device import WorkerShare
from translation_cache import Job, Paraphrase

DRAWS_PER_ATTEMPT = 1 << 16  # draw number = sample number + attempt * this; larger samples are refused


@dataclass(frozen=True, kw_only=True)
class BackTranslation(Job):
    """Paraphrases by translation to a pivot language and back; with several pivots, the samples alternate.

    Source: Sennrich et al. 2016 (arXiv 1511.06709); as an augmentation, Xie et al. 2019 (arXiv 1904.12848), Section
    3.1, who sample in both directions at a temperature of 0.8 to 0.9; two pivots as in MixText (Chen et al. 2020, arXiv
    2004.12239). The paper replaces a bad translation by the original. Here it is drawn again, and finally rejected with
    a reason, because a text paired with itself carries no signal.

    A sentence in another language than the one that the translators read is `source-language`, not translated; nor is
    any other sentence of its text, unless one of them is clearly in the translators' language.

    Sample k uses pivot k modulo their number. The samples of a sentence differ: sample k is its first draw that passes
    the filters and equals no lower sample. If there is none, it gets the rejection reason of its first draw, or
    `duplicate` if a lower sample has the same words.
    """

    translator: str = "apertium:eng-spa"
    """`apertium:PAIR`, `marian:FORWARD,BACK` or `ctranslate2:FORWARD,BACK`; several pivots are joined by `+`."""

    temperature: float | None = None
    """Sample in both directions at this temperature; None decodes greedily, or with beams."""

    top_k: int | None = None
    """Sample among the k likeliest tokens."""

    top_p: float | None = None
    """Sample among the fewest likeliest tokens that together have this probability."""

    beams: int = 1
    """Beams of the search; sample k is the k-th best back-translation of the k-th best translation."""

    precision: str | None = None
    """Of the arithmetic; None is float32 for marian and int8 for ctranslate2."""

    retries: int = 2
    """How often a rejected sample is drawn again, if a temperature is set."""

    protect: tuple[str, ...] = ()
    """Names to keep, besides URLs, placeholders and the like; see `text_uda.text.protected_spans`."""

    seed: int = 0
    """Of the sampling."""

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= 100:
            raise SettingsError(f"retries={self.retries}: give 0 to 100")
        if isinstance(self.protect, str) or not all(name.strip() for name in self.protect):
            raise SettingsError("protect: give a list of names, none of them blank")
        _ = self._round_trips

    @cached_property
    def _round_trips(self) -> tuple[tuple[Translator, Translator], ...]:
        return self._translators(WorkerShare())

    def _translators(self, share: WorkerShare) -> tuple[tuple[Translator, Translator], ...]:
        """For each pivot, the translators to it and back."""
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
        draws_of_pivots = [forward.draws for forward, _ in self._round_trips]
        pivots = len(draws_of_pivots)
        limits = [draws * pivots + pivot for pivot, draws in enumerate(draws_of_pivots) if draws is not None]
        return min(limits, default=None)

    @property
    def batch_size(self) -> int:
        """Two blocks of sentences: one is translated to the pivot while the other returns."""
        return 2 * max(forward.block for forward, _ in self._round_trips)

    @property
    def uses_gpu(self) -> bool:
        """Every engine but Apertium uses one."""
        return not all(part.strip().startswith("apertium:") for part in self.translator.split("+"))

    def start_worker(self, worker: int, workers: int) -> None:
        """Assign the process its GPU, or its share of the cores."""
        object.__setattr__(
            self, "_round_trips", self._translators(WorkerShare(worker, workers))
        )  # replaces the cached one

    def settings(self) -> dict[str, Any]:
        round_trips = [{"there": forward.settings(), "back": back.settings()} for forward, back in self._round_trips]
        engines = round_trips[0] if len(round_trips) == 1 else {"pivots": round_trips}
        sampling = {} if self.temperature is None else {"retries": self.retries}
        names = {"protect": sorted(self.protect)} if self.protect else {}
        method = {"method": "back-translation", "version": 4, "unit": "sentence"}
        return method | engines | sampling | names | language_versions(self.texts_language)

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        largest_sample: dict[str, int] = {}  # a sample must differ from all lower ones, so those are drawn too
        for source, sample in zip(sources, samples, strict=True):
            largest_sample[source] = max(sample, largest_sample.get(source, 0))
        if (largest := max(largest_sample.values(), default=0)) >= DRAWS_PER_ATTEMPT:
            raise SettingsError(f"sample {largest}: a text has at most {DRAWS_PER_ATTEMPT} samples")
        attempts = {
            source: _Attempts(protect(source, self.protect), largest + 1, foreign=self._in_other_language(source))
            for source, largest in largest_sample.items()
        }
        max_attempts = 1 if self.temperature is None else 1 + self.retries
        while draws := self._missing_draws(attempts, max_attempts):
            for draw, paraphrase in zip(draws, self._translate(draws, attempts), strict=True):
                attempts[draw.source].by_sample[draw.sample].append(paraphrase)
        selected = {source: of_source.select() for source, of_source in attempts.items()}
        return [selected[source][sample] for source, sample in zip(sources, samples, strict=True)]

    @cached_property
    def texts_language(self) -> str:
        """The language that all forward translators read, `any` if it is unknown or they differ."""
        languages = {source_language(forward) for forward, _ in self._round_trips}
        return languages.pop() if len(languages) == 1 else ANY

    def _in_other_language(self, source: str) -> bool:
        if self.texts_language == ANY or not source.strip():
            return False
        return words_in(source, self.texts_language) is None

    def _missing_draws(self, attempts: "dict[str, _Attempts]", max_attempts: int) -> "list[_Draw]":
        return [
            _Draw(source, sample, len(of_source.by_sample[sample]))
            for source, of_source in attempts.items()
            for sample in of_source.missing_samples(max_attempts)
        ]

    def _translate(self, draws: "list[_Draw]", attempts: "dict[str, _Attempts]") -> list[Paraphrase]:
        """A paraphrase for each draw, judged by the filters."""
        pivots = len(self._round_trips)
        paraphrases: list[Paraphrase] = [Paraphrase(None, "failed")] * len(draws)
        for pivot, (forward, back) in enumerate(self._round_trips):
            rows = [row for row, draw in enumerate(draws) if draw.sample % pivots == pivot]
            numbers = [draws[row].sample // pivots + DRAWS_PER_ATTEMPT * draws[row].attempt for row in rows]
            texts = [plain(attempts[draws[row].source].protected.text) for row in rows]
            translations = _back_translate(forward, back, texts, numbers)
            for row, (translation, back_translation) in zip(rows, translations, strict=True):
                source, _, attempt = draws[row]
                protected = attempts[source].protected
                paraphrases[row] = _judge(source, protected, translation, back_translation, attempt)
        return paraphrases


class _Draw(NamedTuple):
    source: str
    sample: int
    attempt: int


class _Attempts:
    """The paraphrases of a source so far: for each sample, its attempts in order."""

    def __init__(self, protected: Protected, samples: int, *, foreign: bool) -> None:
        self.protected = protected
        reason = "unchanged" if protected.spans or protected.text.strip() else "empty"
        self.reason = "source-language" if foreign else reason if protected.nothing_left else None
        """Why the source is not translated; None if it is."""
        self.by_sample: list[list[Paraphrase]] = [[] for _ in range(samples)]

    def missing_samples(self, max_attempts: int) -> list[int]:
        """The samples to draw: all before the first attempt, later those without a usable paraphrase."""
        if self.reason:
            return []
        if not self.by_sample[0]:
            return list(range(len(self.by_sample)))
        return [
            sample
            for sample, paraphrase in enumerate(self.select())
            if paraphrase.status != "ok" and len(self.by_sample[sample]) < max_attempts
        ]

    def select(self) -> list[Paraphrase]:
        """For each sample, its first attempt that passes the filters and that no lower sample has taken."""
        if self.reason:
            return [Paraphrase(None, self.reason)] * len(self.by_sample)
        words_so_far: set[tuple[str, ...]] = set()  # of the rejected too: other filters may accept them later
        selected = []
        for attempts in self.by_sample:
            usable = (attempt for attempt in attempts if attempt.status == "ok" and attempt.text is not None)
            paraphrase = next(
                (attempt for attempt in usable if normalised_words(attempt.text or "") not in words_so_far), attempts[0]
            )
            if paraphrase.text is not None:
                words = normalised_words(paraphrase.text)
                if words in words_so_far and paraphrase.status != "unchanged":
                    paraphrase = Paraphrase(paraphrase.text, "duplicate", paraphrase.pivot, paraphrase.scores)
                words_so_far.add(words)
            selected.append(paraphrase)
        return selected


def _back_translate(
    forward: Translator, back: Translator, texts: list[str], draws: list[int]
) -> Iterator[tuple[Translation, Translation | None]]:
    """The translation and the back-translation of each text; the second is None if the first failed.

    While a block is translated back, a thread translates the next block to the pivot language.
    """
    blocks = [slice(start, start + forward.block) for start in range(0, len(texts), forward.block)]
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(forward, texts[blocks[0]], draws[blocks[0]]) if blocks else None
        for block, next_block in zip(blocks, [*blocks[1:], None], strict=True):
            assert future is not None
            translations = future.result()
            if next_block is not None:
                future = thread.submit(forward, texts[next_block], draws[next_block])
            ok = [row for row, translation in enumerate(translations) if translation.status == "ok"]
            back_translations = back([translations[row].text for row in ok], [draws[block][row] for row in ok])
            by_row = dict(zip(ok, back_translations, strict=True))
            yield from ((translation, by_row.get(row)) for row, translation in enumerate(translations))


def _judge(
    source: str, protected: Protected, translation: Translation, back_translation: Translation | None, attempt: int
) -> Paraphrase:
    scores = {f"{name}_there": value for name, value in translation.scores.items()}
    if attempt:
        scores["retries"] = attempt
    restored_pivot = protected.restore(translation.text)
    pivot = (restored_pivot or translation.text) or None
    if back_translation is None:
        return Paraphrase(None, translation.status, pivot, scores)
    scores |= {f"{name}_back": value for name, value in back_translation.scores.items()}
    marked = restore_marks(protected.text, back_translation.text)
    cased = match_case(protected.text, marked)  # before restoring the spans, so that they stay
    restored = protected.restore(cased)
    text = cased if restored is None else restored
    scores |= {
        "change_rate": change_rate(source, text),
        "length_ratio": len(text.split()) / max(1, len(source.split())),
    }
    reason = None if back_translation.status == "ok" else back_translation.status
    lost = restored is None or restored_pivot is None  # a stand-in that only the way back has is made up
    reason = reason or ("protected" if lost else Filters().rejection(source, text))
    return Paraphrase(text or None, reason or "ok", pivot, scores)


def match_case(source: str, text: str) -> str:
    """`text` with the first letter in the case of the source's: engines capitalise every line, or none."""
    first_letter = next((letter for letter in source if letter.isalpha()), "")
    match = re.search(r"[^\W\d_]+", text)
    caseless = first_letter.isupper() == first_letter.islower()
    if match is None or caseless or first_letter.isupper() == match[0][0].isupper():
        return text
    word, start = match[0], match.start()
    if first_letter.islower() and (word == "I" or word[1:2].isupper() or re.search(rf"\b{word}\b", source)):
        return text  # a pronoun, an acronym, or a name of the source keeps its capital
    return text[:start] + (text[start].upper() if first_letter.isupper() else text[start].lower()) + text[start + 1 :]
