"""A head that is one linear layer of the encoder's feature, in classes whose own head is not.

A linear head has a convex loss and loses nothing of a feature that is good already. BERT's and RoBERTa's classes put a
tanh between the feature and the last layer, DistilBERT's a ReLU. So such a model has two forms:

    in training    logits = W dropout(h) / sqrt(D) + b, with h the first state, (B, D)
    as saved       the class's own head, used where it is linear:  tanh(s h) ~ s h with W / (s sqrt(D));  ReLU(h + c)

Layer norm gives h a length of about sqrt(D), so W acts on vectors of length 1, as logistic regression on normalised
features does, and is trained at the rates and penalties that suit it. `saved_form` changes to the second form and
back. Both give the same logits to 1e-4.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

# tanh(s h) differs from s h by (s h)^2 / 3: 8e-6 of it at |h| = 20, which layer norm allows at a width of 400.
_SCALE = 2.0**-12
# ReLU(h + c) is h + c for h > -c; adding c costs h the bits below 2^-18.
_SHIFT = 32.0

_KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
_ATTRIBUTE = "linear_head"  # of a model in training form


class UnitLinear(nn.Linear):
    """W h / sqrt(D) + b. (B, D) -> (B, C)"""

    def forward(self, input: Tensor) -> Tensor:  # nn.Linear's name for it
        return linear(input / math.sqrt(self.in_features), self.weight, self.bias)


class _FirstState(nn.Module):
    """(B, T, D) -> (B, D)"""

    def forward(self, states: Tensor) -> Tensor:
        return states[:, 0]


class _RobertaHead(nn.Module):
    """(B, T, D) -> (B, C)"""

    def __init__(self, dropout: nn.Module, last: UnitLinear) -> None:
        super().__init__()
        self.dropout, self.out_proj = dropout, last

    def forward(self, states: Tensor) -> Tensor:
        return self.out_proj(self.dropout(states[:, 0]))


class _Add(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, values: Tensor) -> Tensor:
        return values + self.value


@dataclass
class _OtherForm:
    """Modules of the form that the model is not in, by their place in it."""

    modules: dict[str, nn.Module]


def can_be_linear(model: PreTrainedModel) -> bool:
    return model.config.model_type in _KINDS


def is_linear(model: PreTrainedModel) -> bool:
    """Whether the model is in training form, with a head of one linear layer."""
    return hasattr(model, _ATTRIBUTE)


def was_linear(model: PreTrainedModel) -> bool:
    """Whether a model as it was opened has a head that `saved_form` left."""
    if not can_be_linear(model):
        return False
    dense, scale, shift = _dense(model)
    eye = scale * torch.eye(dense.weight.shape[0])
    return torch.equal(dense.weight.detach().cpu(), eye) and bool((dense.bias == shift).all())


@torch.no_grad()
def make_linear(model: Any) -> None:  # torch gives no types to submodules
    """Bring the model into training form: with the head that `saved_form` left, or else with one of zeros.

    Zeros: the loss is convex in the head, so nothing is gained from noise, and an untrained head prefers no class.
    """
    kept = _from_saved(model) if was_linear(model) else None
    dense, scale, shift = _dense(model)
    dense.weight.copy_(scale * torch.eye(dense.weight.shape[0]))
    nn.init.constant_(dense.bias, shift)
    last = UnitLinear(model.config.hidden_size, model.config.num_labels or 0).to(dense.weight)
    match model.config.model_type:
        case "bert":
            modules: dict[str, nn.Module] = {"bert.pooler": _FirstState(), "classifier": last}
        case "distilbert":
            dropout = nn.Sequential(_Add(-_SHIFT), model.dropout)
            modules = {"pre_classifier": _Add(_SHIFT), "dropout": dropout, "classifier": last}
        case _:
            modules = {"classifier": _RobertaHead(model.classifier.dropout, last)}
    setattr(model, _ATTRIBUTE, _OtherForm(modules))
    _swap(model)
    weight, bias = kept or (torch.zeros_like(last.weight), torch.zeros_like(last.bias))
    set_linear(model, weight, bias)


def last_layer(model: Any) -> UnitLinear:
    """The linear layer of a model in training form, (C, D)."""
    head = model.classifier
    return head.out_proj if isinstance(head, _RobertaHead) else head


def linear_logits(model: Any, features: Tensor) -> Tensor:
    """What a model in training form makes of the first states, (B, D) -> (B, C), with its dropout."""
    if isinstance(model.classifier, _RobertaHead):
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
    last.weight.copy_(weight * math.sqrt(last.in_features))
    last.bias.copy_(bias)


@torch.no_grad()
def add_penalty(model: PreTrainedModel, penalty: float) -> None:
    """Add to the gradient of a linear head that of penalty/2 |W|^2: with it the loss is that of logistic regression."""
    last = last_layer(model)
    if last.weight.grad is not None:
        last.weight.grad.add_(last.weight, alpha=penalty)


@contextmanager
def saved_form(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """Within this block the model is an ordinary one of its class; one without a linear head is that already."""
    if not is_linear(model):
        yield model
        return
    last = last_layer(model)
    _swap(model)
    try:
        _to_saved(model, last)
        yield model
    finally:
        _swap(model)


def _dense(model: Any) -> tuple[nn.Linear, float, float]:
    """Of a model in its saved form the layer before the nonlinearity, and the scale and shift that make it linear."""
    match model.config.model_type:
        case "bert":
            return model.bert.pooler.dense, _SCALE, 0.0
        case "distilbert":
            return model.pre_classifier, 1.0, _SHIFT
        case _:
            return model.classifier.dense, _SCALE, 0.0


def _ordinary_last(model: Any) -> nn.Linear:
    return model.classifier if isinstance(model.classifier, nn.Linear) else model.classifier.out_proj


@torch.no_grad()
def _to_saved(model: PreTrainedModel, last: UnitLinear) -> None:
    _, scale, shift = _dense(model)
    weight = last.weight.double() / math.sqrt(last.in_features)
    _ordinary_last(model).weight.copy_(weight / scale)
    _ordinary_last(model).bias.copy_(last.bias.double() - shift * weight.sum(dim=1))


@torch.no_grad()
def _from_saved(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """(C, D) and (C,)"""
    _, scale, shift = _dense(model)
    last = _ordinary_last(model)
    weight = last.weight.double() * scale
    return weight, last.bias.double() + shift * weight.sum(dim=1)


def _swap(model: PreTrainedModel) -> None:
    """Put the modules of the other form into the model, and keep those that were there.

    A model that was moved (`model.to`) left them behind.
    """
    other: _OtherForm = getattr(model, _ATTRIBUTE)
    device, dtype = model.device, model.dtype
    for name, module in other.modules.items():
        other.modules[name] = model.get_submodule(name)
        model.set_submodule(name, module.to(device=device, dtype=dtype))
