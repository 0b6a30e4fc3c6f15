"""Random tensors from keys, one key for each row: a draw does not depend on the batch, the padding or the process.

Shapes: B rows of this process.
"""

import math

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from text_uda import distributed

# SplitMix64 (Steele, Lea & Flood 2014): its increment and the two factors of its mixing function, as signed numbers.
_INCREMENT = 0x9E3779B97F4A7C15 - 2**64
_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


class seeded_torch:
    """A block in which torch's random numbers depend on `seed` alone; on exit, the previous state is restored."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []  # not the other processes' GPUs
        self._fork = torch.random.fork_rng(devices)

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error) -> None:
        self._fork.__exit__(*error)


def row_keys(key: int, rows: int, *, device: torch.device) -> Int64[Tensor, " B"]:
    """A key for each row of this process, from `key` (63 bits) and the row's index among the rows of all processes."""
    indices = torch.arange(rows, device=device) + distributed.rank() * rows
    return _mix_bits(_mix_bits(indices * _INCREMENT + key) + key)


def uniform(keys: Int64[Tensor, " B"], *shape: int) -> Float32[Tensor, " B *shape"]:
    """Uniform numbers in [0, 1). Each depends on its row's key and its position in `shape`.

    Positions count along the last axes first, so a longer first axis (more padding) leaves the other numbers as they
    are.
    """
    return (_bits(keys, shape) >> 40 & 0xFFFFFF) * 2.0**-24


def normal(keys: Int64[Tensor, " B"], *shape: int) -> Float32[Tensor, " B *shape"]:
    """Standard normal numbers, keyed as in `uniform`. Box & Muller 1958."""
    bits = _bits(keys, shape)
    radius = torch.sqrt(-2 * torch.log(((bits >> 32 & 0xFFFFFFFF) + 0.5) * 2.0**-32))
    return radius * torch.cos((bits & 0xFFFFFFFF) * (2 * math.pi * 2.0**-32))


def _bits(keys: Int64[Tensor, " B"], shape: tuple[int, ...]) -> Int64[Tensor, " B *shape"]:
    """64 bits for each number; products wrap around, as SplitMix64 requires."""
    positions = torch.arange(1, math.prod(shape) + 1, device=keys.device).view(shape)
    return _mix_bits(keys.view(-1, *(1 for _ in shape)) + positions * _INCREMENT)


def _mix_bits(bits: Int64[Tensor, "*axes"]) -> Int64[Tensor, "*axes"]:
    bits = (bits ^ (bits >> 30 & 0x3FFFFFFFF)) * _FACTORS[0]
    bits = (bits ^ (bits >> 27 & 0x1FFFFFFFFF)) * _FACTORS[1]
    return bits ^ (bits >> 31 & 0x1FFFFFFFF)
