"""Augmentations that work in the training step: on token ids or on embeddings, a new view at every visit of a text."""

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
    """Other ids in the places of some; special tokens and padding stay, and so does the shape."""

    def settings(self) -> dict[str, Any]: ...

    def on_tokens(self, tokens: Tokens, generator: torch.Generator) -> Tokens: ...


@runtime_checkable
class OnEmbeddings(Protocol):
    """Other word embeddings. A token that becomes all zeros is erased: nothing attends to it either."""

    def settings(self) -> dict[str, Any]: ...

    def on_embeddings(self, embeddings: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """(B, T, D) and a (B, T) bool mask of the tokens that may be changed -> (B, T, D)."""
        ...


InStep = OnTokens | OnEmbeddings


def kind_of(augmentation: object) -> Literal["tokens", "embeddings"] | None:
    """What it works on in the training step; None for one that makes texts, and only offline."""
    if isinstance(augmentation, OnTokens):
        return "tokens"
    return "embeddings" if isinstance(augmentation, OnEmbeddings) else None


def check_in_step(augmentation: InStep, settings: TrainSettings, filters: Filters | None) -> None:
    """Raise SettingsError where the training has nothing for the augmentation to work on, or other tokens."""
    method, encoder = augmentation.settings()["method"], settings.encoder
    if settings.tune == "head":
        raise SettingsError(
            f"tune='head' computes features once, and {method} changes what the encoder reads at each step: "
            "tune last:N layers or all, or name a cache of paraphrases"
        )
    if settings.samples != 1:
        raise SettingsError(f"samples={settings.samples}: {method} draws anew in each step; leave samples at 1")
    if filters is not None:
        raise SettingsError(f"filters choose among paraphrases of a cache; {method} works in the step: leave them out")
    own: str | None = getattr(augmentation, "tokenizer", None)
    if own not in (None, encoder) and load_tokenizer(own).get_vocab() != load_tokenizer(encoder).get_vocab():
        raise SettingsError(
            f"{method} switches tokens of {own!r}, and the encoder {encoder!r} has others: "
            f"give it tokenizer={encoder!r}, or make texts offline and name their cache"
        )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Ids that frame or pad a text, (S,). The one of an unknown word is none of them: it stands for a word."""
    return torch.tensor([index for index in tokenizer.all_special_ids if index != tokenizer.unk_token_id])


def augmented_view(
    augmentation: InStep, model: PreTrainedModel, tokens: Tokens, special: Tensor, generator: torch.Generator
) -> tuple[Tokens | Embedded, Tensor]:
    """The other view of these rows, and which share of them it changes.

    Args:
        tokens: U rows.
        special: as `special_ids` gives them.
    Returns:
        U rows; a scalar, the share of the ids, or of the numbers in the embeddings, of all tokens that are not special.
    """
    mask = tokens.attention_mask.bool() & ~torch.isin(tokens.input_ids, special)  # (U, T)
    if isinstance(augmentation, OnTokens):
        view = augmentation.on_tokens(tokens, generator)
        changed = view.input_ids != tokens.input_ids
    else:
        before = embed(model, tokens)
        after = augmentation.on_embeddings(before.values, mask, generator)
        view = Embedded(after, before.attention_mask * after.any(dim=-1))
        changed = (after != before.values).float().mean(dim=-1)
    return view, (changed * mask).sum() / mask.sum().clamp_min(1)
