"""A MarianMT checkpoint from the hub or a folder: its identity, its vocabulary, its weights on a device."""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from transformers import AutoConfig, MarianMTModel, MarianTokenizer

from text_uda.errors import SettingsError, listed, reason_of
from text_uda.hub_connection import hub_may_answer, is_local, loading_options, missing_folder
from text_uda.model.checkpoint_identity import checkpoint_identity
from text_uda.translate.batching import Budget
from text_uda.translate.marian_layout import (
    check_configuration,
    check_vocabularies,
    check_weights,
    source_numbers,
    target_numbers,
)
from text_uda.translate.marian_network import Network, Precision
from text_uda.translate.translator import Translation

_LANGUAGE = r">>[^<>\s]+<<"
_NAMED = re.compile(rf"(?P<name>.+?)(?P<language>{_LANGUAGE})?")
_BLANK = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
MAX_TOKENS = {"cpu": 6144, "cuda": 65536}
"""The most tokens of a batch (its longest source times its rows), by device."""


def split_name(model: str) -> tuple[str, str | None]:
    """(checkpoint, target language or None) of a name such as `opus-mt-en-ROMANCE>>fr<<`."""
    match = _NAMED.fullmatch(model)
    if match is None:
        raise SettingsError(f"{model!r} is not a model: use a folder or a hub id, such as Helsinki-NLP/opus-mt-en-de")
    return match["name"], match["language"]


def identity(model: str) -> dict[str, Any]:
    """The model's part of the settings, as JSON values: a hub id and its commit, or a digest of a folder's files."""
    name, language = split_name(model)
    return checkpoint_identity(name, lambda: _config(name)) | ({} if language is None else {"language": language})


def most_tokens(source_tokens: int, positions: int) -> int:
    """The cap on the length of a translation. It depends on the length of the sentence, not on the batch."""
    return min(positions - 1, 3 * source_tokens + 10)


class Source(NamedTuple):
    tokens: list[int]  # with the end token; empty for a blank sentence
    cut: bool  # truncated to the model's maximum length


@dataclass(frozen=True)
class Vocabulary:
    """From text to token ids and back. A translation can have a vocabulary of its own, `target_vocab.json`."""

    tokenizer: MarianTokenizer
    language: str | None
    positions: int
    reserved: frozenset[str]
    """Tokens that no text has: the end, padding, unknown words, the codes of languages."""

    @cached_property
    def source_tokens(self) -> dict[int, str]:
        """The name of each token that a source can have."""
        return {number: name for name, number in source_numbers(self.tokenizer).items()}

    @cached_property
    def target_numbers(self) -> dict[str, int]:
        """The id of each token that a translation can have."""
        return target_numbers(self.tokenizer)

    def encode(self, sentences: Sequence[str]) -> list[Source]:
        """Replaces control characters by spaces and half surrogate pairs by question marks: no model knows them."""
        return [
            self._source(_BLANK.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).strip()) for text in sentences
        ]

    def _source(self, text: str) -> Source:
        """The tokens of a text, all of them words: tokenizer(text) reads `>>x<<` as a language, `</s>` as the end."""
        if not text:
            return Source([], False)
        pieces = self.tokenizer.spm_source.encode(text, out_type=str)
        words = [str(self.tokenizer.unk_token) if piece in self.reserved else piece for piece in pieces]
        ids: Any = self.tokenizer.convert_tokens_to_ids([self.language, *words] if self.language else words)
        end: Any = self.tokenizer.eos_token_id
        most = self.positions - 1
        return Source([*ids[:most], end], len(ids) > most)

    def decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def translation(self, tokens: list[int], log_probability: float, ended: bool, *, cut: bool) -> Translation:
        """The translation of an engine's output; `failed` if the log-probability is NaN."""
        if log_probability != log_probability:
            return Translation("", "failed")
        text = self.decode(tokens)
        status = "truncated" if cut or not ended else "ok" if text else "failed"
        return Translation(text, status, {"log_probability": log_probability})


@cache
def vocabulary(model: str) -> Vocabulary:
    """Raises SettingsError if the model does not exist, its tokenizer is incomplete, or it needs a target language."""
    name, language = split_name(model)
    tokenizer, config = _tokenizer(name), _checked_config(name)
    check_vocabularies(name, config, tokenizer)
    reserved = frozenset([*tokenizer.all_special_tokens, *_languages(name, language, tokenizer)])
    return Vocabulary(tokenizer, language, config.max_position_embeddings, reserved)


def _languages(name: str, language: str | None, tokenizer: MarianTokenizer) -> list[str]:
    """The codes of target languages of a checkpoint, of which `language` is one, or None if there is no choice."""
    languages = [code for code in source_numbers(tokenizer) if re.fullmatch(_LANGUAGE, code)]
    if language is not None and language not in languages:
        near = ", ".join(get_close_matches(language, languages, n=5, cutoff=0.3) or sorted(languages)[:10])
        hint = f"it has {near}" if near else "it has one language: omit the code"
        raise SettingsError(f"{name!r} does not translate to {language}; {hint}")
    if language is None and len(languages) > 1:
        raise SettingsError(
            f"{name!r} translates to {len(languages)} languages ({listed(sorted(languages), most=8)}): "
            f"name one, such as {name}{sorted(languages)[0]}"
        )
    return languages


def source_code(model: str) -> str:
    """The code of the language that a checkpoint reads, of its tokenizer or of a name like opus-mt-en-de, else `any`.

    It is a part of the settings, so that it does not ask whether the checkpoint can translate: caches are read by name.
    Raises SettingsError if the tokenizer cannot be opened, or the checkpoint needs a target language.
    """
    name, language = split_name(model)
    tokenizer = _tokenizer(name)
    _languages(name, language, tokenizer)
    known = tokenizer.init_kwargs.get("source_lang")
    named = re.match(r"opus-mt-(?:tc-(?:big|base|bible|tiny)-)*([a-z]{2,3})-", name.rstrip("/").rpartition("/")[2])
    return known or (named[1] if named else "any")


def check_precision(precision: str, known: tuple[str, ...]) -> None:
    if precision not in known:
        raise SettingsError(f"precision={precision!r}: choose one of {', '.join(known)}")


@cache
def network(model: str, device: torch.device, precision: Precision) -> tuple[Network, Budget]:
    """(weights, token budget of a batch). Raises SettingsError if the model does not exist."""
    if precision == "int8" and device.type != "cpu":
        raise SettingsError("int8 needs a CPU: choose bfloat16 or float32 on a GPU, or ctranslate2")
    loaded = Network(load_model(model), device=device, precision=precision)
    # Tables of weights can have more rows than there are tokens.
    loaded.forbid(sorted(set(range(loaded.vocabulary)) - set(vocabulary(model).target_numbers.values())))
    return loaded, Budget(MAX_TOKENS[device.type], device)


class _Model(MarianMTModel):
    """As in transformers, which fills a bias of the output layer that the files lack with zeros, and says nothing."""

    _keys_to_ignore_on_load_missing = [  # noqa: RUF012  # as transformers declares it
        part for part in MarianMTModel._keys_to_ignore_on_load_missing or () if part != "final_logits_bias"
    ]


def load_model(model: str, dtype: torch.dtype | Literal["auto"] = torch.float32) -> MarianMTModel:
    """The weights, of `model.safetensors` or, without it, of `pytorch_model.bin`, as tensors only.

    transformers reads the latter by `torch.load(weights_only=True)`, which refuses all other Python objects.

    Args:
        dtype: `auto` is that of the files.
    """
    name, _ = split_name(model)
    _checked_config(name)
    loaded, report = _opened(
        name, "weights", _Model.from_pretrained, dtype=dtype, output_loading_info=True, weights_only=True
    )
    check_weights(name, loaded, report)
    return loaded


@cache
def _tokenizer(name: str) -> MarianTokenizer:
    return _opened(name, "tokenizer", MarianTokenizer.from_pretrained)


@cache
def _config(name: str) -> Any:
    """As it is: whether the checkpoint can translate is asked before it does, and not where a cache is only read."""
    return _opened(name, "configuration", AutoConfig.from_pretrained)


def _checked_config(name: str) -> Any:
    config = _config(name)
    check_configuration(name, config)
    return config


def _opened(name: str, part: str, load: Callable[..., Any], **options: Any) -> Any:
    fault = missing_folder(name)
    try:
        if fault is not None:
            raise FileNotFoundError(fault)
        hub_may_answer(name)
        return load(name, **loading_options(name), **options)
    except Exception as error:  # any exception of transformers, sentencepiece or safetensors on broken files
        reason = _reason(error, name, part)
        near = _near(name)
        raise SettingsError(
            f"cannot open the {part} of the MarianMT model {name!r} ({reason:.300}); "
            + (f"did you mean {', '.join(near)}?" if near else "use a complete folder or a hub id")
        ) from error


def _reason(error: Exception, name: str, part: str) -> str:
    if part == "tokenizer" and isinstance(error, TypeError) and (lacking := _lacking_files(name)):  # a path is None
        return f"it lacks {listed(lacking)}"
    if type(error).__name__ == "UnpicklingError":  # by name, since nothing here imports that module
        return (
            "its pytorch_model.bin is damaged, or holds Python objects that are not tensors, which could run code when "
            "they are read; take a version with model.safetensors"
        )
    return reason_of(error)


def _lacking_files(name: str) -> list[str]:
    """Files of a tokenizer that are not in the folder or, after a download, in the hub's local cache."""
    from huggingface_hub import try_to_load_from_cache

    def path_of(file: str) -> Path:
        return Path(name) / file if Path(name).is_dir() else Path(str(try_to_load_from_cache(name, file)))

    files = ["source.spm", "target.spm", "vocab.json"]
    with suppress(OSError, ValueError, AttributeError):
        if json.loads(path_of("tokenizer_config.json").read_bytes()).get("separate_vocabs"):
            files.append("target_vocab.json")
    return [file for file in files if not path_of(file).is_file()]


def _near(name: str) -> list[str]:
    """Models with similar names: in the parent folder, on the hub, or in the hub's local cache."""
    path = Path(name)
    if is_local(name):
        siblings = [str(config.parent) for config in path.parent.glob("*/config.json") if config.parent != path]
        return get_close_matches(name, siblings, n=3)
    from huggingface_hub import HfApi, scan_cache_dir

    owner, _, pair = name.rpartition("/")
    try:
        known = [
            model.id for model in HfApi().list_models(author=owner or None, search=pair.rsplit("-", 1)[0], limit=200)
        ]
    except Exception:  # no network or no answer: use the local cache
        try:
            known = [repo.repo_id for repo in scan_cache_dir().repos]
        except Exception:
            known = []
    return get_close_matches(name, [other for other in known if other != name], n=3)
