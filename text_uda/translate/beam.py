"""Beam search: several outputs of a sentence, the likeliest first.

It returns the outputs of transformers with length_penalty 1 and early_stopping False: a score is the mean log
probability of the tokens, and a sentence is finished when its best running beam scores no higher than its worst
finished beam. Shapes: B sentences, K beams, V vocabulary.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from text_uda.translate.marian_network import Memory, Network

_NEVER = -1e9  # the score of a forbidden beam; finite, so that sums stay comparable


class Hypothesis(NamedTuple):
    tokens: list[int]  # with the end token, if it was reached
    log_probability: float  # summed over the tokens
    ended: bool


@dataclass
class _Beams:
    """K sequences of each sentence."""

    tokens: Tensor  # (B, K, largest cap)
    scores: Tensor  # (B, K)

    def take(self, places: Tensor) -> "_Beams":  # (B, K') indices of beams
        return _Beams(self.tokens.gather(1, places[..., None].expand(-1, -1, self.tokens.shape[2])), self._at(places))

    def _at(self, places: Tensor) -> Tensor:
        return self.scores.gather(1, places)

    def rows(self, places: Tensor) -> "_Beams":
        return _Beams(self.tokens[places], self.scores[places])


@torch.inference_mode()
def beam_search(network: Network, memory: Memory, caps: list[int], beams: int) -> list[list[Hypothesis]]:
    """`beams` hypotheses of each sentence, the likeliest first.

    Args:
        memory: of B sentences.
        caps: the most tokens of each sentence; longer hypotheses are truncated.
    """
    device, size, most = network.device, len(caps), max(caps)
    state = network.start(memory.take(torch.arange(size, device=device).repeat_interleave(beams)))
    running = _Beams(
        torch.zeros(size, beams, most, dtype=torch.int64, device=device), torch.zeros(size, beams, device=device)
    )
    running.scores[:, 1:] = _NEVER  # at the start all beams are equal
    finished = _Beams(torch.zeros_like(running.tokens), torch.full((size, beams), _NEVER, device=device))
    ends = torch.zeros(size, beams, dtype=torch.int64, device=device)  # tokens of the finished; 0 is an empty slot
    cap = torch.tensor(caps, device=device)
    active = torch.arange(size, device=device)  # the sentence at each place of the batch
    results: list[list[Hypothesis]] = [[] for _ in caps]
    last = torch.full((size * beams,), network.start_id, device=device)
    for step in range(most):
        logits = network.step(state, last)
        candidates, origin = _continued(running, logits[:, : network.vocabulary], step)
        ended = candidates.tokens[:, :, step] == network.end_id
        hits = ended | (step + 1 >= cap)[:, None]  # (B, 2K)
        # Only the first K candidates can finish; there are 2K, so that K can continue.
        may_finish = hits & (torch.arange(2 * beams, device=device) < beams)
        mean = torch.where(may_finish, candidates.scores / (step + 1), _NEVER)
        pool = _Beams(torch.cat([finished.tokens, candidates.tokens], 1), torch.cat([finished.scores, mean], 1))
        best = pool.scores.topk(beams, dim=1).indices
        new = torch.where(may_finish, step + 1, 0)
        finished, ends = pool.take(best), torch.cat([ends, new], 1).gather(1, best)
        continuing = torch.where(hits, candidates.scores + _NEVER, candidates.scores).topk(beams, dim=1).indices
        running = candidates.take(continuing)
        running.scores = running.scores + _NEVER * hits.gather(1, continuing)
        worst = torch.where(ends > 0, finished.scores.amin(dim=1, keepdim=True), _NEVER)
        hopeless = (running.scores[:, :1] / (step + 1) <= worst).all(dim=1)
        done = hopeless | (step + 1 >= cap)
        rows = origin.gather(1, continuing) + torch.arange(len(active), device=device)[:, None] * beams  # (B, K)
        if bool(done.any()):
            for place in done.nonzero().squeeze(-1).tolist():
                results[int(active[place])] = _hypotheses(finished, ends, place, network.end_id)
            remaining = (~done).nonzero().squeeze(-1)
            if not len(remaining):
                break
            running, finished, ends = running.rows(remaining), finished.rows(remaining), ends[remaining]
            active, cap, rows = active[remaining], cap[remaining], rows[remaining]
            state.keep(rows.flatten())
        else:
            state.reorder(rows.flatten())
        last = running.tokens[:, :, step].flatten()
    return results


def _continued(running: _Beams, logits: Tensor, step: int) -> tuple[_Beams, Tensor]:
    """The 2K likeliest sequences with one more token, and the beam that each extends, (B, 2K)."""
    size, beams = running.scores.shape
    totals = logits.log_softmax(dim=-1).unflatten(0, (size, beams)) + running.scores[..., None]  # (B, K, V)
    scores, places = totals.flatten(1).topk(2 * beams, dim=1)
    origin = places // logits.shape[1]
    longer = _Beams(running.tokens, running.scores).take(origin)
    longer.tokens[:, :, step] = places % logits.shape[1]
    return _Beams(longer.tokens, scores), origin


def _hypotheses(finished: _Beams, ends: Tensor, place: int, end_id: int) -> list[Hypothesis]:
    hypotheses = []
    scores, lengths = finished.scores[place].tolist(), ends[place].tolist()
    for tokens, score, length in zip(finished.tokens[place].tolist(), scores, lengths, strict=True):
        output = tokens[:length]
        hypotheses.append(Hypothesis(output, score * length if length else float("nan"), output[-1:] == [end_id]))
    return hypotheses
