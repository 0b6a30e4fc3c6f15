"""Attention in buckets of nearly one length: that of each row alone, its dropout, and when it is chosen."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from text_uda.model.attention import AttentionOptions, attend_by_length, attend_in_buckets, choose_attention
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.segments import Segments, pad_rows, unpad_rows

LENGTHS = (20, 7, 16, 17, 1, 0, 33, 7, 32)
HEADS, WIDTH = 2, 8


def new_segments(lengths=LENGTHS) -> Segments:
    mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    return Segments.of(mask)


def new_parts(tokens: int, *, dtype=torch.float64, requires_grad=True) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(tokens, HEADS, WIDTH, generator=generator, dtype=torch.float64) for _ in range(3)]
    return [part.to(dtype).requires_grad_(requires_grad) for part in parts]


def row_by_row(parts, lengths, window) -> torch.Tensor:
    attended, start = [], 0
    for length in sorted(lengths):
        positions = torch.arange(length)
        near = None if window is None else (positions[:, None] - positions).abs() < window
        row = (part[start : start + length].transpose(0, 1) for part in parts)
        attended.append(scaled_dot_product_attention(*row, attn_mask=near).transpose(0, 1))
        start += length
    return torch.cat(attended)


@pytest.mark.parametrize("window", [None, 4])
def test_outputs_and_gradients_are_those_of_each_row_alone(window):
    parts, gradient = new_parts(sum(LENGTHS)), torch.randn(sum(LENGTHS), HEADS, WIDTH, dtype=torch.float64)
    expected = row_by_row(parts, LENGTHS, window)
    found = attend_in_buckets(*parts, new_segments(), AttentionOptions(0.0, None, window))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, parts, gradient), torch.autograd.grad(expected, parts, gradient)
    )


def test_a_scale_of_the_layer_is_used():
    parts, segments = new_parts(sum(LENGTHS)), new_segments()
    expected = attend_by_length(*parts, segments, AttentionOptions(0.0, 0.3, None))
    torch.testing.assert_close(attend_in_buckets(*parts, segments, AttentionOptions(0.0, 0.3, None)), expected)


@pytest.mark.parametrize("size", [1, 4, 9])
def test_scores_and_weights_are_not_rounded_to_16_bits(size):
    """What remains are the roundings of what goes in and out; scores in bf16 have twice this error or more."""
    segments, options = new_segments(), AttentionOptions(0.0, None, None)
    exact = new_parts(sum(LENGTHS))
    rough = [part.detach().bfloat16().requires_grad_() for part in (exact[0] * size, *exact[1:])]
    exact = [part.detach().double().requires_grad_() for part in rough]
    gradient = torch.randn(sum(LENGTHS), HEADS, WIDTH, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected = attend_in_buckets(*exact, segments, options)
    with torch.autocast("cpu", torch.bfloat16):
        attended = attend_in_buckets(*rough, segments, options)
    assert attended.dtype == torch.bfloat16
    found = [attended, *torch.autograd.grad(attended, rough, gradient)]
    for value, of_float64 in zip(
        found, [expected, *torch.autograd.grad(expected, exact, gradient.double())], strict=True
    ):
        error = (value.double() - of_float64).norm() / of_float64.norm()
        assert error < 2.5e-3, error


def test_in_16_bits_a_position_that_attends_to_none_has_finite_gradients():
    mask = torch.tensor([[0, 0, 0, 0, 0, 1, 1], [1] * 7])
    parts = new_parts(9, dtype=torch.float16)
    attended = attend_in_buckets(*parts, Segments.of(mask), AttentionOptions(0.0, None, 3))
    assert all(part.isfinite().all() for part in torch.autograd.grad(attended.sum(), parts))


def test_it_can_be_differentiated_twice():
    lengths = (3, 2, 3)
    parts = new_parts(sum(lengths))
    segments = new_segments(lengths)
    assert torch.autograd.gradgradcheck(
        lambda *given: attend_in_buckets(*given, segments, AttentionOptions(0.0, None, None)), parts
    )


def test_dropout_keeps_the_mean_and_drops_weights():
    query, key, _ = new_parts(12, requires_grad=False)
    value = torch.ones(12, HEADS, WIDTH, dtype=torch.float64)
    segments = new_segments((6, 6))
    with seeded_torch(0):
        drawn = torch.stack(
            [attend_in_buckets(query, key, value, segments, AttentionOptions(0.25, None, None)) for _ in range(4000)]
        )
    assert drawn.std() > 0.1
    assert torch.allclose(drawn.mean(0), torch.ones_like(value), atol=0.05)  # softmax weights sum to 1


def test_buckets_by_hand():
    segments = new_segments()
    assert [(bucket.rows, bucket.width, bucket.tokens) for bucket in segments.buckets] == [
        (4, 16, slice(0, 31)),
        (3, 32, slice(31, 100)),
        (1, 33, slice(100, 133)),
    ]
    numbers = torch.arange(133)
    for bucket in segments.buckets:
        padded = pad_rows(numbers[bucket.tokens] + 1, bucket)
        assert torch.equal(unpad_rows(padded, bucket), numbers[bucket.tokens] + 1)
        assert (padded == 0).sum() == padded.numel() - (bucket.tokens.stop - bucket.tokens.start)
    assert segments.buckets[2].places is None


def test_a_bias_is_made_once_for_all_layers():
    segments = new_segments()
    assert segments.bucket_bias(0, None) is segments.bucket_bias(0, None) is not None
    assert segments.bucket_bias(0, 4) is segments.bucket_bias(0, 4) is not segments.bucket_bias(0, None)
    assert segments.bucket_bias(2, None) is None  # one row, nothing to leave out


@pytest.mark.parametrize(
    ("length", "dropout", "requires_grad", "expected"),
    [
        (40, 0.1, True, attend_in_buckets),
        (400, 0.1, True, attend_in_buckets),
        (40, 0.1, False, attend_in_buckets),  # a view without gradient
        (40, 0.0, True, attend_in_buckets),
        (400, 0.0, True, attend_by_length),
        (40, 0.0, False, attend_by_length),
    ],
)
def test_buckets_are_for_training(length, dropout, requires_grad, expected):
    (query, *_) = new_parts(length + 5, requires_grad=requires_grad)
    segments, options = new_segments((length, 5)), AttentionOptions(dropout, None, None)
    assert choose_attention(query, segments, options) is expected
    with torch.no_grad():
        assert choose_attention(query, segments, options) is (attend_in_buckets if dropout else attend_by_length)
