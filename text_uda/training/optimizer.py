"""Parameter groups: which weights decay, and the factor of the learning rate of each layer."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from text_uda.model.classifier import depth, layers
from text_uda.model.joined_columns import join_weights
from text_uda.model.linear_head import is_linear, last_layer

# Parts of an encoder above its layers; all other parts outside the layers are embeddings.
_ABOVE = ("pooler", "final_norm")


def parameter_groups(
    model: PreTrainedModel,
    *,
    weight_decay: float,
    layer_decay: float = 1.0,
    head_factor: float = 1.0,
    fusion_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """The trained weights in groups with the same decay and learning rate, `factor` times the base rate.

    Matrices decay. Biases and layer norms do not (Devlin et al. 2019, Appendix A.2), nor does a linear head, which has
    a penalty instead. Weights outside the encoder are the head, with the factor `head_factor`, and those of a fusion,
    with the factor `fusion_factor`.

    With a layer decay of d, layer l of L (from 1) has the factor d^(L - l), the embeddings d^L, and the pooler 1.
    Source: Sun et al. 2019 (arXiv 1905.05583), Section 5.3.3, where the top layer also has the base rate; in Clark et
    al. 2020 (ELECTRA) it is two powers below the head.

    Args:
        model: the encoder and its head.
    Returns:
        groups for an optimizer, with `params`, `weight_decay` and `factor`; the largest factor first.
    """
    factors = {} if layer_decay == 1 else _factors(model, layer_decay)
    encoder = set(model.base_model.parameters())
    penalised = set(last_layer(model).parameters()) if is_linear(model) else set()
    fusion = join_weights(model)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            outside = fusion_factor if parameter in fusion else head_factor
            factor = factors.get(parameter, 1.0) if parameter in encoder else outside
            decays = parameter.ndim > 1 and parameter not in penalised
            groups.setdefault((factor, decays), []).append(parameter)
    return [
        {"params": groups[factor, decays], "weight_decay": weight_decay if decays else 0.0, "factor": factor}
        for factor, decays in sorted(groups, reverse=True)
    ]


def _factors(model: PreTrainedModel, layer_decay: float) -> dict[nn.Parameter, float]:
    encoder_layers = layers(model)[: depth(model)]  # without an appended layer
    factors = {
        parameter: layer_decay ** (len(encoder_layers) - number)
        for number, layer in enumerate(encoder_layers, start=1)
        for parameter in layer.parameters()
    }
    appended = {parameter for layer in layers(model)[len(encoder_layers) :] for parameter in layer.parameters()}
    for name, parameter in model.base_model.named_parameters():
        above = any(part in _ABOVE for part in name.split(".")) or parameter in appended
        factors.setdefault(parameter, 1.0 if above else layer_decay ** len(encoder_layers))
    return factors
