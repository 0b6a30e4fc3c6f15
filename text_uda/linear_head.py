"""A head that is one linear layer of the encoder's feature, in classes whose own head is not.

A linear head has a convex loss and loses nothing of a feature that is good already. BERT's and RoBERTa's classes put a
tanh between the feature and the last layer, DistilBERT's a ReLU. So such a model has two forms:

    in training    logits = W dropout(h) + b, with h the first state (B, D)
    as saved       the class's own head, used where it is linear:  tanh(s h) ~ s h with W / s;  ReLU(h + c) = h + c

`saved_form` changes from the first to the second and back. Both give the same logits to 1e-4.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# tanh(s h) differs from s h by (s h)^2 / 3: 8e-6 of it at |h| = 20, which layer norm allows at a width of 400.
_SCALE = 2.0**-12
# ReLU(h + c) is h + c for h > -c; adding c costs h the bits below 2^-18.
_SHIFT = 32.0

_ATTRIBUTE = "linear_head"  # of a model in training form


class _FirstState(nn.Module):
    """(B, T, D) -> (B, D)"""

    def forward(self, states: Tensor) -> Tensor:
        return states[:, 0]


class _LinearOfFirstState(nn.Module):
    """(B, T, D) -> (B, C), with RoBERTa's name for the layer."""

    def __init__(self, dropout: nn.Module, out_proj: nn.Linear) -> None:
        super().__init__()
        self.dropout, self.out_proj = dropout, out_proj

    def forward(self, states: Tensor) -> Tensor:
        return self.out_proj(self.dropout(states[:, 0]))


class _Add(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, values: Tensor) -> Tensor:
        return values + self.value


@dataclass
class _Parts:
    """Modules of the other form, by their place in the model."""

    modules: dict[str, nn.Module]


_KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")


def can_be_linear(model: PreTrainedModel) -> bool:
    return model.config.model_type in _KINDS


def is_linear(model: PreTrainedModel) -> bool:
    """Whether the model is in training form, with a head of one linear layer."""
    return hasattr(model, _ATTRIBUTE)


@torch.no_grad()
def make_linear(model: PreTrainedModel, *, keep: bool = False) -> None:
    """Give the model a linear head of zeros, in training form.

    Zeros: the loss is convex in the head, so nothing is gained from noise, and an untrained head prefers no class.

    Args:
        keep: the head is one that `saved_form` left, and stays what it is.
    """
    width = model.config.hidden_size
    match model.config.model_type:
        case "bert":
            dense: nn.Linear = model.bert.pooler.dense
            parts: dict[str, nn.Module] = {"bert.pooler": _FirstState()}
        case "distilbert":
            dense = model.pre_classifier
            dropout = nn.Sequential(_Add(-_SHIFT), model.dropout)
            parts = {"pre_classifier": _Add(_SHIFT), "dropout": dropout}
        case kind:
            assert kind in _KINDS, "asked only of models that can be linear"
            dense = model.classifier.dense
            parts = {"classifier": _LinearOfFirstState(model.classifier.dropout, model.classifier.out_proj)}
    shifted = model.config.model_type == "distilbert"
    if not keep:
        dense.weight.copy_((1.0 if shifted else _SCALE) * torch.eye(width))
        nn.init.constant_(dense.bias, _SHIFT if shifted else 0.0)
    dense.requires_grad_(False)
    setattr(model, _ATTRIBUTE, _Parts(parts))
    _swap(model)
    last = last_layer(model)
    if keep:
        _into_training_form(last, shifted=shifted)
    else:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def was_linear(model: PreTrainedModel) -> bool:
    """Whether a model as it was opened has a head that `saved_form` left."""
    match model.config.model_type:
        case "bert":
            dense, scale, shift = model.bert.pooler.dense, _SCALE, 0.0
        case "distilbert":
            dense, scale, shift = model.pre_classifier, 1.0, _SHIFT
        case kind if kind in _KINDS:
            dense, scale, shift = model.classifier.dense, _SCALE, 0.0
        case _:
            return False
    eye = scale * torch.eye(dense.weight.shape[0])
    return torch.equal(dense.weight.cpu(), eye) and bool((dense.bias == shift).all())


def last_layer(model: PreTrainedModel) -> nn.Linear:
    """The linear layer of a model in training form, (C, D)."""
    head = model.classifier
    return head.out_proj if isinstance(head, _LinearOfFirstState) else head


def linear_logits(model: PreTrainedModel, features: Tensor) -> Tensor:
    """What a model in training form makes of the first states, (B, D) -> (B, C), with its dropout."""
    if isinstance(model.classifier, _LinearOfFirstState):
        return model.classifier(features[:, None])
    dropout = model.dropout[1] if model.config.model_type == "distilbert" else model.dropout
    return model.classifier(dropout(features))


@torch.no_grad()
def set_linear(model: PreTrainedModel, weight: Tensor, bias: Tensor) -> None:
    """Give a model in training form the logits weight @ h + bias.

    Args:
        weight: (C, D).
        bias: (C,).
    """
    last = last_layer(model)
    last.weight.copy_(weight)
    last.bias.copy_(bias)


@contextmanager
def saved_form(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """Within this block the model is an ordinary one of its class; one without a linear head is that already."""
    if not is_linear(model):
        yield model
        return
    last, shifted = last_layer(model), model.config.model_type == "distilbert"
    weight, bias = last.weight.detach().clone(), last.bias.detach().clone()
    with torch.no_grad():
        if shifted:
            last.bias.copy_(bias.double() - _SHIFT * weight.double().sum(dim=1))
        else:
            last.weight.copy_(weight / _SCALE)
    _swap(model)
    try:
        yield model
    finally:
        _swap(model)
        set_linear(model, weight, bias)


def _into_training_form(last: nn.Linear, *, shifted: bool) -> None:
    if shifted:
        last.bias.copy_(last.bias.double() + _SHIFT * last.weight.double().sum(dim=1))
    else:
        last.weight.mul_(_SCALE)


def _swap(model: PreTrainedModel) -> None:
    """Put the parts of the other form into the model, and keep those that were there."""
    parts: _Parts = getattr(model, _ATTRIBUTE)
    for name, other in parts.modules.items():
        parts.modules[name] = model.get_submodule(name)
        model.set_submodule(name, other)
