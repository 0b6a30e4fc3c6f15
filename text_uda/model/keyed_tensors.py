"""Random tensors from keys: each row has its own, so a draw does not depend on the batch, padding or process around it.

Shapes: B rows of this process.
"""

import math

import torch
from torch import Tensor

from text_uda import distributed

# SplitMix64 (Steele, Lea & Flood 2014): its increment and the two factors of its mixing function, as signed numbers.
_INCREMENT = 0x9E3779B97F4A7C15 - 2**64
_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


class keyed_random:
    """Within this block torch's random numbers depend on `seed` alone; afterwards its state is what it was."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []  # not those of other processes
        self._fork = torch.random.fork_rng(devices)

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error) -> None:
        self._fork.__exit__(*error)


def row_keys(key: int, rows: int, *, device: torch.device) -> Tensor:
    """A key for each row of this process, from the row's place among those of all processes. (B,) int64

    Args:
        key: 63 bits.
        rows: B.
    """
    places = torch.arange(rows, device=device) + distributed.rank() * rows
    return _mixed(_mixed(places * _INCREMENT + key) + key)


def uniform(keys: Tensor, *shape: int) -> Tensor:
    """In [0, 1), (B, *shape) float32. The number at a place of `shape` depends on the row's key and that place.

    Places are numbered along the last axes first: with another first axis (tokens, padded wider) the others stay.
    """
    return (_bits(keys, shape) >> 40 & 0xFFFFFF) * 2.0**-24


def normal(keys: Tensor, *shape: int) -> Tensor:
    """Standard normal, (B, *shape) float32; as `uniform`. Box & Muller 1958."""
    bits = _bits(keys, shape)
    radius = torch.sqrt(-2 * torch.log(((bits >> 32 & 0xFFFFFFFF) + 0.5) * 2.0**-32))
    return radius * torch.cos((bits & 0xFFFFFFFF) * (2 * math.pi * 2.0**-32))


def _bits(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """64 bits a number, (B, *shape) int64; products wrap around, as they are to."""
    places = torch.arange(1, math.prod(shape) + 1, device=keys.device).view(shape)
    return _mixed(keys.view(-1, *(1 for _ in shape)) + places * _INCREMENT)


def _mixed(bits: Tensor) -> Tensor:
    bits = (bits ^ (bits >> 30 & 0x3FFFFFFFF)) * _FACTORS[0]
    bits = (bits ^ (bits >> 27 & 0x1FFFFFFFFF)) * _FACTORS[1]
    return bits ^ (bits >> 31 & 0x1FFFFFFFF)
