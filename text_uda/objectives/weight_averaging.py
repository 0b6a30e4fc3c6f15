"""Averages of the weights over the steps of a run: EMA (the teacher of consistency objectives) and fast-SWA.

A run with averaging evaluates and saves the averaged model, which is outside of the module that data parallelism wraps.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from text_uda.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class EMA:
    """w_ema <- decay w_ema + (1 - decay) w after each step.

    Source: Tarvainen & Valpola 2017, "Mean teachers are better role models" (arXiv 1703.01780), Section 3, Equation 1
    (alpha -> decay). As in the authors' code, the decay is smaller at first: at most 1 - 1 / (t + 1) after t steps, so
    that the average forgets the random initial head.
    """

    decay: float = 0.99
    """Factor on the previous average; 0.99 to 0.999 in the paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise SettingsError(f"decay={self.decay}: give a number in [0, 1)")

    def share_of_step(self, step: int, steps: int) -> float:
        """The share of the weights after step number `step`, from 0, in the new average."""
        return max(1 - self.decay, 1 / (step + 2))


@dataclass(frozen=True, kw_only=True)
class FastSWA:
    """The mean of the weights at every k-th step, along a cyclic learning rate.

    Source: Athiwaratkun et al. 2019, "There Are Many Consistent Explanations of Unlabeled Data" (arXiv 1806.05594),
    Sections 4.1 and 4.2. The learning rate follows a cosine of length l0 up to step l, and then repeats its last c
    steps in cycles; the weights are averaged from step l - c on. l -> decay_until, l0 -> cosine_length, c -> cycle, k
    -> every. The lengths are shares of the run, since a run here has steps and not epochs: the defaults are the
    proportions of the paper's CIFAR runs (l 180, l0 210, c 30 epochs, two cycles).
    """

    decay_until: float = 0.75
    """l, as a share of the steps."""

    cosine_length: float = 0.875
    """l0, as a share of the steps; at least `decay_until`."""

    cycle: float = 0.125
    """c, as a share of the steps; at most `decay_until`."""

    every: int = 10
    """k, the number of steps between averaged weights."""

    def __post_init__(self) -> None:
        if not 0 < self.decay_until <= 1:
            raise SettingsError(f"decay_until={self.decay_until}: give a share of the steps, above 0 and at most 1")
        if self.cosine_length < self.decay_until:
            raise SettingsError(f"cosine_length={self.cosine_length}: give decay_until={self.decay_until} or more")
        if not 0 < self.cycle <= self.decay_until:
            raise SettingsError(f"cycle={self.cycle}: give a share above 0, at most decay_until={self.decay_until}")
        if self.every < 1:
            raise SettingsError(f"every={self.every}: give 1 or more steps")

    def share_of_step(self, step: int, steps: int) -> float | None:
        """As `EMA.share_of_step`; 1 before averaging starts, None at steps that the average skips."""
        until, cycle = self._lengths(steps)
        since = step + 1 - (until - cycle)
        if since <= 0:
            return 1.0
        return 1 / (since // self.every + 1) if since % self.every == 0 else None

    def learning_rate_factor(self, *, step: int, steps: int, warmup_steps: int) -> float:
        """The factor on the learning rate: the cosine and its cycles, times a linear warm-up."""
        until, cycle = self._lengths(steps)
        position = step if step < until else until - cycle + (step - until) % cycle
        cosine = 0.5 * (1 + math.cos(math.pi * position / (self.cosine_length * steps)))
        return cosine * min(1.0, (step + 1) / max(1, warmup_steps))

    def _lengths(self, steps: int) -> tuple[int, int]:
        """l and c in steps."""
        until = max(1, round(self.decay_until * steps))
        return until, min(until, max(1, round(self.cycle * steps)))


Averaging = EMA | FastSWA


class Averaged:
    """A second model, whose trained weights are an average of a model's; they share the frozen weights.

    It stays in evaluation mode: a teacher without dropout is the better target, and draws no random numbers. The
    papers' teachers have dropout.
    """

    def __init__(self, model: PreTrainedModel, averaging: Averaging, *, steps: int) -> None:
        self._averaging, self._steps = averaging, steps
        frozen = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        self.model = copy.deepcopy(model, frozen).eval()
        self.trained = _trained(self.model)
        self.model.requires_grad_(False)  # the shared ones are frozen already

    @torch.no_grad()
    def update(self, model: PreTrainedModel, step: int) -> None:
        """Add the weights after step number `step`, from 0, to the average."""
        share = self._averaging.share_of_step(step, self._steps)
        if share is not None:
            torch._foreach_lerp_(self.trained, _trained(model), share)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def copy(self, model: PreTrainedModel) -> None:
        """Set the average to the weights of this model."""
        torch._foreach_copy_(self.trained, _trained(model))  # pyright: ignore[reportPrivateImportUsage]


def _trained(model: PreTrainedModel) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
