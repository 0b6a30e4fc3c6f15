"""Linear layers in int8 on a CPU: one scale per output of the weights, one per row of the inputs.

A row is scaled by its largest absolute value and the sums are of integers, so the output of a layer is bit-identical in
any batch. Attention is in float32; there a batch can change the last bit, and rounding here can amplify it. The kernel
is oneDNN's, through the operators that torch.compile uses.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Int8Linear(NamedTuple):
    weight: Tensor  # packed by oneDNN
    scales: Tensor  # (outputs,)
    zeros: Tensor  # (outputs,)
    bias: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> "Int8Linear":  # (outputs, inputs), (outputs,)
        scales = weight.abs().amax(dim=1).clamp_min(1e-12) / 127
        integers = (weight / scales[:, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(integers, None)
        return cls(packed, scales, torch.zeros(len(weight), dtype=torch.int64), bias)

    def __call__(self, hidden: Tensor) -> Tensor:  # (..., inputs) -> (..., outputs)
        rows = hidden.flatten(0, -2)
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        integers = (rows / scale).round_().add_(128).to(torch.uint8)
        output = torch.ops.onednn.qlinear_pointwise(
            integers, 1.0, 128, self.weight, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        ).mul_(scale)
        if self.bias is not None:
            output += self.bias
        return output.unflatten(0, hidden.shape[:-1])
