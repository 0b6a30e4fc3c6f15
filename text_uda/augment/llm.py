"""Paraphrases by a language model that follows instructions: on a server, or in this process."""

import re
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from text_uda.augment.word_edit import check_protect
from text_uda.errors import SettingsError
from text_uda.generate.chat_server import ChatServer, address_of
from text_uda.generate.in_threads import in_threads
from text_uda.generate.prompt import PROMPT_FOR_ONE, PROMPT_FOR_SEVERAL, check_template, fill_in
from text_uda.generate.replies import read_reply
from text_uda.generate.request import Reply, Request, Usage
from text_uda.keyed_random import keyed_seed
from text_uda.paraphrasing.filters import Filters, normalised_words
from text_uda.ranges import Count, Fraction, Positive, WholeNumber, check_ranges
from text_uda.text.protected_spans import protect
from text_uda.text.sentences import change_rate
from translation_cache import Job, Paraphrase

if TYPE_CHECKING:
    from text_uda.translate.device import WorkerShare

_Row = tuple[str, list[int]]  # a source and the samples that it lacks, ascending
_SERVER_FAULTS = ("no-answer", "malformed", "invalid-request")


@dataclass(frozen=True, kw_only=True)
class LanguageModel(Job):
    """Rewrites a text in other words by a language model that follows instructions.

    As an augmentation: Dai et al. 2023, "AugGPT" (arXiv 2302.13007), who ask a chat model for rephrasings of each
    training text. Departures: a paraphrase is checked for numbers, negation, language, length and protected spans, as a
    back-translation is, and what a model says about its answer is removed, or the answer rejected.

    Sample s is number s modulo `per_request` of the reply to request s // per_request. The samples of a text that are
    made together differ: a sample that is rejected, or equals a lower one, is asked for again. If none passes, it has
    the reason of its first attempt, or `duplicate`. No sample depends on a higher one.

    In this process a reply depends on (settings, text, sample) and not on the batch, except for float rounding, which
    in 16 bits, the precision of most models, can change a token and with it the rest of the reply. A server gets a seed
    with each request, and promises nothing: its version, its batches and its hardware may all change the reply. The
    cache keeps what it has made. The address of the server is no part of the settings of a row, so the cache takes two
    models of one name for the same: use a cache for each.
    """

    model: str = ""
    """Name of the model as the server knows it; without a server, a hub id or a folder."""

    url: str | None = None
    """Address of a server with OpenAI's interface, such as http://localhost:8000/v1. None: the model runs in this
    process. Its key is read from TEXT_UDA_LLM_KEY, and for api.openai.com also from OPENAI_API_KEY."""

    prompt: str | None = None
    """Template of the prompt; {text} is the text and {count} the number of paraphrases. None: a prompt that asks to
    keep meaning, opinion, negation, names, numbers and language."""

    per_request: Count = 1
    """Paraphrases that a request asks for."""

    temperature: Positive = 0.8
    """Of the sampling."""

    top_p: Fraction | None = None
    """Sample among the fewest likeliest tokens that together have this probability."""

    max_tokens: Count | None = None
    """Most tokens of a reply. None: 64, and one for each byte of the text and paraphrase."""

    retries: WholeNumber = 2
    """How often a rejected sample is asked for again, with another seed."""

    protect: tuple[str, ...] = ()
    """Names that a paraphrase has to keep, besides URLs, placeholders and the like."""

    seed: int = 0
    """Of the sampling; a server may ignore it."""

    concurrency: Count = 8
    """Requests at a time."""

    timeout_s: Positive = 300.0
    """Time for a reply; a slower one is asked for again."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check_protect(self.protect)
        if not self.model.strip():
            raise SettingsError("llm needs the name of a model: give --model NAME (in Python, model=...)")
        if self.temperature > 5:
            raise SettingsError(f"temperature={self.temperature:g}: give a number above 0, at most 5")
        if self.retries > 100 or self.per_request > 50 or self.concurrency > 1000:
            raise SettingsError("give at most 100 retries, 50 paraphrases per request and 1,000 requests at a time")
        check_template(self._template, self.per_request)
        if self.url is not None:
            address_of(self.url)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: workers make their own connections."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    @property
    def _template(self) -> str:
        return self.prompt or (PROMPT_FOR_ONE if self.per_request == 1 else PROMPT_FOR_SEVERAL)

    @cached_property
    def usage(self) -> Usage:
        """Replies and tokens of this process so far."""
        return Usage()

    @cached_property
    def _share(self) -> "WorkerShare":
        from text_uda.translate.device import WorkerShare

        return WorkerShare()

    @property
    def batch_size(self) -> int:
        return 64

    @property
    def commit_every_s(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Short for a server, whose replies may cost money."""
        return 20.0 if self.url is None else 1.0

    @property
    def uses_gpu(self) -> bool:
        return self.url is None

    def start_worker(self, worker: int, workers: int) -> None:
        """Assign the process its GPU, or its share of the cores."""
        from text_uda.translate.device import WorkerShare

        object.__setattr__(self, "_share", WorkerShare(worker, workers))  # replaces the cached one

    def settings(self) -> dict[str, Any]:
        if self.url is None:
            from text_uda.generate.local_model import settings_of

            engine = {"engine": "transformers"} | settings_of(self.model)
        else:
            engine = {"engine": "openai-server", "model": self.model}
        names = {"protect": sorted(self.protect)} if self.protect else {}
        return {
            "method": "llm",
            "version": 1,
            "unit": "text",
            **engine,
            "prompt": self._template,
            "per_request": self.per_request,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "retries": self.retries,
            "seed": self.seed,
            **names,
        }

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError if the server or the model cannot be used."""
        paraphrases = {
            (source, sample): paraphrase
            for (of_sources, of_samples), of_batch in self.stream([(list(sources), list(samples))])
            for source, sample, paraphrase in zip(of_sources, of_samples, of_batch, strict=True)
        }
        return [paraphrases[source, sample] for source, sample in zip(sources, samples, strict=True)]

    def stream(
        self, batches: Iterable[tuple[list[str], list[int]]]
    ) -> Iterator[tuple[tuple[list[str], list[int]], list[Paraphrase]]]:
        """The rows of each text as soon as a server has answered its requests; of a local model, batch by batch."""
        if self.url is None:
            finished = (row for batch in batches for row in self._in_process(_rows(batch)))
        else:
            finished = self._on_server(row for batch in batches for row in _rows(batch))
        for row in finished:
            if row is None:
                yield ([], []), []  # the caller can commit what it has
                continue
            (source, samples), paraphrases = row
            yield ([source] * len(samples), samples), paraphrases

    def _on_server(self, rows: Iterator[_Row]) -> Iterator[tuple[_Row, list[Paraphrase]] | None]:
        assert self.url is not None
        stop = threading.Event()
        server = ChatServer(self.url, self.model, self.temperature, self.top_p, self.timeout_s, self.usage, stop)

        def work(row: _Row) -> list[Paraphrase]:
            conversation, reply = self._conversation(*row), None
            try:
                while True:
                    reply = server(conversation.send(reply))  # pyright: ignore[reportArgumentType]  None starts it
            except StopIteration as end:
                return end.value

        return in_threads(work, rows, self.concurrency, stop, idle_s=1.0)

    def _in_process(self, rows: list[_Row]) -> Iterator[tuple[_Row, list[Paraphrase]]]:
        """The requests of all texts together. Lower samples are made too, because a sample differs from them."""
        from text_uda.generate.local_model import LocalModel

        model = LocalModel(
            self.model, temperature=self.temperature, top_p=self.top_p, usage=self.usage, share=self._share
        )
        conversations = {
            number: self._conversation(source, list(range(samples[-1] + 1)))
            for number, (source, samples) in enumerate(rows)
        }
        replies: dict[int, Any] = dict.fromkeys(conversations)  # None starts a conversation
        while replies:
            requests: dict[int, Request] = {}
            for number, reply in replies.items():
                try:
                    requests[number] = conversations[number].send(reply)
                except StopIteration as end:
                    source, samples = rows[number]
                    yield (source, samples), [end.value[sample] for sample in samples]
            replies = dict(zip(requests, model(list(requests.values())), strict=True)) if requests else {}

    def _conversation(self, source: str, samples: list[int]) -> Generator[Request, Reply, list[Paraphrase]]:
        """Yields requests, is sent their replies, and returns the paraphrases of a text."""
        protected = protect(source, self.protect)
        if not any(map(str.isalnum, source)):
            return [Paraphrase(None, "empty")] * len(samples)
        if protected.nothing_left:
            return [Paraphrase(None, "unchanged")] * len(samples)
        by_sample: dict[int, Paraphrase] = {}
        tokens: dict[int, float] = {}  # of all attempts of a sample

        def lacks(sample: int) -> bool:
            return sample in samples and (sample not in by_sample or by_sample[sample].status != "ok")

        numbers = sorted({sample // self.per_request for sample in samples})
        for attempt, number in product(range(1 + self.retries), numbers):
            if any(lacks(number * self.per_request + place) for place in range(self.per_request)):
                reply = yield self._request(source, number, attempt)
                if reply.status in _SERVER_FAULTS:  # which was asked several times already
                    faulty = dict.fromkeys(samples, Paraphrase(None, reply.status))
                    return _with_tokens(samples, faulty | by_sample, tokens)
                for sample, paraphrase in self._judged(source, reply, number, attempt):
                    if lacks(sample):
                        tokens[sample] = tokens.get(sample, 0) + reply.generated_tokens / self.per_request
                        _enter(by_sample, sample, paraphrase)
        return _with_tokens(samples, by_sample, tokens)

    def _request(self, source: str, number: int, attempt: int) -> Request:
        prompt = fill_in(self._template, source, self.per_request)
        max_tokens = self.max_tokens
        if max_tokens is None:
            max_tokens = 64 + self.per_request * len(source.encode("utf-8", "replace"))
        return Request(prompt, keyed_seed("llm", self.seed, prompt, number, attempt) % (1 << 31), max_tokens)

    def _judged(self, source: str, reply: Reply, number: int, attempt: int) -> Iterator[tuple[int, Paraphrase]]:
        """The samples of a reply, each with its status."""
        answers = read_reply(reply.text, source, self.per_request)
        if reply.status == "truncated":  # the last one that is there has no end
            complete = max(0, sum(answer.status != "empty" for answer in answers) - 1)
            answers = [
                answer if place < complete else answer._replace(status="truncated")
                for place, answer in enumerate(answers)
            ]
        for place, answer in enumerate(answers):
            status = "refused" if reply.status == "refused" else answer.status
            scores: dict[str, float] = {"retries": attempt} if attempt else {}
            if answer.text is not None:
                scores |= {
                    "change_rate": change_rate(source, answer.text),
                    "length_ratio": len(answer.text.split()) / max(1, len(source.split())),
                }
                if status == "ok":
                    lost = self._lacks_names(source, answer.text)  # first, because no filter on reading can tell
                    status = "protected" if lost else Filters().rejection(source, answer.text) or "ok"
            yield number * self.per_request + place, Paraphrase(answer.text, status, scores=scores)

    def _lacks_names(self, source: str, text: str) -> bool:
        patterns = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in self.protect]
        return any(len(re.findall(name, text)) < len(re.findall(name, source)) for name in patterns)


def _enter(by_sample: dict[int, Paraphrase], sample: int, paraphrase: Paraphrase) -> None:
    """Enter an attempt at a sample. It has to differ from the lower samples alone, so none depends on a higher one."""
    if paraphrase.status == "ok":
        words = normalised_words(paraphrase.text or "")
        equal = [
            other
            for other, accepted in by_sample.items()
            if accepted.status == "ok" and normalised_words(accepted.text or "") == words
        ]
        if any(other < sample for other in equal):
            paraphrase = replace(paraphrase, status="duplicate")
        else:
            for other in equal:
                by_sample[other] = replace(by_sample[other], status="duplicate")
    if sample not in by_sample or paraphrase.status == "ok":
        by_sample[sample] = paraphrase


def _with_tokens(samples: list[int], by_sample: dict[int, Paraphrase], tokens: dict[int, float]) -> list[Paraphrase]:
    """The paraphrases, each with the tokens of all its attempts among the scores."""
    return [
        replace(by_sample[sample], scores={"generated_tokens": tokens[sample], **by_sample[sample].scores})
        if sample in tokens
        else by_sample[sample]
        for sample in samples
    ]


def _rows(batch: tuple[list[str], list[int]]) -> list[_Row]:
    """The samples of each source, which are adjacent."""
    rows: dict[str, list[int]] = {}
    for source, sample in zip(*batch, strict=True):
        rows.setdefault(source, []).append(sample)
    return [(source, sorted(set(samples))) for source, samples in rows.items()]
