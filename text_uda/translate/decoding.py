"""Decoding options, and the loop that decodes a batch; finished rows leave the batch.

The decoder is kept because it is faster than transformers' `generate` with length-sorted batches and a keyed logits
processor: sampling 1.28x (1.77x with int8 on both sides), greedy 1.11x, 4 beams 2.06x, in sentences per CPU-second on
one thread of an EPYC with AVX512-BF16 (`scripts/benchmark_translate.py --only keyed torch`). On an H100 in bfloat16
sampling is 1.76x.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from text_uda.errors import SettingsError
from text_uda.translate.beam import beam_search
from text_uda.translate.marian_network import Memory, Network
from text_uda.translate.token_sampling import Draw, draw, likeliest

_DROP_BELOW = 0.9  # finished rows are dropped when the share of unfinished rows is below this


class DecodedTokens(NamedTuple):
    tokens: list[int]  # without the start token; with the end token, if it was reached
    log_probability: float  # mean over the tokens, in the sampling distribution
    ended: bool  # by the end token, not at the cap


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Greedy by default; sampling with a temperature; beam search with several beams."""

    temperature: float | None = None
    """Above 0, at most 2. UDA samples both directions at 0.8 to 0.9."""

    top_k: int | None = None
    """Sample from the k likeliest tokens."""

    top_p: float | None = None
    """Sample from the smallest set of likeliest tokens with this total probability, 0 to 1."""

    beams: int = 1
    """Beams of beam search, and the number of different outputs per sentence."""

    seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature <= 2:
            raise SettingsError(f"temperature={self.temperature}: use a number above 0, at most 2")
        if self.temperature is None and (self.top_k is not None or self.top_p is not None):
            raise SettingsError("top-k and top-p apply to sampling: set a temperature too")
        if self.top_k is not None and self.top_k < 1:
            raise SettingsError(f"top_k={self.top_k}: use 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise SettingsError(f"top_p={self.top_p}: use a number above 0, at most 1")
        if not 1 <= self.beams <= 64:
            raise SettingsError(f"beams={self.beams}: use 1 to 64")
        if self.beams > 1 and self.temperature is not None:
            raise SettingsError("beam search does not sample: set beams or a temperature, not both")

    @property
    def outputs(self) -> int | None:
        """The number of different outputs per sentence; None is unlimited."""
        return self.beams if self.temperature is None else None

    def settings(self) -> dict[str, Any]:
        """The options that are set, as JSON values; the seed only with sampling."""
        options = {name: value for name, value in asdict(self).items() if value is not None and name != "seed"}
        return options | ({} if self.temperature is None else {"seed": self.seed})


# Without cuDNN's attention, which plans for each new shape, while each step has a new length: with it, an H100
# translated a quarter of the tokens a second.
@torch.inference_mode()
@sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
def decode(
    network: Network,
    sources: Sequence[list[int]],
    rows: Sequence[int],
    caps: Sequence[int],
    decoding: Decoding,
    uniform: np.ndarray | None = None,
    hypotheses: Sequence[int] | None = None,
) -> list[DecodedTokens]:
    """One output for each row.

    Args:
        sources: token ids with the end token; each source is encoded once.
        rows: the index of the source of each row.
        caps: the most tokens of each row.
        uniform: (rows, largest cap, DRAWS) in [0, 1), for sampling.
        hypotheses: for beam search, the beam of each row; 0 is the best.
    """
    memory = network.encode(list(sources))
    if decoding.beams > 1:
        cap_of = dict(zip(rows, caps, strict=True))
        outputs = beam_search(network, memory, [cap_of[place] for place in range(len(sources))], decoding.beams)
        beams = hypotheses or [0] * len(rows)
        return [_output(*outputs[row][beam]) for row, beam in zip(rows, beams, strict=True)]
    return _token_by_token(network, memory.take(torch.tensor(rows, device=network.device)), caps, decoding, uniform)


def _output(tokens: list[int], log_probability: float, ended: bool) -> DecodedTokens:
    return DecodedTokens(tokens, log_probability / max(1, len(tokens)), ended)


def _token_by_token(
    network: Network, memory: Memory, caps: Sequence[int], decoding: Decoding, uniform: np.ndarray | None
) -> list[DecodedTokens]:
    device, most = network.device, max(caps)
    check_every = 1 if device.type == "cpu" else 8  # a check waits for the GPU
    numbers = None
    if uniform is not None:
        numbers = torch.from_numpy(np.ascontiguousarray(uniform[:, :most].swapaxes(0, 1))).to(device)  # (T, R, DRAWS)
    state = network.start(memory)
    output = torch.full((most, len(caps)), network.end_id, device=device)  # (T, R)
    values = torch.zeros(most, len(caps), device=device)
    active = torch.arange(len(caps), device=device)  # the row at each place of the batch
    cap = torch.tensor(caps, device=device)
    done = torch.zeros(len(caps), dtype=torch.bool, device=device)
    tokens = torch.full((len(caps),), network.start_id, device=device)
    for step in range(most):
        at_step = None if numbers is None else numbers[step, active]
        tokens, value = _choose(network.step(state, tokens), decoding, at_step)
        output[step, active], values[step, active] = tokens, value
        done = done | (tokens == network.end_id) | (step + 1 >= cap[active]) | value.isnan()
        if (step + 1) % check_every and step + 1 < most:
            continue
        unfinished = int((~done).sum())
        if not unfinished:
            break
        if unfinished < _DROP_BELOW * len(active):
            remaining = (~done).nonzero().squeeze(-1)
            state.keep(remaining)
            active, tokens, done = active[remaining], tokens[remaining], done[remaining]
    ids, scores = output.T.tolist(), values.T.cpu().double().numpy()
    return [_cut(row, of_row, limit, network.end_id) for row, of_row, limit in zip(ids, scores, caps, strict=True)]


def _choose(logits: Tensor, decoding: Decoding, uniform: Tensor | None) -> Draw:
    if decoding.temperature is None or uniform is None:
        return likeliest(logits)
    return draw(logits, uniform, temperature=decoding.temperature, top_k=decoding.top_k, top_p=decoding.top_p)


def _cut(tokens: list[int], values: np.ndarray, cap: int, end_id: int) -> DecodedTokens:
    """The tokens of a row up to its end token or its cap; later tokens at its place of the batch are discarded."""
    ended = end_id in tokens[:cap]
    length = tokens.index(end_id) + 1 if ended else cap
    return DecodedTokens(tokens[:length], float(values[:length].mean()), ended)
