"""A linear head for model classes whose standard head is not linear.

A linear head has a convex loss and keeps all information of a good feature. The classes of BERT, RoBERTa and ALBERT
apply a tanh between the feature and the last layer, DistilBERT's a ReLU, those of ELECTRA and DeBERTa a GELU. So a
model with a linear head has two forms:

    in training    logits = W dropout(h) / sqrt(D) + b, with h the first state, (B, D)
    as saved       the standard head in its linear range:
                   tanh(s h) ~ s h with W / (s sqrt(D));  ReLU(h + c);  GELU(h + c)

Layer norm gives h a norm of about sqrt(D), so W acts on vectors of norm 1, as in logistic regression on normalised
features, and the learning rates and penalties of logistic regression suit it. `saved_form` converts to the second form
and back. Both give the same logits to 1e-4.

Shapes: B rows, T tokens, D width, C classes.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

# tanh(s h) differs from s h by a relative (s h)^2 / 3: 8e-6 at |h| = 20, which layer norm allows at a width of 400.
_SCALE = 2.0**-12
# ReLU(h + c) is h + c for h > -c, and GELU(h + c) for h > 6 - c; adding c rounds h to multiples of 2^-18.
_SHIFT = 32.0

CLASSIFIER_OF_STATES = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text"),
    *("mpnet", "longformer", "electra", "big_bird"),
)
"""Types whose `classifier` takes all states, reads the first one and ends in `out_proj`."""

_DENSE = {
    "bert": "bert.pooler.dense",
    "albert": "albert.pooler",
    "deberta": "pooler.dense",
    "deberta-v2": "pooler.dense",
    "distilbert": "pre_classifier",
    **dict.fromkeys(CLASSIFIER_OF_STATES, "classifier.dense"),
}
"""The layer before the nonlinearity, by type."""

_SHIFTED = {"distilbert": "relu", "electra": "gelu"}  # the nonlinearity, where no field of the configuration names it
_NONLINEARITY = {"deberta": "pooler_hidden_act", "deberta-v2": "pooler_hidden_act", "big_bird": "hidden_act"}
_ATTRIBUTE = "linear_head"  # present in a model in training form


class UnitLinear(nn.Linear):
    """W h / sqrt(D) + b."""

    def forward(self, input: Float[Tensor, "*B D"]) -> Float[Tensor, "*B C"]:  # named `input` as in nn.Linear
        return linear(input / math.sqrt(self.in_features), self.weight, self.bias)


class _FirstState(nn.Module):
    def forward(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        return states[:, 0]


class _StatesHead(nn.Module):
    def __init__(self, dropout: nn.Module, last: UnitLinear) -> None:
        super().__init__()
        self.dropout, self.out_proj = dropout, last

    def forward(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B C"]:
        return self.out_proj(self.dropout(states[:, 0]))


class _Add(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, values: Tensor) -> Tensor:
        return values + self.value


@dataclass
class _OtherForm:
    """Modules of the form that the model is not in, by module name."""

    modules: dict[str, nn.Module]


def can_be_linear(model: PreTrainedModel) -> bool:
    """Whether the model's class can have a linear head."""
    return model.config.model_type in _DENSE


def is_linear(model: PreTrainedModel) -> bool:
    """Whether the model has a linear head, in training form."""
    return hasattr(model, _ATTRIBUTE)


def is_saved_linear(model: PreTrainedModel) -> bool:
    """Whether a model, as opened from a folder, has a linear head in its saved form."""
    if not can_be_linear(model):
        return False
    dense, scale, shift = _dense(model)
    if dense.weight.shape[0] != dense.weight.shape[1]:
        return False
    eye = scale * torch.eye(dense.weight.shape[0])
    return torch.equal(dense.weight.detach().cpu(), eye) and bool((dense.bias == shift).all())


@torch.no_grad()
def make_linear(model: Any) -> None:  # torch gives no types to submodules
    """Convert the model to training form, with the linear head that it was saved with, or else a head of zeros.

    Zeros, because the loss is convex in the head, so random weights gain nothing, and a head of zeros prefers no class.
    """
    saved = _from_saved(model) if is_saved_linear(model) else None
    dense, scale, shift = _dense(model)
    dense.weight.copy_(scale * torch.eye(dense.weight.shape[0]))
    nn.init.constant_(dense.bias, shift)
    last = UnitLinear(model.config.hidden_size, model.config.num_labels or 0).to(dense.weight)
    match model.config.model_type:
        case "bert":
            modules: dict[str, nn.Module] = {"bert.pooler": _FirstState(), "classifier": last}
        case "deberta" | "deberta-v2":
            modules = {"pooler": _FirstState(), "classifier": last}
        case "albert":
            modules = {"albert.pooler": nn.Identity(), "albert.pooler_activation": nn.Identity(), "classifier": last}
        case "distilbert":
            dropout = nn.Sequential(_Add(-_SHIFT), model.dropout)
            modules = {"pre_classifier": _Add(_SHIFT), "dropout": dropout, "classifier": last}
        case _:
            modules = {"classifier": _StatesHead(model.classifier.dropout, last)}
    setattr(model, _ATTRIBUTE, _OtherForm(modules))
    _swap_forms(model)
    weight, bias = saved or (torch.zeros_like(last.weight), torch.zeros_like(last.bias))
    set_linear(model, weight, bias)


def last_layer(model: Any) -> UnitLinear:
    """The linear layer of a model in training form, (C, D)."""
    head = model.classifier
    return head.out_proj if isinstance(head, _StatesHead) else head


def linear_logits(model: Any, features: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
    """The logits of a model in training form, with its dropout, from the first states."""
    if isinstance(model.classifier, _StatesHead):
        return model.classifier(features[:, None])
    dropout = model.dropout[1] if model.config.model_type == "distilbert" else model.dropout
    return model.classifier(dropout(features))


@torch.no_grad()
def set_linear(model: PreTrainedModel, weight: Float[Tensor, "C D"], bias: Float[Tensor, " C"]) -> None:
    """Set the head of a model in training form, so that its logits are weight @ h + bias."""
    last = last_layer(model)
    last.weight.copy_(weight * math.sqrt(last.in_features))
    last.bias.copy_(bias)


@torch.no_grad()
def add_penalty(model: PreTrainedModel, penalty: float) -> None:
    """Add the gradient of penalty/2 |W|^2 to the gradient of the linear head: the loss of logistic regression."""
    last = last_layer(model)
    if last.weight.grad is not None:
        last.weight.grad.add_(last.weight, alpha=penalty)


@contextmanager
def saved_form(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """A block in which the model has the standard head of its class. A model without a linear head stays as it is."""
    if not is_linear(model):
        yield model
        return
    last = last_layer(model)
    _swap_forms(model)
    try:
        _to_saved(model, last)
        yield model
    finally:
        _swap_forms(model)


def _dense(model: Any) -> tuple[nn.Linear, float, float]:
    """The layer before the nonlinearity of a model in saved form, and its scale and shift in the linear range."""
    kind = model.config.model_type
    field = _NONLINEARITY.get(kind)
    function = _SHIFTED.get(kind, "tanh") if field is None else getattr(model.config, field)
    return model.get_submodule(_DENSE[kind]), *((_SCALE, 0.0) if function == "tanh" else (1.0, _SHIFT))


def _saved_last_layer(model: Any) -> nn.Linear:
    return model.classifier if isinstance(model.classifier, nn.Linear) else model.classifier.out_proj


@torch.no_grad()
def _to_saved(model: PreTrainedModel, last: UnitLinear) -> None:
    _, scale, shift = _dense(model)
    weight = last.weight.double() / math.sqrt(last.in_features)
    _saved_last_layer(model).weight.copy_(weight / scale)
    _saved_last_layer(model).bias.copy_(last.bias.double() - shift * weight.sum(dim=1))


@torch.no_grad()
def _from_saved(model: PreTrainedModel) -> tuple[Float[Tensor, "C D"], Float[Tensor, " C"]]:
    """Weight and bias of the linear head."""
    _, scale, shift = _dense(model)
    last = _saved_last_layer(model)
    weight = last.weight.double() * scale
    return weight, last.bias.double() + shift * weight.sum(dim=1)


def _swap_forms(model: PreTrainedModel) -> None:
    """Exchange the modules of the model with the modules of its other form.

    `model.to` does not move the other form, so device and type are set here.
    """
    other: _OtherForm = getattr(model, _ATTRIBUTE)
    device, dtype = model.device, model.dtype
    for name, module in other.modules.items():
        other.modules[name] = model.get_submodule(name)
        model.set_submodule(name, module.to(device=device, dtype=dtype))
