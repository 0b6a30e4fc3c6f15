"""The linear layers of an encoder on a CPU, without gradients: weights packed once, bias and GELU inside the product.

torch packs the weights of a linear layer anew in each call, and reads and writes its result once more for GELU. oneDNN
takes weights that are packed already, and finishes each block of the product while it is in the cache. In fp32 the
result is that of torch to rounding; in bf16 GELU reads sums that are not rounded yet.

The operators are those that torch's compiler generates. They have no public name, so they are tried once in a process.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, linear
from transformers import PreTrainedModel
from transformers.activations import GELUActivation

from text_uda.model.precision import ResolvedPrecision

log = logging.getLogger("text_uda")

MIN_TOKENS = 1024
"""Tokens from which on packing takes less time than it saves."""

_ROWS = 4096  # tokens of a product, for which the weights are packed; others work too
_in_use = Lock()


@contextmanager
def fused_linear(model: PreTrainedModel, precision: ResolvedPrecision, *, tokens: int | None = None) -> Iterator[None]:
    """A block without gradients, in which the encoder's linear layers run with packed weights if that is faster.

    It packs a copy of the weights, which lives as long as the block. An encoder on a GPU, not in float32, or compiled
    runs as it is, and so does one that gets few tokens. One block at a time packs: in another thread it does nothing.
    A step with gradients that another thread makes meanwhile runs the layers as they are.

    Args:
        tokens: that pass through the encoder in the block, if their number may decide. None: any number is packed for,
            so that the result depends on the rows alone.
    """
    assert not torch.is_grad_enabled(), "the fused product has no gradient"
    with ExitStack() as replaced:
        is_long = tokens is None or tokens >= MIN_TOKENS
        if is_long and _is_plain(model) and _operators_work() and _in_use.acquire(blocking=False):
            replaced.callback(_in_use.release)
            for module, forward in _forwards(model.base_model, precision):
                replaced.callback(vars(module).pop, "forward", None)
                module.forward = forward
        yield


def _is_plain(model: PreTrainedModel) -> bool:
    on_cpu = model.device.type == "cpu" and model.dtype == torch.float32
    return on_cpu and not any("forward" in vars(module) for module in model.modules())  # compiled, or wrapped


def _forwards(encoder: nn.Module, precision: ResolvedPrecision) -> Iterator[tuple[nn.Module, Callable[..., Tensor]]]:
    """The modules whose forward is replaced, and by what."""
    in_parent: set[nn.Module] = set()
    for module in encoder.modules():  # a parent comes before its parts
        activation = getattr(module, "intermediate_act_fn", None)  # of a BERT's feed-forward layer
        if isinstance(activation, GELUActivation) and type(module.dense) is nn.Linear:
            in_parent.add(module.dense)
            yield module, partial(_without_gradients, module.forward, _packed(module.dense, precision, "gelu"))
        elif type(module) is nn.Linear and module not in in_parent:
            yield module, partial(_without_gradients, module.forward, _packed(module, precision, "none"))


def _without_gradients(
    plain: Callable[[Tensor], Tensor], product: Callable[[Tensor], Tensor], hidden_states: Tensor
) -> Tensor:
    return plain(hidden_states) if torch.is_grad_enabled() else product(hidden_states)


def _packed(layer: nn.Linear, precision: ResolvedPrecision, activation: str) -> Callable[[Tensor], Tensor]:
    """The layer and its activation, "gelu" or "none", as one function."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype).contiguous(), _ROWS)
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    return partial(_product, weight=weight, bias=bias, dtype=dtype, activation=activation)


def _product(
    hidden_states: Float[Tensor, "*rows D"],
    *,
    weight: Tensor,
    bias: Tensor | None,
    dtype: torch.dtype,
    activation: str,
) -> Float[Tensor, "*rows O"]:
    values = hidden_states.to(dtype)
    return torch.ops.mkldnn._linear_pointwise(values, weight, bias, activation, [], "none")


@cache
def _operators_work() -> bool:
    """Whether the operators run on this CPU and agree with torch's, in both precisions: one small call, once."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(32, 64, device="meta")
    layer.weight = nn.Parameter(torch.randn(64, 32, generator=generator) / 32**0.5)
    layer.bias = nn.Parameter(torch.randn(64, generator=generator))
    rows = torch.randn(2, 3, 32, generator=generator)
    with torch.autocast("cpu", enabled=False):  # the first call may be in a block of bf16
        expected = gelu(linear(rows, layer.weight, layer.bias))
    try:
        errors = [(_packed(layer, precision, "gelu")(rows) - expected).abs().max() for precision in ("fp32", "bf16")]
        works, reason = bool(errors[0] < 1e-5) and bool(errors[1] < 0.05), "its results are wrong"
    except (RuntimeError, TypeError, ValueError) as error:
        works, reason = False, " ".join(str(error).split())
    if not works:
        log.warning("linear layers run without packed weights: oneDNN's product fails here (%s)", reason)
    return works
