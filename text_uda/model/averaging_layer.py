"""Mean pooling as one more BERT layer, so that a sentence encoder stays an ordinary model.

Sentence encoders (such as all-MiniLM) carry their meaning in the *mean* of the token states, which no BERT head reads.
The layer's queries and keys of zero attend to all tokens alike; its values pass unchanged; its projection scales the
mean so that the residual path vanishes in the layer norm; its feed-forward part adds zero. Every state it gives is
LayerNorm(mean of the states), to 1e-4.

An ordinary BERT layer does all of that with matrices of zeros and ones. `AveragingLayer`, with the same weights,
takes the mean.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from text_uda.model.packing import Segments

# By how much the mean outweighs the residual path: it is exact to 1e-4, and fp16 does not overflow.
_SCALE = 2.0**14


class AveragingLayer(BertLayer):
    """A BERT layer whose weights make it the mean, and which takes that without multiplying by them."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *arguments: Any,
        segments: Segments | None = None,
        **named: Any,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), or, with the segments of packed rows, (1, N, D) -> (1, N, D)."""
        states = hidden_states.float() if hidden_states.dtype != torch.float64 else hidden_states
        if segments is None:
            mean = _mean(states, attention_mask)  # (B, 1, D)
        else:
            rows = len(segments.lengths)
            sums = states.new_zeros(rows, states.shape[-1]).index_add(0, segments.rows, states[0])
            mean = (sums / segments.lengths.clamp_min(1)[:, None].to(states.dtype))[segments.rows][None]
        return layer_norm(_SCALE * mean + states, mean.shape[-1:], eps=self.output.LayerNorm.eps)


def _mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """Of the places that the first one attends to. (B, T, D) -> (B, 1, D)

    Args:
        mask: (B, 1, T or 1, T), True or 0 where there is something to attend to, False or a large negative number
            elsewhere; None for everywhere.
    """
    if mask is None:
        return states.mean(dim=1, keepdim=True)
    seen = mask[:, 0, :1]  # (B, 1, T)
    weights = (seen if seen.dtype == torch.bool else seen > -1).to(states.dtype)
    with torch.autocast(states.device.type, enabled=False):  # in bf16, a product would be rounded
        return weights @ states / weights.sum(dim=-1, keepdim=True).clamp_min(1)


@torch.no_grad()
def append_averaging_layer(model: PreTrainedModel) -> None:
    """Append the layer to a BERT encoder, which then has one layer more and says `averaging_layer` in its config."""
    config = model.config
    base: Any = model.base_model  # torch gives no types to submodules
    layer = AveragingLayer(config)
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for weight, value in _expected(layer):
        weight.copy_(value)
    base.encoder.layer.append(layer)
    config.num_hidden_layers += 1
    config.averaging_layer = True


@torch.no_grad()
def take_the_mean(model: PreTrainedModel) -> None:
    """Let a model that was opened from a folder take the mean where its last layer is nothing else."""
    if not getattr(model.config, "averaging_layer", False) or model.config.model_type != "bert":
        return
    base: Any = model.base_model  # torch gives no types to submodules
    last = base.encoder.layer[-1]
    if type(last) is BertLayer and all(torch.equal(weight, value.to(weight)) for weight, value in _expected(last)):
        last.__class__ = AveragingLayer


def _expected(layer: Any) -> list[tuple[Tensor, Tensor]]:
    """The layer's parameters, each with the value that makes it an average."""
    eye = torch.eye(layer.attention.self.value.weight.shape[0])
    special = {"attention.self.value.weight": eye, "attention.output.dense.weight": _SCALE * eye}
    return [
        (parameter, special.get(name, torch.full_like(parameter, float(name.endswith("LayerNorm.weight")))))
        for name, parameter in layer.named_parameters()
    ]
