"""How tokens are chosen, and the loop that decodes a batch: rows leave it when they end."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from text_uda.errors import SettingsError
from text_uda.translate.beam import beam_search
from text_uda.translate.marian_network import Memory, Network
from text_uda.translate.token_sampling import Chosen, draw, likeliest

_WORTH_DROPPING = 0.9  # rows are dropped when fewer than this share of them still go on


class Output(NamedTuple):
    tokens: list[int]  # without the start; with the end token where it came to it
    log_probability: float  # mean over the tokens, in the distribution they were taken from
    ended: bool  # of itself, and not at its cap


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Greedy when nothing is set; sampling with a temperature; beam search with several beams."""

    temperature: float | None = None
    """Above 0, at most 2. UDA samples both ways at 0.8 to 0.9."""

    top_k: int | None = None
    """Sample among the k likeliest tokens alone."""

    top_p: float | None = None
    """Sample among the fewest likeliest tokens that together have this probability, 0 to 1."""

    beams: int = 1
    """Of beam search, which has this many different outputs for a sentence."""

    seed: int = 0
    """Of the sampling."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature <= 2:
            raise SettingsError(f"temperature={self.temperature}: give a number above 0, at most 2")
        if self.temperature is None and (self.top_k is not None or self.top_p is not None):
            raise SettingsError("top-k and top-p are ways of sampling: give a temperature with them")
        if self.top_k is not None and self.top_k < 1:
            raise SettingsError(f"top_k={self.top_k}: give 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise SettingsError(f"top_p={self.top_p}: give a share above 0, at most 1")
        if not 1 <= self.beams <= 64:
            raise SettingsError(f"beams={self.beams}: give 1 to 64")
        if self.beams > 1 and self.temperature is not None:
            raise SettingsError("beam search does not sample: give beams or a temperature, not both")

    @property
    def outputs(self) -> int | None:
        """How many different outputs a sentence can have; None is without limit."""
        return self.beams if self.temperature is None else None

    def settings(self) -> dict[str, Any]:
        """What is set, fit for JSON; the seed only where it decides something."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "seed"}
        return given | ({} if self.temperature is None else {"seed": self.seed})


@torch.inference_mode()
def decode(
    network: Network,
    sources: Sequence[list[int]],
    rows: Sequence[int],
    caps: Sequence[int],
    decoding: Decoding,
    uniform: np.ndarray | None = None,
    hypotheses: Sequence[int] | None = None,
) -> list[Output]:
    """One output for each row.

    Args:
        sources: token ids, with end token; each is encoded once.
        rows: the source of each row.
        caps: most tokens of each row.
        uniform: (rows, largest cap, DRAWS) in [0, 1), where `decoding` samples.
        hypotheses: which of the beams each row wants, the best is 0; where it has beams.
    """
    memory = network.encode(list(sources))
    if decoding.beams > 1:
        cap_of = dict(zip(rows, caps, strict=True))
        found = beam_search(network, memory, [cap_of[place] for place in range(len(sources))], decoding.beams)
        wanted = hypotheses or [0] * len(rows)
        return [_output(*found[row][which]) for row, which in zip(rows, wanted, strict=True)]
    return _one_by_one(network, memory.take(torch.tensor(rows, device=network.device)), caps, decoding, uniform)


def _output(tokens: list[int], log_probability: float, ended: bool) -> Output:
    return Output(tokens, log_probability / max(1, len(tokens)), ended)


def _one_by_one(
    network: Network, memory: Memory, caps: Sequence[int], decoding: Decoding, uniform: np.ndarray | None
) -> list[Output]:
    device, most = network.device, max(caps)
    look_every = 1 if device.type == "cpu" else 8  # to look at a GPU's results is to wait for it
    numbers = None
    if uniform is not None:
        numbers = torch.from_numpy(np.ascontiguousarray(uniform[:, :most].swapaxes(0, 1))).to(device)  # (T, R, DRAWS)
    state = network.start(memory)
    made = torch.full((most, len(caps)), network.end_id, device=device)  # (T, R)
    values = torch.zeros(most, len(caps), device=device)
    alive = torch.arange(len(caps), device=device)  # which row each place in the batch decodes
    cap = torch.tensor(caps, device=device)
    done = torch.zeros(len(caps), dtype=torch.bool, device=device)
    tokens = torch.full((len(caps),), network.start_id, device=device)
    for step in range(most):
        at_step = None if numbers is None else numbers[step, alive]
        tokens, value = _choose(network.step(state, tokens), decoding, at_step)
        made[step, alive], values[step, alive] = tokens, value
        done = done | (tokens == network.end_id) | (step + 1 >= cap[alive]) | value.isnan()
        if (step + 1) % look_every and step + 1 < most:
            continue
        going = int((~done).sum())
        if not going:
            break
        if going < _WORTH_DROPPING * len(alive):
            kept = (~done).nonzero().squeeze(-1)
            state.keep(kept)
            alive, tokens, done = alive[kept], tokens[kept], done[kept]
    ids, scores = made.T.tolist(), values.T.cpu().double().numpy()
    return [_cut(row, of_row, limit, network.end_id) for row, of_row, limit in zip(ids, scores, caps, strict=True)]


def _choose(logits: Tensor, decoding: Decoding, uniform: Tensor | None) -> Chosen:
    if decoding.temperature is None or uniform is None:
        return likeliest(logits)
    return draw(logits, uniform, temperature=decoding.temperature, top_k=decoding.top_k, top_p=decoding.top_p)


def _cut(tokens: list[int], values: np.ndarray, cap: int, end_id: int) -> Output:
    """What a row said up to its end token or its cap; what its place in the batch did after that is no output."""
    ended = end_id in tokens[:cap]
    length = tokens.index(end_id) + 1 if ended else cap
    return Output(tokens[:length], float(values[:length].mean()), ended)
