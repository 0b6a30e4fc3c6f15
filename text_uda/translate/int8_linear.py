"""Linear layers in 8 bits on a CPU: weights by output, inputs by row.

Each row is scaled by its own largest number and what is added up is whole numbers, so a layer's output is the same to
the bit in any batch; but a last bit that attention, in float32, has different may be rounded to another whole number
here. The kernel is oneDNN's, by way of the operators that torch.compile uses for it.
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
        whole = (weight / scales[:, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(whole, None)
        return cls(packed, scales, torch.zeros(len(weight), dtype=torch.int64), bias)

    def __call__(self, hidden: Tensor) -> Tensor:  # (..., inputs) -> (..., outputs)
        rows = hidden.flatten(0, -2)
        largest = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        whole = (rows / largest).round_().add_(128).to(torch.uint8)
        made = torch.ops.onednn.qlinear_pointwise(
            whole, 1.0, 128, self.weight, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        ).mul_(largest)
        if self.bias is not None:
            made += self.bias
        return made.unflatten(0, hidden.shape[:-1])
