"""The layout of packed rows: the tokens of all rows one after the other, the shortest row first.

Shapes: B rows, T positions of a padded row, N tokens of all rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int32, Int64, Shaped
from torch import Tensor
from torch.nn.functional import pad

_ROWS_OF_A_GRAPH = 16  # the rows of a CUDA graph are a multiple of it
_TOKENS_OF_A_BUCKET = 16
_NO_ATTENTION = -1e30  # finite, for a padded position that attends to none


class Bucket(NamedTuple):
    """Rows of nearly one length, which share the products of their attention."""

    rows: int  # R
    width: int  # W, the length of the longest
    tokens: slice  # of all tokens: those of the rows
    places: Int64[Tensor, " tokens"] | None
    """The index of each token among the R * W positions of padded rows; None where all rows are equally long."""


@dataclass(frozen=True)
class Segments:
    """The layout of packed tokens: one row after the other, the shortest first."""

    padded_indices: Int64[Tensor, " N"]  # of each token among the B * T positions of the padded batch
    positions: Int64[Tensor, " N"]  # of each token in its padded row
    rows: Int64[Tensor, " N"]  # the row of each token, numbered by length
    lengths: Int64[Tensor, " B"]  # ascending
    width: int  # T, an upper bound of the lengths; the same for many batches where the layers run as graphs
    unbroken: bool = False  # known to have no erased position before the last token of a row
    filler: int = 0  # tokens after the last row, which have rows of their own in `starts`
    as_graph: bool = False  # the layers run as CUDA graphs, of which there should be few shapes

    @staticmethod
    def of(mask: Int[Tensor, "B T"], known_lengths: Sequence[int] | None = None) -> "Segments":
        """The layout of a batch padded on the right, from its attention mask.

        Args:
            known_lengths: the tokens of each row, if they are its first positions: then nothing waits for the GPU.
        """
        lengths, order = mask.sum(dim=1).sort(stable=True)
        if known_lengths is None:
            rows, columns = mask.bool()[order].nonzero(as_tuple=True)
        else:
            tokens = sum(known_lengths)
            rows = torch.arange(len(mask), device=mask.device).repeat_interleave(lengths, output_size=tokens)
            columns = torch.arange(tokens, device=mask.device) - (lengths.cumsum(0) - lengths)[rows]
        unbroken = known_lengths is not None
        return Segments(order[rows] * mask.shape[1] + columns, columns, rows, lengths, mask.shape[1], unbroken)

    @cached_property
    def groups(self) -> list[tuple[int, int]]:
        """(number of rows, tokens of each) for each length; the products sum to N."""
        values, counts = self.lengths.unique_consecutive(return_counts=True)
        return [(rows, tokens) for tokens, rows in zip(values.tolist(), counts.tolist(), strict=True) if tokens]

    @cached_property
    def buckets(self) -> list[Bucket]:
        """The rows whose lengths round up to the same multiple of 16, for each multiple; without empty rows."""
        buckets, first_row, start = list[Bucket](), 0, 0
        lengths = self.lengths.tolist()
        for _, of_bucket in groupby(lengths, lambda length: -(-length // _TOKENS_OF_A_BUCKET)):
            lengths_of_bucket = list(of_bucket)
            rows, width, stop = len(lengths_of_bucket), lengths_of_bucket[-1], start + sum(lengths_of_bucket)
            tokens = slice(start, stop)
            if stop > start:
                places = (self.rows[tokens] - first_row) * width + self.columns[tokens]
                buckets.append(Bucket(rows, width, tokens, None if stop - start == rows * width else places))
            first_row, start = first_row + rows, stop
        return buckets

    @cached_property
    def starts(self) -> Int32[Tensor, " starts"]:
        """The index of the first token of each of the B rows, and N; then of rows of the filler, and of empty ones."""
        starts = pad(self.lengths.cumsum(0), (1, 0))
        tokens = len(self.rows)
        if self.as_graph:
            rows = -(-self.filler // self.width)
            rows += -(len(starts) + rows) % _ROWS_OF_A_GRAPH
            of_filler = tokens + self.width * torch.arange(1, rows + 1, device=starts.device)
            starts = torch.cat([starts, of_filler.clamp(max=tokens + self.filler)])
        return starts.to(torch.int32)

    @cached_property
    def columns(self) -> Int64[Tensor, " N"]:
        """The index of each token among the tokens of its row: its position, less the erased positions before it."""
        return torch.arange(len(self.rows), device=self.rows.device) - self.starts[self.rows]

    @cached_property
    def is_contiguous(self) -> bool:
        """Whether no row has an erased position before its last token."""
        return self.unbroken or torch.equal(self.columns, self.positions)

    @cached_property
    def places(self) -> Int64[Tensor, " N"]:
        """The index of each token among the B * T positions of rows padded for the attention, erased ones left out."""
        return self.rows * self.width + self.columns

    def padded(self, values: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "B T ..."]:
        """The values of each row, then zeros."""
        rows = len(self.lengths)
        zeros = values.new_zeros(rows * self.width, *values.shape[1:])
        return zeros.index_copy(0, self.places, values).unflatten(0, (rows, self.width))

    def padded_mask(self, sliding_window: int | None) -> Bool[Tensor, "B 1 Q T"]:
        """Which positions attend to which, for `padded`; the same for all layers with this window."""
        if sliding_window not in self._masks:
            is_token = torch.arange(self.width, device=self.rows.device) < self.lengths[:, None]  # (B, T)
            is_token = is_token[:, None, None]
            window = window_mask(self.padded(self.positions), sliding_window)
            mask = is_token if window is None else is_token & window
            # A row without tokens attends to padding: no empty softmax.
            self._masks[sliding_window] = mask | ~is_token.any(dim=-1, keepdim=True)
        return self._masks[sliding_window]

    def bucket_bias(self, number: int, sliding_window: int | None) -> Float[Tensor, "R 1 Q W"] | None:
        """What to add to the attention scores of a bucket, where a position does not attend to another; Q is 1 or W.

        The same for all layers with this window. None where all attend to all.
        """
        key = number, sliding_window
        if key not in self._biases:
            self._biases[key] = self._new_bias(self.buckets[number], sliding_window)
        return self._biases[key]

    def _new_bias(self, bucket: Bucket, sliding_window: int | None) -> Tensor | None:
        if bucket.places is None and sliding_window is None:
            return None
        positions = pad_rows(self.positions[bucket.tokens], bucket)
        attends = pad_rows(torch.ones_like(self.positions[bucket.tokens], dtype=torch.bool), bucket)[:, None, None]
        window = window_mask(positions, sliding_window)
        attends = attends if window is None else attends & window
        return torch.zeros(attends.shape, device=attends.device).masked_fill(~attends, _NO_ATTENTION)

    @cached_property
    def _biases(self) -> dict[tuple[int, int | None], Tensor | None]:
        return {}

    @cached_property
    def _masks(self) -> dict[int | None, Tensor]:
        return {}


def window_mask(positions: Int[Tensor, "B T"], sliding_window: int | None) -> Bool[Tensor, "B 1 T T"] | None:
    """True where a position attends to another under a sliding window; None without a window."""
    if sliding_window is None:
        return None
    return (positions[:, None, :, None] - positions[:, None, None, :]).abs() < sliding_window


def pad_rows(values: Shaped[Tensor, "tokens ..."], bucket: Bucket) -> Shaped[Tensor, "R W ..."]:
    """The values of each row of a bucket, then zeros."""
    shape = bucket.rows, bucket.width
    if bucket.places is None:
        return values.unflatten(0, shape)
    zeros = values.new_zeros(bucket.rows * bucket.width, *values.shape[1:])
    return zeros.index_copy(0, bucket.places, values).unflatten(0, shape)


def unpad_rows(values: Shaped[Tensor, "R W ..."], bucket: Bucket) -> Shaped[Tensor, "tokens ..."]:
    """The inverse of `pad_rows`."""
    values = values.flatten(0, 1)
    return values if bucket.places is None else values[bucket.places]
