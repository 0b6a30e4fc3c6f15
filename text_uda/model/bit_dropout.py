"""Dropout on a CPU from 16 random bits for each element: torch's own draws 64, which takes four times as long.

The bits come from torch's generator, so a seed, a fork of the generator and a pass that is run again have the same
effect on them as on torch's dropout. In bf16 and in fp32 the same elements are dropped.
"""

import math

import torch
from torch import Tensor, nn

_LEVELS = 2**16


def use_bit_dropout(model: nn.Module) -> None:
    """Replace the dropout layers of the model. They have no weights, so what is saved stays the same."""
    for parent in model.modules():
        for name, child in list(parent._modules.items()):  # a layer may have two names
            if type(child) is nn.Dropout:
                setattr(parent, name, BitDropout(child.p).train(child.training))


class BitDropout(nn.Dropout):
    """On a CPU `dropped`; elsewhere, and in compiled code, torch's dropout."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        return dropped(input, self.p)


def dropped(values: Tensor, probability: float) -> Tensor:
    """`values` with each element 0 with this probability (rounded to 2^-16), and the others scaled to the same mean."""
    level = round(probability * _LEVELS)
    if level == 0:
        return values
    if level == _LEVELS:
        return values * 0
    elements = math.prod(values.shape)
    words = torch.empty(-(-elements // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:elements].view(values.shape)
    factors = torch.empty(values.shape, dtype=values.dtype)
    torch.ge(bits, level - _LEVELS // 2, out=factors)
    return values * factors.mul_(_LEVELS / (_LEVELS - level))
