"""Attention on packed rows, each way, beside float64 row by row: outputs, gradients, windows, dropout."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.attention import AttentionOptions, attend_padded, attend_varlen, choose_attention, kernel_works
from text_uda.model.classifier import layers
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import pack, packed
from text_uda.model.segments import Segments

LENGTHS = (61, 7, 130, 0, 1, 200)  # the fourth row is empty
HEADS = 4


def new_parts(head_width: int, dtype: torch.dtype, device: torch.device) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(head_width)
    parts = [torch.randn(sum(LENGTHS), HEADS, head_width, generator=generator) for _ in range(4)]
    return [part.to(device, dtype).requires_grad_() for part in parts]  # query, key, value, and the gradient


def segments_on(device: torch.device) -> Segments:
    width = max(LENGTHS)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in LENGTHS], device=device)
    return Segments.of(mask, LENGTHS)


def by_row(query, key, value, gradient, window):
    """Outputs and gradients in float64 on the CPU, in the order of `Segments`: the shortest row first."""
    query, key, value, gradient = (part.detach().cpu().double() for part in (query, key, value, gradient))
    parts = [part.requires_grad_() for part in (query, key, value)]
    rows, start = [], 0
    for length in sorted(LENGTHS):
        where = torch.arange(length)
        near = None if window is None else (where[:, None] - where).abs() < window
        row = (part[start : start + length].transpose(0, 1) for part in parts)
        rows.append(scaled_dot_product_attention(*row, attn_mask=near).transpose(0, 1))
        start += length
    output = torch.cat(rows)
    return [output.detach(), *torch.autograd.grad(output, parts, gradient)]


def relative(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value.cpu().double() - expected).norm() / expected.norm())


def attend_with(way: str, dtype: torch.dtype, device: torch.device):
    if way == "padded":
        return attend_padded
    if device.type != "cuda" or dtype == torch.float32:
        pytest.skip("the kernel runs on CUDA, in 16 bits")
    return attend_varlen


@pytest.mark.parametrize("way", ["padded", "kernel"])
@pytest.mark.parametrize("head_width", [32, 64])
@pytest.mark.parametrize("window", [None, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_outputs_and_gradients_are_those_of_each_row_alone(way, head_width, window, dtype, device):
    attend = attend_with(way, dtype, device)
    *parts, gradient = new_parts(head_width, dtype, device)
    options = AttentionOptions(0.0, None, window)
    output = attend(*parts, segments_on(device), options)
    results = [output.detach(), *torch.autograd.grad(output, parts, gradient)]
    bound = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.003}[dtype]
    for result, expected in zip(results, by_row(*parts, gradient, window), strict=True):
        assert relative(result, expected) < bound


@pytest.mark.parametrize("way", ["padded", "kernel"])
def test_dropout_repeats_with_its_seed_and_is_right_on_average(way, device):
    attend = attend_with(way, torch.bfloat16, device)
    query, key, value, gradient = new_parts(64, torch.bfloat16, device)
    segments = segments_on(device)

    def run(seed: int, dropout: float) -> list[torch.Tensor]:
        with seeded_torch(seed):
            output = attend(query, key, value, segments, AttentionOptions(dropout, None, None))
        return [output.detach(), *torch.autograd.grad(output, [query, key, value], gradient)]

    first, again, other = run(1, 0.1), run(1, 0.1), run(2, 0.1)
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], other[0])
    for one, two in zip(first, again, strict=True):  # sums of gradients by atomic additions have no fixed order
        assert relative(one, two.cpu().double()) < 0.01
    mean = torch.stack([run(seed, 0.1)[0].float() for seed in range(40)]).mean(dim=0)
    assert relative(mean, run(0, 0.0)[0].cpu().double()) < 0.1


def test_the_kernel_is_in_use(cuda):
    """Without it, training with dropout pads its rows for attention: a fifth slower, and nothing would say so."""
    if torch.cuda.get_device_capability(cuda)[0] < 8:
        pytest.skip("the kernel needs compute capability 8")
    query = torch.empty(4, 2, 64, dtype=torch.bfloat16, device=cuda)
    assert kernel_works(cuda)
    assert choose_attention(query, segments_on(cuda), AttentionOptions(0.1, None, None)) is attend_varlen


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_encoder_is_as_exact_without_padding_as_with_it(kind, precision, device):
    sizes = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256}
    more = {"local_attention": 32, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2}
    with seeded_torch(0):
        config = CONFIG_MAPPING[kind](
            vocab_size=60, num_labels=3, pad_token_id=0, **sizes, **(more if kind == "modernbert" else {})
        )
        model = AutoModelForSequenceClassification.from_config(config).eval()
        ids = torch.randint(3, 60, (6, 200))
    lengths = (61, 7, 130, 3, 1, 200)
    mask = torch.tensor([[1] * length + [0] * (200 - length) for length in lengths])
    pack(model)

    def run(device: torch.device, dtype: torch.dtype, *, padded: bool) -> torch.Tensor:
        """Logits, and the gradients of all weights, as one vector."""
        on_device = model.to(device, torch.float64 if dtype == torch.float64 else torch.float32)
        on_device.zero_grad()
        here = mask.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            if padded:
                logits = on_device(input_ids=ids.to(device), attention_mask=here).logits
            else:
                with packed(layers(on_device), here, lengths):
                    logits = on_device(input_ids=ids.to(device), attention_mask=here).logits
        torch.nn.functional.cross_entropy(logits.to(on_device.dtype), torch.arange(6, device=device) % 3).backward()
        gradients = [weight.grad.flatten() for weight in on_device.parameters() if weight.grad is not None]
        return torch.cat([logits.detach().flatten().to(on_device.dtype), *gradients]).cpu().double()

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    packed_result, padded_result = (run(device, dtype, padded=padded) for padded in (False, True))
    exact = run(torch.device("cpu"), torch.float64, padded=True)
    slack = 1e-5 if precision == "fp32" else 5e-3
    assert relative(packed_result, exact) < 1.5 * relative(padded_result, exact) + slack
