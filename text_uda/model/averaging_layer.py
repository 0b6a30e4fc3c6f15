"""Mean pooling as one more BERT layer, so that a sentence encoder stays an ordinary model.

Sentence encoders (such as all-MiniLM) represent a text by the *mean* of its token states, which no BERT head reads.
With queries and keys of zero, the layer attends to all tokens alike; its values pass unchanged; its projection scales
the mean until the residual path vanishes in the layer norm; its feed-forward part adds zero. Every output state is
LayerNorm(mean of the states), to 1e-4.

An ordinary BERT layer computes this with matrices of zeros and ones. `AveragingLayer` has the same weights and takes
the mean directly.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from text_uda.model.segments import Segments

# Weight of the mean over the residual path: the result is exact to 1e-4, and fp16 does not overflow.
_SCALE = 2.0**14


class AveragingLayer(BertLayer):
    """A BERT layer whose weights compute the mean; its forward takes the mean without multiplying by them."""

    def forward(
        self,
        hidden_states: Float[Tensor, "B T D"],
        attention_mask: Tensor | None = None,
        *arguments: Any,
        segments: Segments | None = None,
        **named: Any,
    ) -> Float[Tensor, "B T D"]:
        """The mean of each row at all of its positions.

        With `segments`, rows are packed: B is 1 and T all tokens, and what fills them up.
        """
        states = hidden_states.float() if hidden_states.dtype != torch.float64 else hidden_states
        if segments is None:
            mean = _masked_mean(states, attention_mask)  # (B, 1, D)
        else:
            rows, tokens = len(segments.lengths), len(segments.rows)
            sums = states.new_zeros(rows, states.shape[-1]).index_add(0, segments.rows, states[0, :tokens])
            mean = (sums / segments.lengths.clamp_min(1)[:, None].to(states.dtype))[segments.rows][None]
            mean = pad(mean, (0, 0, 0, states.shape[1] - tokens))
        return layer_norm(_SCALE * mean + states, mean.shape[-1:], eps=self.output.LayerNorm.eps)


def _masked_mean(
    states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B 1 Q T"] | Float[Tensor, "B 1 Q T"] | None
) -> Float[Tensor, "B 1 D"]:
    """The mean over the positions that the first position attends to.

    Args:
        mask: True or 0 at positions to attend to, False or a large negative number elsewhere; None for all positions.
            Q is 1 or T.
    """
    if mask is None:
        return states.mean(dim=1, keepdim=True)
    attended = mask[:, 0, :1]  # (B, 1, T)
    weights = (attended if attended.dtype == torch.bool else attended > -1).to(states.dtype)
    with torch.autocast(states.device.type, enabled=False):  # bf16 would round the product
        return weights @ states / weights.sum(dim=-1, keepdim=True).clamp_min(1)


@torch.no_grad()
def append_averaging_layer(model: PreTrainedModel) -> None:
    """Append the layer to a BERT encoder; the configuration gets one more layer and the field `averaging_layer`."""
    config = model.config
    base: Any = model.base_model  # torch has no types for submodules
    layer = AveragingLayer(config)
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for weight, value in _averaging_weights(layer):
        weight.copy_(value)
    base.encoder.layer.append(layer)
    config.num_hidden_layers += 1
    config.averaging_layer = True


@torch.no_grad()
def restore_averaging_layer(model: PreTrainedModel) -> None:
    """In a model opened from a folder, make the last layer an `AveragingLayer` if its weights compute the mean."""
    if not getattr(model.config, "averaging_layer", False) or model.config.model_type != "bert":
        return
    base: Any = model.base_model  # torch has no types for submodules
    last = base.encoder.layer[-1]
    if type(last) is not BertLayer:
        return
    if all(torch.equal(weight, value.to(weight)) for weight, value in _averaging_weights(last)):
        last.__class__ = AveragingLayer


def _averaging_weights(layer: Any) -> list[tuple[Tensor, Tensor]]:
    """Each parameter of the layer, with the value for which the layer computes the mean."""
    eye = torch.eye(layer.attention.self.value.weight.shape[0])
    special = {"attention.self.value.weight": eye, "attention.output.dense.weight": _SCALE * eye}
    return [
        (parameter, special.get(name, torch.full_like(parameter, float(name.endswith("LayerNorm.weight")))))
        for name, parameter in layer.named_parameters()
    ]
