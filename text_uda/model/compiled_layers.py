"""Encoder layers compiled by `torch.compile`, which on a GPU in 16 bits also replay CUDA graphs.

A step of some thousand tokens is bound by the time of its calls: on an H100 a UDA step of BERT-base with 6,400 tokens
launches 1,800 kernels, which takes four times as long as they run. A graph is one call for all kernels of a layer. It
has fixed shapes, so tokens are filled up to one of few numbers (see `packing.filled`), and rows too.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from text_uda.model.attention import AttentionOptions, attend_varlen, fits_kernel, kernel_works
from text_uda.model.cuda import SIXTEEN_BITS
from text_uda.model.packing import NAME, packed_attention, token_heads
from text_uda.model.segments import Segments


def compile_layers(layers: list[nn.Module], *, backend: str = "inductor", graphs: bool = False) -> None:
    """Compile the layers, for any number of tokens.

    Copy a layer before this: a later copy would run the layer that it was copied from.

    Args:
        graphs: where the kernel for rows of any lengths runs, replay a CUDA graph for each number of tokens. Not for
            layers that a backward pass runs again to save memory.
    """
    AttentionInterface.register(NAME, _attention())
    if graphs:
        import torch._dynamo
        import torch._inductor.config  # here, since both take long to import

        # PyTorch takes each call of a compiled function for a new step, and would reuse the memory of the layer before.
        # Once somebody marks steps, it reuses memory only after all that refer to it are gone.
        torch.compiler.cudagraph_mark_step_begin()
        torch._dynamo.config.recompile_limit = max(_VARIANTS, torch._dynamo.config.recompile_limit)
        torch._inductor.config.triton.cudagraph_dynamic_shape_warn_limit = None  # there are few: see `filled`
    for layer in layers:
        layer.forward = _CompiledForward(layer, backend, graphs=graphs)


_VARIANTS = 64
"""The most compilations of one layer's code: with and without gradient, in training and evaluation, with each kind of
attention that ModernBERT's layers have."""


class _CompiledForward:
    """Replaces the forward of a layer."""

    def __init__(self, layer: nn.Module, backend: str, *, graphs: bool) -> None:
        self._weight = next(layer.parameters())
        self._plain = torch.compile(layer.forward, dynamic=True, backend=backend)
        mode: dict[str, Any] = {"mode": "reduce-overhead"} if backend == "inductor" else {"backend": backend}
        self._graphed = torch.compile(layer.forward, dynamic=True, **mode) if graphs else None
        self._awaited: weakref.ref[_Backward] | None = None  # gone with its autograd graph, after an error say

    def __call__(self, *arguments: Any, segments: Segments | None = None, **named: Any) -> Any:
        if segments is None:
            return self._plain(*arguments, **named)
        run = self._graphed if self._graphed and segments.as_graph else self._plain
        return run(*arguments, segments=segments, **named)

    def can_replay(self) -> bool:
        """Whether the next pass, of rows of known lengths, can replay a graph.

        Not before the backward pass of the pass before: its activations have to stay, so the two would be recorded as
        one graph for each pair of their numbers of tokens. Nor in inference mode: batches of an evaluation are large.
        """
        device = self._weight.device
        in_16_bits = torch.is_autocast_enabled("cuda") or self._weight.dtype in SIXTEEN_BITS
        if self._graphed is None or self.awaits_backward or torch.is_inference_mode_enabled():
            return False
        return device.type == "cuda" and in_16_bits and kernel_works(device)

    @property
    def awaits_backward(self) -> bool:
        """Whether a graph has run whose backward pass may still come."""
        awaited = self._awaited and self._awaited()
        return awaited is not None and not awaited.begun

    def watched(self, output: Tensor) -> Tensor:
        """The output of the last layer, as part of an autograd graph that `awaits_backward` follows."""
        if not output.requires_grad:
            return output
        awaited = _Backward()
        self._awaited = weakref.ref(awaited)
        return _Watched.apply(output, awaited)  # pyright: ignore[reportReturnType]


class _Backward:
    """A backward pass: has it begun?"""

    begun = False


class _Watched(torch.autograd.Function):
    """The identity; its node in the autograd graph holds a `_Backward`."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, awaited: _Backward) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.awaited = awaited
        return states.view_as(states)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.awaited.begun = True
        return gradient, None


def _attention() -> Callable[..., Any]:
    """The attention of compiled layers: in a graph, the kernel; else outside of what is compiled, because its calls
    depend on the lengths of the rows."""
    outside: Any = torch.compiler.disable(packed_attention)

    def attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **named: Any) -> Any:
        segments = named.get("segments")
        if segments is None or not segments.as_graph or not fits_kernel(query):
            return outside(module, query, key, value, mask, **named)
        options = AttentionOptions(named.get("dropout", 0.0), named.get("scaling"), named.get("sliding_window"))
        query, key, value = (token_heads(tensor) for tensor in (query, key, value))
        return attend_varlen(query, key, value, segments, options)[None], None

    return attention
