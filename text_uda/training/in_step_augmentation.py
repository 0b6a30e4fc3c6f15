"""Augmentations that work in the training step, on token ids or embeddings: a new view at every visit of a text."""

from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from text_uda.errors import SettingsError
from text_uda.model.classifier import embed
from text_uda.model.inputs import Embedded, Tokens
from text_uda.model.pretrained import load_tokenizer
from text_uda.paraphrasing.filters import Filters
from text_uda.training.settings import TrainSettings


@runtime_checkable
class OnTokens(Protocol):
    """Replaces some token ids; special tokens, padding and the shape stay."""

    def settings(self) -> dict[str, Any]: ...

    def on_tokens(self, tokens: Tokens, generator: torch.Generator) -> Tokens: ...


@runtime_checkable
class OnEmbeddings(Protocol):
    """Changes word embeddings. A token whose embedding becomes zero is erased: no other token attends to it."""

    def settings(self) -> dict[str, Any]: ...

    def on_embeddings(self, embeddings: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """(B, T, D), and a (B, T) bool mask of the tokens that may change -> (B, T, D)."""
        ...


InStep = OnTokens | OnEmbeddings


def kind_of(augmentation: object) -> Literal["tokens", "embeddings"] | None:
    """What the augmentation changes in the training step; None for one that generates texts offline."""
    if isinstance(augmentation, OnTokens):
        return "tokens"
    return "embeddings" if isinstance(augmentation, OnEmbeddings) else None


def check_in_step(augmentation: InStep, settings: TrainSettings, filters: Filters | None) -> None:
    """Raise SettingsError where the settings do not let the augmentation work in the step."""
    method, encoder = augmentation.settings()["method"], settings.encoder
    if settings.tune == "head":
        raise SettingsError(
            f"tune='head' computes features once, and {method} changes the input of the encoder at each step: "
            "choose tune='last:N' or 'all', or pass a cache of paraphrases"
            f"{'' if method == 'cutoff' else f' (text-uda paraphrase DATA --method {method} --cache DIR)'}"
        )
    if settings.samples != 1:
        raise SettingsError(f"samples={settings.samples}: {method} draws a new view at each step; leave samples at 1")
    if filters is not None:
        raise SettingsError(f"filters select paraphrases of a cache; {method} works in the training step: omit filters")
    tokenizer: str | None = getattr(augmentation, "tokenizer", None)
    if (
        tokenizer not in (None, encoder)
        and load_tokenizer(tokenizer).get_vocab() != load_tokenizer(encoder).get_vocab()
    ):
        raise SettingsError(
            f"{method} replaces tokens of {tokenizer!r}, and the encoder {encoder!r} has another vocabulary: "
            f"set tokenizer={encoder!r}, or paraphrase offline and pass the cache"
        )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Ids that delimit or pad a text, (S,). The id of an unknown word is not among them: it stands for a word."""
    return torch.tensor([index for index in tokenizer.all_special_ids if index != tokenizer.unk_token_id])


def augmented_view(
    augmentation: InStep, model: PreTrainedModel, tokens: Tokens, special: Tensor, generator: torch.Generator
) -> tuple[Tokens | Embedded, Tensor]:
    """The second view of these rows, and the share that it changes.

    Args:
        tokens: U rows.
        special: see `special_ids`.
    Returns:
        U rows; a scalar, the changed share of the ids (or embedding values) of the tokens that are not special.
    """
    mask = tokens.attention_mask.bool() & ~torch.isin(tokens.input_ids, special)  # (U, T)
    if isinstance(augmentation, OnTokens):
        view = augmentation.on_tokens(tokens, generator)
        changed = view.input_ids != tokens.input_ids
    else:
        before = embed(model, tokens)
        after = augmentation.on_embeddings(before.values, mask, generator)
        view = Embedded(after, before.attention_mask * after.any(dim=-1), columns=before.columns)
        changed = (after != before.values).float().mean(dim=-1)
    return view, (changed * mask).sum() / mask.sum().clamp_min(1)
