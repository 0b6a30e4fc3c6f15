"""Contextual substitution: replaces words by predictions of a masked language model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from text_uda.augment.word_edit import check_protect, check_rate, lower_case, reject_language
from text_uda.augment.words import STOP_WORDS, Edit, Word, may_be_name, replace_words, with_capital_of, words_in
from text_uda.errors import SettingsError, reason_of
from text_uda.hub_connection import hub_may_answer, loading_options, missing_folder
from text_uda.keyed_random import Key
from text_uda.model.checkpoint_identity import checkpoint_identity
from text_uda.text.language import language_versions, two_letters
from translation_cache import Job, Paraphrase, fingerprint

if TYPE_CHECKING:
    from text_uda.translate.device import WorkerShare

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class MaskedLanguageModel(Job):
    """Replaces words by draws from p(w | the text with the replaced words masked):

        p(w) ~ exp(logits[w] / temperature), for the top_k likeliest allowed words w

    Source: Kobayashi 2018, "Contextual Augmentation" (arXiv 1805.06201), Section 2.2 (tau -> temperature); with BERT's
    masks, Wu et al. 2018 (arXiv 1812.06705), Section 3.2. Departures from both:

    - The prediction is not conditioned on a label, since the texts have none: a model may predict `bad` in the place of
      `good`. List the words that carry the label in `protect`; they are neither replaced nor predicted.
    - A word of several pieces becomes one mask and is replaced by a word of one piece.
    - Allowed words are whole words of letters other than the original; no stop words, no negations, and no names
      (capitals) unless the original has a capital. Stop words, negations and names themselves stay.

    One forward predicts all masks of a text. A word that the tokenizer does not encode as the start of a word stays:
    after a quotation mark, and first in a text for byte-level tokenizers (RoBERTa), which need a space before it.

    The draw depends on (settings, text, sample) and not on the batch, except for float rounding: a uniform number can
    lie within rounding of the boundary between two words, more often in bfloat16 and float16.
    """

    model: str = "google-bert/bert-base-uncased"
    """A hub id or a folder with a model, its tokenizer and its masked-language-model head."""

    rate: float = 0.15
    """Share of the replaceable words to replace, in (0, 1]; at least one if there is any."""

    top_k: int = 10
    """Number of likeliest words to draw from."""

    temperature: float = 1.0
    """Above 1 flattens the distribution, below 1 sharpens it."""

    precision: Precision = "float32"
    """Of the model's arithmetic; bfloat16 and float16 are faster on a GPU."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words neither to replace nor to predict; list each form, in any case."""

    language: str = "en"
    """Of the model, such as de or deu; sentences in another one stay. `any` for a multilingual model."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if self.top_k < 1:
            raise SettingsError(f"top_k={self.top_k}: give 1 or more")
        if not 0.01 <= self.temperature <= 100:
            raise SettingsError(f"temperature={self.temperature}: give a number from 0.01 to 100")
        if self.precision not in get_args(Precision):
            raise SettingsError(f"precision={self.precision!r}: choose one of {', '.join(get_args(Precision))}")
        check_protect(self.protect)
        two_letters(self.language)

    @property
    def batch_size(self) -> int:
        """Large, because the texts of a call are sorted by length."""
        return self._share.block()

    @cached_property
    def _share(self) -> "WorkerShare":  # the whole machine, unless start_worker assigned a share
        from text_uda.translate.device import WorkerShare

        return WorkerShare()

    @property
    def uses_gpu(self) -> bool:
        return True

    def start_worker(self, worker: int, workers: int) -> None:
        """Assign the process its GPU, or its share of the cores."""
        from text_uda.translate.device import WorkerShare

        object.__setattr__(self, "_share", WorkerShare(worker, workers))  # replaces the cached one

    def settings(self) -> dict[str, Any]:
        named = {"method": "mlm", "version": 2, "unit": "text"} | _open_model(self.model).identity
        draw = {"rate": self.rate, "top_k": self.top_k, "temperature": self.temperature, "seed": self.seed}
        words = {"protect": sorted(lower_case(self.protect)), "language": two_letters(self.language)}
        return named | {"precision": self.precision} | draw | words | language_versions(words["language"])

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError if the model cannot be opened, or lacks a tokenizer or the head."""
        model, key = _open_model(self.model), Key(fingerprint(self.settings()))
        kept_words, language = lower_case(self.protect), two_letters(self.language)
        encoded = {source: _encode(source, model, kept_words, language) for source in dict.fromkeys(sources)}
        rows: list[list[_Mask]] = []
        for source, sample in zip(sources, samples, strict=True):
            draws, replaceable = key.draws(source, sample), encoded[source].replaceable
            count = min(len(replaceable), max(1, round(self.rate * len(replaceable))))
            drawn = [replaceable[index] for index in draws.distinct(len(replaceable), count)]
            rows.append([_Mask(word, draws.uniform()) for word in drawn])
        self._predict([encoded[source] for source in sources], rows, model, kept_words)
        return [
            _paraphrase(source, encoded[source].words, masks, model)
            for source, masks in zip(sources, rows, strict=True)
        ]

    def _predict(
        self, texts: "list[_EncodedText]", rows: "list[list[_Mask]]", model: "_Model", kept_words: frozenset[str]
    ) -> None:
        """Draw the token of every mask."""
        from text_uda.translate.token_sampling import draw

        if not any(rows):
            return
        network = model.network(self._share.torch_device(), self.precision)
        windows = [
            window
            for text, masks in zip(texts, rows, strict=True)
            if masks
            for window in _windows(text, masks, model, network.max_tokens)
        ]
        forbidden = network.on_device(model.forbidden(kept_words))  # (2, V): for words in lower case, for capitals

        def draw_tokens(batch: list[int]) -> tuple[list[int], list[bool]]:
            masks = [mask for index in batch for mask in windows[index].masks]
            logits = network.logits([windows[index] for index in batch])  # (M, V)
            words = [mask.encoded_word.word for mask in masks]
            capital = network.on_device(np.array([word.text[0].isupper() for word in words], dtype=np.int64))
            logits.masked_fill_(forbidden[capital], float("-inf"))
            originals = [(row, token) for row, word in enumerate(words) for token in model.spellings(word.lowercase)]
            if originals:
                row, token = network.on_device(np.array(originals, dtype=np.int64)).T
                logits[row, token] = float("-inf")
            uniform = network.on_device(np.array([mask.uniform for mask in masks]))
            drawn = draw(logits, uniform[:, None], temperature=self.temperature, top_k=self.top_k)
            return drawn.tokens.tolist(), drawn.log_probability.isfinite().tolist()

        lengths = [len(window.ids) for window in windows]
        for batch, (tokens, finite) in network.budget.run(lengths, [1] * len(windows), draw_tokens):
            masks = (mask for index in batch for mask in windows[index].masks)
            for mask, token, is_finite in zip(masks, tokens, finite, strict=True):
                mask.token = token if is_finite else None


# --- texts and their masks --------------------------------------------------------------------------------------------


class _EncodedWord(NamedTuple):
    """A replaceable word and its tokens, [first, last) of the text."""

    word: Word
    first: int
    last: int


class _EncodedText(NamedTuple):
    words: list[Word] | None
    """None if the text is in another language than the model."""
    ids: np.ndarray  # (T,) int64, without special tokens
    replaceable: list[_EncodedWord]


@dataclass(slots=True)
class _Mask:
    encoded_word: _EncodedWord
    uniform: float
    """The random number that selects the token."""
    token: int | None = None
    """The drawn token; None if the logits are not finite."""


@dataclass(slots=True)
class _Window:
    """One input of the model: tokens with special tokens around them, and the positions of the masks to predict."""

    ids: np.ndarray
    masks: list[_Mask] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


def _encode(text: str, model: "_Model", kept_words: frozenset[str], language: str = "en") -> _EncodedText:
    words = words_in(text, language)
    stays = STOP_WORDS | kept_words
    editable = [word for word in words or () if word.editable and word.lowercase not in stays and not may_be_name(word)]
    if not editable:
        return _EncodedText(words, np.empty(0, dtype=np.int64), [])
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = np.asarray(encoded["input_ids"], dtype=np.int64)
    spans = np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    starts, ends = spans.T
    replaceable = []
    for word in editable:
        first = int(np.searchsorted(ends, word.start, side="right"))
        last = int(np.searchsorted(starts, word.end, side="left"))
        if first == last or starts[first] < word.start - 1 or ends[last - 1] != word.end:
            continue  # a token covers other characters too
        begins = model.begins[ids[first]] and not text[starts[first] : word.start].strip()
        if begins and model.has_substitute(word, kept_words):
            replaceable.append(_EncodedWord(word, first, last))
    return _EncodedText(words, ids, replaceable)


def _windows(text: _EncodedText, masks: list[_Mask], model: "_Model", max_tokens: int) -> list[_Window]:
    """The text with its masks, in half-overlapping windows if it exceeds `max_tokens`. Linear time.

    The window of a mask has at least a quarter of its tokens on each side of the mask, or reaches the end of the text.
    """
    ids, positions, last = [], [], 0
    for mask in masks:
        ids += [text.ids[last : mask.encoded_word.first], [model.tokenizer.mask_token_id]]
        positions.append(sum(map(len, ids[-2:])) + (positions[-1] if positions else -1))
        last = mask.encoded_word.last
    tokens = np.concatenate([*ids, text.ids[last:]]).astype(np.int64)
    windows: dict[int, _Window] = {}  # by start
    for mask, position in zip(masks, positions, strict=True):
        start = (position - max_tokens // 4) // (max_tokens // 2) * (max_tokens // 2)
        start = max(0, min(start, len(tokens) - max_tokens))
        if start not in windows:
            inside = tokens[start : start + max_tokens]
            windows[start] = _Window(np.concatenate([model.prefix, inside, model.suffix]))
        windows[start].masks.append(mask)
        windows[start].positions.append(position - start + len(model.prefix))
    return list(windows.values())


def _paraphrase(source: str, words: list[Word] | None, masks: list[_Mask], model: "_Model") -> Paraphrase:
    if words is None:
        return reject_language(source)
    if not masks:
        return Paraphrase(source, "unchanged", scores={"change_rate": 0.0})
    edits = []
    for mask in masks:
        if mask.token is None:  # an overflow of float16, for example
            return Paraphrase(None, "failed")
        word = mask.encoded_word.word
        edits.append(Edit(word.start, word.end, with_capital_of(word.text, model.texts[mask.token])))
    return Paraphrase(replace_words(source, words, edits), scores={"change_rate": len(edits) / len(words)})


# --- the model --------------------------------------------------------------------------------------------------------


class _Model:
    """A checkpoint: its tokenizer and what its vocabulary allows. `network` loads the weights."""

    def __init__(self, name: str) -> None:
        from transformers import AutoConfig

        from text_uda.augment.vocabulary import load_vocabulary
        from text_uda.model.pretrained import encoder_path

        self.name, self.path = name, encoder_path(name)
        config: Any = _load_checkpoint(name, self.path, AutoConfig.from_pretrained)
        tokens_of_name = load_vocabulary(name)
        self.tokenizer, self.texts = tokens_of_name.tokenizer, tokens_of_name.texts
        if self.tokenizer.mask_token_id is None or not self.texts or len(self.tokenizer) > config.vocab_size:
            raise SettingsError(
                f"{name!r} has no tokenizer with a mask for its {config.vocab_size} tokens: put the tokenizer's "
                "files next to the weights, or name a masked language model, such as google-bert/bert-base-uncased"
            )
        self.identity: dict[str, Any] = checkpoint_identity(self.path, lambda: config)
        special = np.array(self.tokenizer("")["input_ids"], dtype=np.int64)  # [CLS] and [SEP]
        self.prefix, self.suffix = special[:1], special[1:]
        tokens = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        marks_continuation = any(token.startswith("##") for token in tokens)
        self.begins = np.array(
            [not token.startswith("##") if marks_continuation else token.startswith(("Ġ", "▁")) for token in tokens]
        )
        """Whether each token begins a word, by id."""
        self._spellings: dict[str, list[int]] = {}
        self._forbidden = np.ones((2, config.vocab_size), dtype=bool)
        for index, text in self.texts.items():
            self._spellings.setdefault(text.lower(), []).append(index)
            word = self.begins[index] and len(text) > 1 and text.isascii() and text.isalpha()
            if word and text.lower() not in STOP_WORDS:
                self._forbidden[:, index] = not text.islower(), not (text.islower() or text.istitle())
        self._allowed_count = self._forbidden.shape[1] - self._forbidden.sum(axis=1)

    def spellings(self, word: str) -> list[int]:
        """The tokens that spell this word in any case."""
        return self._spellings.get(word, [])

    def has_substitute(self, word: Word, kept_words: frozenset[str]) -> bool:
        """Whether any token can replace this word; false in tiny vocabularies only."""
        excluded = sum(len(self.spellings(spelling)) for spelling in kept_words) + len(self.spellings(word.lowercase))
        return self._allowed_count[int(word.text[0].isupper())] > excluded

    def forbidden(self, kept_words: frozenset[str]) -> np.ndarray:
        """The tokens that cannot replace a word in lower case, and one with a capital. (2, V)"""
        forbidden = self._forbidden.copy()
        for word in kept_words:
            forbidden[:, self.spellings(word)] = True
        return forbidden

    def network(self, device: Any, precision: Precision) -> "_Network":
        return load_network(self.name, device, precision)


@cache
def _open_model(name: str) -> _Model:
    return _Model(name)


def _load_checkpoint(name: str, path: str, load: Callable[..., Any], **options: Any) -> Any:
    fault = missing_folder(path)
    try:
        if fault is not None:
            raise FileNotFoundError(fault)
        hub_may_answer(path)
        return load(path, **loading_options(path), **options)
    except Exception as error:  # transformers and safetensors raise many types for broken files
        reason = reason_of(error)
        raise SettingsError(
            f"cannot open the masked language model {name!r} ({reason:.200}); name a hub id, or a folder with its "
            "weights in safetensors files"
        ) from error


class _Network:
    """The weights on a device, and the number of tokens that fits in its memory."""

    def __init__(self, name: str, device: Any, precision: Precision) -> None:
        import torch
        from transformers import AutoModelForMaskedLM

        from text_uda.model.encoder_files import check_weights
        from text_uda.model.pretrained import max_positions
        from text_uda.translate.batching import Budget
        from text_uda.translate.marian_checkpoint import MAX_TOKENS

        checkpoint = _open_model(name)
        model, report = _load_checkpoint(
            name,
            checkpoint.path,
            AutoModelForMaskedLM.from_pretrained,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
        check_weights(name, model, report)
        if report["missing_keys"] or model.get_output_embeddings() is None:
            raise SettingsError(
                f"{name!r} has no masked-language-model head ({', '.join(sorted(report['missing_keys'])[:2])} are not "
                "among its weights): name a model that was trained as one, such as google-bert/bert-base-uncased"
            )
        self._model = model.to(device=device, dtype=getattr(torch, precision)).eval()
        self._device = device
        self.max_tokens = (max_positions(model) or 512) - len(checkpoint.prefix) - len(checkpoint.suffix)
        """Tokens of a text that fit in one input."""
        self._pad = checkpoint.tokenizer.pad_token_id or 0
        self.budget = Budget(MAX_TOKENS[device.type], device)

    def on_device(self, values: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(values).to(self._device)

    def logits(self, windows: list[_Window]) -> Any:
        """The logits of the masks alone, in order: (M, V) float32."""
        import torch

        from text_uda.model.inputs import pad

        tokens = pad([window.ids for window in windows], pad_id=self._pad).to(self._device)
        is_mask = np.zeros(tuple(tokens.input_ids.shape), dtype=bool)  # (B, T)
        for row, window in enumerate(windows):
            is_mask[row, window.positions] = True
        masked = self.on_device(is_mask)
        # The last layer of the head multiplies as much as six layers of MiniLM. A hook before it, which works for every
        # architecture, keeps only the states of the masks.
        head = self._model.get_output_embeddings()
        with torch.no_grad(), head.register_forward_pre_hook(lambda _, inputs: (inputs[0][masked],)):
            return self._model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits.float()


@cache
def load_network(name: str, device: Any, precision: Precision) -> _Network:
    return _Network(name, device, precision)
