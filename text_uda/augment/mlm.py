"""Contextual synonyms: words replaced by what a masked language model expects in their place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_uda.augment.per_text import check_protect, check_rate, protected
from text_uda.augment.words import STOP_WORDS, Edit, Word, edited, in_case_of, with_articles, words
from text_uda.errors import SettingsError
from text_uda.keyed_random import Key
from translation_cache import Paraphrase, fingerprint

VERSION = 1  # of the algorithm: a change of what it makes is a new number
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class MaskedLanguageModel:
    """Replaces words by draws from p(w | S without the words replaced), of a model with a masked-language-model head:

        p(w) ~ exp(logits[w] / temperature), w among the top_k likeliest that may stand there

    Source: Kobayashi 2018, "Contextual Augmentation" (arXiv 1805.06201), Section 2.2 (tau -> temperature), and with
    BERT's masks Wu et al. 2018 (arXiv 1812.06705), Section 3.2. It departs from them

    - in having no label as a condition, for the texts have none: a model expects `bad` where `good` stood. Name the
      words that carry the label in `protect`; they are neither replaced nor written;
    - in that a word of several pieces becomes one mask, and is replaced by a word of one piece;
    - in what may stand there: a whole word of letters, another one than the original, no stop word and no negation, and
      no name (a capital) but where the original has a capital. Stop words, negations and names themselves stay.

    All masks of a text are predicted in one forward. A word that the tokenizer does not begin as one stays: after a
    quotation mark, and the first of a text, where a byte-level tokenizer (RoBERTa) knows words by the space before.

    What is drawn depends on (settings, text, sample) and no batch, but for float rounding: where a number falls within
    rounding of the edge between two words. In bfloat16 and float16 that is more often so.
    """

    model: str = "google-bert/bert-base-uncased"
    """A hub id or a folder of a model with its tokenizer and its masked-language-model head."""

    rate: float = 0.15
    """Share of the words that may be replaced to replace, in (0, 1]; at least one where there is any."""

    top_k: int = 10
    """Draw among so many likeliest words."""

    temperature: float = 1.0
    """Above 1 the draws are more even, below 1 likelier words are drawn."""

    precision: Precision = "float32"
    """Of the arithmetic; bfloat16 and float16 are faster on a GPU."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone and never to write; each form by itself, in any case."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if self.top_k < 1:
            raise SettingsError(f"top_k={self.top_k}: give 1 or more")
        if not 0.01 <= self.temperature <= 100:
            raise SettingsError(f"temperature={self.temperature}: give a number from 0.01 to 100")
        if self.precision not in get_args(Precision):
            raise SettingsError(f"precision={self.precision!r}: take one of {', '.join(get_args(Precision))}")
        check_protect(self.protect)

    @property
    def batch_size(self) -> int:
        """Texts that it is best given at once: they are sorted by length."""
        from text_uda.translate import device

        return device.block()

    uses_gpu = True

    def start_worker(self, worker: int, workers: int) -> None:
        """Said once to each process that makes paraphrases: it takes its GPU, or its share of the cores."""
        from text_uda.translate import device

        device.start_worker(worker, workers)

    def settings(self) -> dict[str, Any]:
        return {
            "method": "mlm",
            "version": VERSION,
            "unit": "text",
            **_opened(self.model).identity,
            "precision": self.precision,
            "rate": self.rate,
            "top_k": self.top_k,
            "temperature": self.temperature,
            "seed": self.seed,
            "protect": sorted(protected(self.protect)),
        }

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError where the model cannot be opened, or has no tokenizer or head."""
        model, key = _opened(self.model), Key(fingerprint(self.settings()))
        kept = protected(self.protect)
        read = {source: _read(source, model, kept) for source in dict.fromkeys(sources)}
        rows: list[list[_Mask]] = []
        for source, sample in zip(sources, samples, strict=True):
            draws, of_text = key.draws(source, sample), read[source]
            count = min(len(of_text.places), max(1, round(self.rate * len(of_text.places))))
            chosen = [of_text.places[index] for index in draws.distinct(len(of_text.places), count)]
            rows.append([_Mask(place, draws.uniform()) for place in chosen])
        self._fill([read[source] for source in sources], rows, model, kept)
        return [_written(source, read[source].words, masks, model) for source, masks in zip(sources, rows, strict=True)]

    def _fill(self, texts: "list[_Text]", rows: "list[list[_Mask]]", model: "_Model", kept: frozenset[str]) -> None:
        """Let every mask draw its token."""
        from text_uda.translate import device
        from text_uda.translate.token_sampling import draw

        if not any(rows):
            return
        network = model.network(device.torch_device(), self.precision)
        windows = [
            window
            for text, masks in zip(texts, rows, strict=True)
            if masks
            for window in _windows(text, masks, model, network.room)
        ]
        forbidden = network.on_device(model.forbidden(kept))  # (2, V): where a word in lower case stands, or not

        def work(batch: list[int]) -> tuple[list[int], list[bool]]:
            masks = [mask for number in batch for mask in windows[number].masks]
            logits = network.logits([windows[number] for number in batch])  # (M, V)
            capital = network.on_device(np.array([mask.place.word.text[0].isupper() for mask in masks], dtype=np.int64))
            logits.masked_fill_(forbidden[capital], float("-inf"))
            own = [(row, token) for row, mask in enumerate(masks) for token in model.spelled(mask.place.word.lower)]
            if own:
                row, token = network.on_device(np.array(own, dtype=np.int64)).T
                logits[row, token] = float("-inf")
            uniform = network.on_device(np.array([mask.uniform for mask in masks]))
            drawn = draw(logits, uniform[:, None], temperature=self.temperature, top_k=self.top_k)
            return drawn.tokens.tolist(), drawn.log_probability.isfinite().tolist()

        lengths = [len(window.ids) for window in windows]
        for batch, (tokens, numbers) in network.budget.run(lengths, [1] * len(windows), work):
            masks = (mask for number in batch for mask in windows[number].masks)
            for mask, token, is_number in zip(masks, tokens, numbers, strict=True):
                mask.token = token if is_number else None


# --- texts and their masks --------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A word that may be replaced, and its pieces: from `first` up to `last` among the tokens of the text."""

    word: Word
    first: int
    last: int


class _Text(NamedTuple):
    words: list[Word]
    ids: np.ndarray  # (T,) int64, without special tokens
    places: list[_Place]


@dataclass(slots=True)
class _Mask:
    place: _Place
    uniform: float
    token: int | None = None
    """That was drawn; None where the logits are no numbers."""


@dataclass(slots=True)
class _Window:
    """What the model reads at once: tokens, special ones around them, and where the masks stand that it predicts."""

    ids: np.ndarray
    masks: list[_Mask] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


def _read(text: str, model: "_Model", kept: frozenset[str]) -> _Text:
    found = words(text)
    free = [word for word in found if word.plain and word.lower not in STOP_WORDS and word.lower not in kept]
    if not free:
        return _Text(found, np.empty(0, dtype=np.int64), [])
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = np.asarray(encoded["input_ids"], dtype=np.int64)
    spans = np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    starts, ends = spans.T
    places = []
    for word in free:
        first = int(np.searchsorted(ends, word.start, side="right"))
        last = int(np.searchsorted(starts, word.end, side="left"))
        if first == last or starts[first] < word.start - 1 or ends[last - 1] != word.end:
            continue  # its tokens are those of other characters too
        begins = model.begins[ids[first]] and not text[starts[first] : word.start].strip()
        if begins and model.has_another(word, kept):
            places.append(_Place(word, first, last))
    return _Text(found, ids, places)


def _windows(text: _Text, masks: list[_Mask], model: "_Model", room: int) -> list[_Window]:
    """The text with its masks; one of more than `room` tokens in windows, each half over the one before.

    A mask is predicted where it has a quarter of a window on each side, or the text ends. Time is linear.
    """
    ids, at, last = [], [], 0
    for mask in masks:
        ids += [text.ids[last : mask.place.first], [model.tokenizer.mask_token_id]]
        at.append(sum(map(len, ids[-2:])) + (at[-1] if at else -1))
        last = mask.place.last
    tokens = np.concatenate([*ids, text.ids[last:]]).astype(np.int64)
    found: dict[int, _Window] = {}
    for mask, position in zip(masks, at, strict=True):
        start = (position - room // 4) // (room // 2) * (room // 2)
        start = max(0, min(start, len(tokens) - room))
        if start not in found:
            inside = tokens[start : start + room]
            found[start] = _Window(np.concatenate([model.before, inside, model.after]))
        found[start].masks.append(mask)
        found[start].positions.append(position - start + len(model.before))
    return list(found.values())


def _written(source: str, found: list[Word], masks: list[_Mask], model: "_Model") -> Paraphrase:
    if not masks:
        return Paraphrase(source, "unchanged", scores={"change_rate": 0.0})
    edits = []
    for mask in masks:
        if mask.token is None:  # float16 overflows, say
            return Paraphrase(None, "failed")
        word = mask.place.word
        edits.append(Edit(word.start, word.end, in_case_of(word.text, model.texts[mask.token])))
    text = edited(source, with_articles(source, found, edits))
    return Paraphrase(text, scores={"change_rate": len(edits) / len(found)})


# --- the model --------------------------------------------------------------------------------------------------------


class _Model:
    """A checkpoint without its weights, which `network` loads."""

    def __init__(self, name: str) -> None:
        from transformers import AutoConfig

        from text_uda.augment.vocabulary import vocabulary
        from text_uda.model.pretrained import encoder_path
        from text_uda.translate import marian_checkpoint

        self.name, self.path = name, encoder_path(name)
        config: Any = _from_checkpoint(name, lambda: AutoConfig.from_pretrained(self.path, trust_remote_code=False))
        known = vocabulary(name)
        self.tokenizer, self.texts = known.tokenizer, known.texts
        if self.tokenizer.mask_token_id is None or not self.texts or len(self.tokenizer) > config.vocab_size:
            raise SettingsError(
                f"{name!r} has no tokenizer with a mask that fits its {config.vocab_size} tokens: put the tokenizer's "
                "files beside the weights, or name a masked language model, such as google-bert/bert-base-uncased"
            )
        folder = Path(self.path).is_dir()
        revision = marian_checkpoint.identity(self.path) if folder else {"model": name, "revision": config._commit_hash}
        self.identity: dict[str, Any] = revision
        around = np.array(self.tokenizer("")["input_ids"], dtype=np.int64)  # [CLS] and [SEP]
        self.before, self.after = around[:1], around[1:]
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        marks_continuation = any(token.startswith("##") for token in tokens)
        self.begins = np.array(
            [not token.startswith("##") if marks_continuation else token.startswith(("Ġ", "▁")) for token in tokens]
        )
        """Which tokens begin a word, by id."""
        self._spelled: dict[str, list[int]] = {}
        self._forbidden = np.ones((2, config.vocab_size), dtype=bool)
        for index, text in self.texts.items():
            self._spelled.setdefault(text.lower(), []).append(index)
            word = self.begins[index] and len(text) > 1 and text.isascii() and text.isalpha()
            if word and text.lower() not in STOP_WORDS:
                self._forbidden[:, index] = not text.islower(), not (text.islower() or text.istitle())
        self._most = self._forbidden.shape[1] - self._forbidden.sum(axis=1)

    def spelled(self, word: str) -> list[int]:
        """The tokens that are this word, in whatever case."""
        return self._spelled.get(word, [])

    def has_another(self, word: Word, kept: frozenset[str]) -> bool:
        """Whether anything may stand for this word. In a vocabulary of any size it is so."""
        without = sum(len(self.spelled(each)) for each in kept) + len(self.spelled(word.lower))
        return self._most[int(word.text[0].isupper())] > without

    def forbidden(self, kept: frozenset[str]) -> np.ndarray:
        """The tokens that may not stand for a word in lower case, and for one with a capital. (2, V)"""
        forbidden = self._forbidden.copy()
        for word in kept:
            forbidden[:, self.spelled(word)] = True
        return forbidden

    def network(self, device: Any, precision: Precision) -> "_Network":
        return _network(self.name, device, precision)


@cache
def _opened(name: str) -> _Model:
    return _Model(name)


def _from_checkpoint(name: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:  # whatever transformers and safetensors raise of broken files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SettingsError(
            f"cannot open the masked language model {name!r} ({reason:.200}); name a hub id, or a folder that has its "
            "weights as safetensors"
        ) from error


class _Network:
    """The weights on a device, and how much of them fits in memory at once."""

    def __init__(self, name: str, device: Any, precision: Precision) -> None:
        import torch
        from transformers import AutoModelForMaskedLM

        from text_uda.model.pretrained import max_positions
        from text_uda.translate.batching import Budget
        from text_uda.translate.marian_checkpoint import MAX_TOKENS

        opened = _opened(name)
        model, report = _from_checkpoint(
            name,
            lambda: AutoModelForMaskedLM.from_pretrained(
                opened.path,
                dtype=torch.float32,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            ),
        )
        if report["missing_keys"] or model.get_output_embeddings() is None:
            raise SettingsError(
                f"{name!r} has no masked-language-model head ({', '.join(sorted(report['missing_keys'])[:2])} are not "
                "among its weights): name a model that was trained as one, such as google-bert/bert-base-uncased"
            )
        if not all(weight.isfinite().all() for weight in model.parameters()):
            raise SettingsError(f"the weights of {name!r} are no finite numbers in places: get them again")
        self._model = model.to(device=device, dtype=getattr(torch, precision)).eval()
        self._device = device
        self.room = max_positions(model) - len(opened.before) - len(opened.after)
        """Tokens of a text that it reads at once."""
        self._pad = opened.tokenizer.pad_token_id or 0
        self.budget = Budget(MAX_TOKENS[device.type])

    def on_device(self, values: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(values).to(self._device)

    def logits(self, windows: list[_Window]) -> Any:
        """Of the masks alone, in order: (M, V) float32."""
        import torch

        from text_uda.model.inputs import pad

        tokens = pad([window.ids for window in windows], pad_id=self._pad).to(self._device)
        is_mask = np.zeros(tuple(tokens.input_ids.shape), dtype=bool)  # (B, T)
        for row, window in enumerate(windows):
            is_mask[row, window.positions] = True
        chosen = self.on_device(is_mask)
        # By its multiplications the last layer of the head is as much work as six layers of MiniLM. Before it, whatever
        # the architecture, the states of all but the masks are dropped.
        head = self._model.get_output_embeddings()
        with torch.no_grad(), head.register_forward_pre_hook(lambda _, given: (given[0][chosen],)):
            return self._model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits.float()


@cache
def _network(name: str, device: Any, precision: Precision) -> _Network:
    return _Network(name, device, precision)
