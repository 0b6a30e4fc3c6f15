"""Without padding: the same logits and gradients as with it, for each family, and attention that stays in its row."""

from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.attention import (
    AttentionOptions,
    attend_by_length,
    attend_in_buckets,
    attend_padded,
    attend_varlen,
    choose_attention,
    kernel_works,
)
from text_uda.model.classifier import layers
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import _PACKABLE, filled, is_packed, pack, packed
from text_uda.model.segments import Segments

WIDTH = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
MODERN = WIDTH | {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2}
ENCODERS = {
    "bert": ("bert", WIDTH),
    "roberta": ("roberta", WIDTH),
    "xlm-roberta": ("xlm-roberta", WIDTH),
    "camembert": ("camembert", WIDTH),
    "electra": ("electra", WIDTH | {"embedding_size": 16}),
    "distilbert": ("distilbert", {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16}),
    "modernbert": ("modernbert", MODERN),
    "modernbert, mean of the tokens": ("modernbert", MODERN | {"classifier_pooling": "mean"}),
}
LENGTHS = (20, 7, 13, 7, 1, 20)


def new_model(name: str):
    kind, sizes = ENCODERS[name]
    specials = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    with seeded_torch(0):
        config = CONFIG_MAPPING[kind](vocab_size=60, num_labels=3, **specials, **sizes)
        model = AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    pack(model)
    return model


@pytest.fixture(scope="module")
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    with seeded_torch(1):
        ids = torch.randint(3, 60, (len(LENGTHS), max(LENGTHS)))
    for row, length in enumerate(LENGTHS):
        ids[row, length:] = 0
    return ids, ids.ne(0).long()


def run(model, ids, mask, *, without_padding: bool):
    model.zero_grad()
    with packed(layers(model), mask) if without_padding else nullcontext():
        logits = model(input_ids=ids, attention_mask=mask).logits
    torch.nn.functional.cross_entropy(logits, torch.arange(len(ids), device=ids.device) % 3).backward()
    return logits.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def by_the_kernel(
    query, key, value, starts, others, longest, most, dropout, causal, debug, *, scale, window_size_left,
    window_size_right,
):  # fmt: skip
    """What the kernel says it does, row by row, for it runs on CUDA alone; its first output."""
    assert starts is others and longest == most and starts.dtype == torch.int32 and not causal and not debug
    rows = []
    for start, stop in pairwise(starts.tolist()):
        positions = torch.arange(stop - start)
        left, right = window_size_left, window_size_right
        away = positions[None] - positions[:, None]
        near = (left < 0) | ((away >= -left) & (away <= right)) if left >= 0 else None
        parts = (each[start:stop].transpose(0, 1) for each in (query, key, value))
        row = scaled_dot_product_attention(*parts, attn_mask=near, dropout_p=dropout, scale=scale)
        rows.append(row.transpose(0, 1))
    return (torch.cat(rows),)


@pytest.fixture(params=["by length", "in buckets", "padded", "varlen"])
def way(request, monkeypatch) -> str:
    """How rows are attended to: on a CPU, there in training, on CUDA in float32, on CUDA in 16 bits."""
    ways = {
        "by length": attend_by_length,
        "in buckets": attend_in_buckets,
        "padded": attend_padded,
        "varlen": attend_varlen,
    }
    used = []

    def counted(*arguments, **named):
        used.append(1)
        return ways[request.param](*arguments, **named)

    monkeypatch.setattr("text_uda.model.packing.choose_attention", lambda *_arguments: counted)
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", by_the_kernel)
    yield request.param
    assert used


@pytest.mark.parametrize("name", ENCODERS)
def test_logits_and_gradients_are_those_with_padding(name, rows, way):
    model = new_model(name)
    assert is_packed(model)
    logits, gradients = run(model, *rows, without_padding=False)
    found, found_gradients = run(model, *rows, without_padding=True)
    torch.testing.assert_close(found, logits, atol=2e-6, rtol=1e-6)
    scale = max(gradient.abs().max() for gradient in gradients.values())
    for weight, gradient in gradients.items():
        torch.testing.assert_close(found_gradients[weight], gradient, atol=float(1e-6 * scale), rtol=1e-5, msg=weight)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_row_says_the_same_alone(name, rows):
    ids, mask = rows
    model = new_model(name)
    with torch.no_grad():
        with packed(layers(model), mask):
            together = model(input_ids=ids, attention_mask=mask).logits
        for row, length in enumerate(LENGTHS):
            alone = model(input_ids=ids[row : row + 1, :length], attention_mask=mask[row : row + 1, :length]).logits
            torch.testing.assert_close(together[row : row + 1], alone, atol=2e-6, rtol=1e-6)


def test_a_token_that_is_erased_in_the_middle_is_in_nobodys_sight(rows, way):
    ids, mask = rows[0], rows[1].clone()
    mask[0, 3:6] = 0
    model = new_model("bert")
    assert torch.allclose(*(run(model, ids, mask, without_padding=each)[0] for each in (False, True)), atol=2e-6)


@pytest.mark.parametrize("attend", [attend_by_length, attend_in_buckets, attend_padded])
def test_nor_does_it_bring_neighbours_closer(rows, attend, monkeypatch):
    monkeypatch.setattr("text_uda.model.packing.choose_attention", lambda *_arguments: attend)
    ids, mask = rows[0], rows[1].clone()
    mask[0, 3:6] = 0
    model = new_model("modernbert")
    assert torch.allclose(*(run(model, ids, mask, without_padding=each)[0] for each in (False, True)), atol=2e-6)


def test_a_row_without_a_token_harms_no_other(rows, way):
    ids, mask = rows[0], rows[1].clone()
    mask[2] = 0
    model = new_model("bert")
    others = [0, 1, 3, 4, 5]
    logits, gradients = run(model, ids, mask, without_padding=True)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    with torch.no_grad():
        expected = model(input_ids=ids[others], attention_mask=mask[others]).logits
    torch.testing.assert_close(logits[others], expected, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("device", "dtype", "dropout", "window", "erased", "expected"),
    [
        ("cpu", torch.float32, 0.1, None, False, attend_in_buckets),
        ("cpu", torch.bfloat16, 0.0, 4, True, attend_by_length),
        ("cuda", torch.bfloat16, 0.0, None, True, attend_varlen),
        ("cuda", torch.bfloat16, 0.0, 4, False, attend_varlen),
        ("cuda", torch.bfloat16, 0.0, 4, True, attend_padded),
        ("cuda", torch.bfloat16, 0.1, None, False, attend_varlen),
        ("cuda", torch.float32, 0.0, None, False, attend_padded),
    ],
)
def test_the_choice_of_the_attention(device, dtype, dropout, window, erased, expected, monkeypatch):
    monkeypatch.setattr("text_uda.model.attention.kernel_works", lambda _device: True)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    mask[0, 1] = int(not erased)
    query = SimpleNamespace(device=torch.device(device), dtype=dtype, shape=(6, 2, 32), requires_grad=False)
    assert choose_attention(query, Segments.of(mask), AttentionOptions(dropout, None, window)) is expected
    refused = (6, 2, 20)  # a width that is no multiple of 8
    odd = SimpleNamespace(device=query.device, dtype=dtype, shape=refused, requires_grad=False)
    assert choose_attention(odd, Segments.of(mask), AttentionOptions(dropout, None, window)) is not attend_varlen


def refuses(*arguments, **named):
    raise RuntimeError("FlashAttention only supports\nAmpere GPUs")


def forgets_a_row(query, *arguments, **named):
    return (by_the_kernel(query, *arguments, **named)[0] * torch.tensor([1.0, 1, 1, 0])[:, None, None].bfloat16(),)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (by_the_kernel, None),
        (refuses, "FlashAttention only supports Ampere GPUs"),
        (forgets_a_row, "results are wrong"),
    ],
)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_the_kernel_is_tried_once_before_it_is_used(kernel, reason, mode, monkeypatch, caplog):
    """In a training step or in an evaluation; the numbers of dropout that follow stay the same."""
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", kernel)
    monkeypatch.setattr("text_uda.model.attention.has_flash_attention", lambda _device: True)
    kernel_works.cache_clear()
    state = torch.get_rng_state()
    with mode():
        assert kernel_works(torch.device("cpu")) is (reason is None)
    kernel_works.cache_clear()
    assert torch.equal(torch.get_rng_state(), state)
    assert ([] if reason is None else [reason]) == [reason for line in caplog.messages if reason and reason in line]


@pytest.mark.parametrize("attend", [attend_padded, attend_varlen])
@pytest.mark.parametrize("head_width", [32, 64])
@pytest.mark.parametrize("window", [None, 8])
def test_the_ways_of_cuda_run_on_meta_tensors(attend, head_width, window):
    """PyTorch's own kernel, with dropout and gradients, as far as it goes without a GPU: shapes and types."""
    mask = torch.tensor([[1] * length + [0] * (20 - length) for length in (*LENGTHS, 0)])
    lengths = (*LENGTHS, 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        segments = Segments.of(mask.to("meta"), lengths)
        parts = [torch.empty(sum(lengths), 4, head_width, device="meta", dtype=torch.bfloat16) for _ in range(3)]
        for part in parts:
            part.requires_grad_()
        attended = attend(*parts, segments, AttentionOptions(0.1, None, window))
        attended.float().sum().backward()
    assert attended.shape == parts[0].shape and attended.dtype == torch.bfloat16
    assert all(part.grad is not None and part.grad.shape == part.shape for part in parts)


@pytest.mark.parametrize("name", ENCODERS)
def test_known_lengths_ask_the_gpu_nothing(name, rows, monkeypatch):
    """A fake tensor has no values, so whatever would wait for the GPU fails: forward and backward, by the kernel."""
    monkeypatch.setattr("text_uda.model.packing.choose_attention", lambda *_arguments: attend_varlen)
    model = new_model(name).train().to("meta", torch.bfloat16)
    with FakeTensorMode(allow_non_fake_inputs=True):
        ids, mask = (part.to("meta") for part in rows)
        with packed(layers(model), mask, LENGTHS):
            model(input_ids=ids, attention_mask=mask).logits.float().sum().backward()
        with pytest.raises(DynamicOutputShapeException), packed(layers(model), mask):
            pass


def test_known_lengths_give_the_same_layout(rows):
    for lengths in (LENGTHS, (20, 0, 3, 20, 1, 0)):
        mask = torch.tensor([[1] * length + [0] * (20 - length) for length in lengths])
        asked, told = Segments.of(mask), Segments.of(mask, lengths)
        assert told.unbroken and told.is_contiguous and asked.is_contiguous and asked.groups == told.groups
        for name in ("padded_indices", "positions", "rows", "lengths", "starts", "columns", "places"):
            assert torch.equal(getattr(asked, name), getattr(told, name)), name


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_of_onednn_get_few_numbers_of_tokens(name, precision, monkeypatch):
    """It keeps a program for each number that it has met."""
    model = new_model(name)
    numbers, last = set(), list[int]()
    linear = next(part for part in layers(model)[0].modules() if isinstance(part, nn.Linear))
    linear.register_forward_pre_hook(lambda _module, arguments: last.append(arguments[0].shape[-2]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for tokens in range(1, 60):
            lengths = (min(20, tokens), *divmod(max(0, tokens - 20), 2))
            mask = torch.tensor([[1] * length + [0] * (20 - length) for length in lengths if length])
            with seeded_torch(tokens):
                ids = torch.randint(3, 60, mask.shape) * mask
            with packed(layers(model), mask):
                logits = model(input_ids=ids, attention_mask=mask).logits
            numbers.add(last[-1])
            monkeypatch.setattr("text_uda.model.packing._by_onednn", lambda: False)
            with packed(layers(model), mask):
                expected = model(input_ids=ids, attention_mask=mask).logits
            monkeypatch.undo()
            assert last[-1] == sum(lengths)
            torch.testing.assert_close(logits, expected, atol=0.05 if precision == "bf16" else 1e-5, rtol=0)
    assert len(numbers) <= 4 and all(number % 16 == 0 for number in numbers)


@pytest.mark.parametrize("name", ENCODERS)
def test_what_fills_up_has_no_gradient(name, rows, monkeypatch):
    model = new_model(name).train(False)
    plain = run(model, *rows, without_padding=True)
    monkeypatch.setattr("text_uda.model.packing._by_onednn", lambda: True)
    sizes = set()
    linear = next(part for part in layers(model)[0].modules() if isinstance(part, nn.Linear))
    linear.register_forward_pre_hook(lambda _module, arguments: sizes.add(arguments[0].shape[-2]))
    filled_up = run(model, *rows, without_padding=True)
    assert sizes == {filled(sum(LENGTHS))} != {sum(LENGTHS)}
    torch.testing.assert_close(filled_up[0], plain[0], atol=1e-6, rtol=0)
    for parameter, gradient in filled_up[1].items():
        torch.testing.assert_close(gradient, plain[1][parameter], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, 16), (16, 16), (512, 512), (513, 528), (1025, 1056), (2048, 2048)]
)
def test_numbers_of_tokens(tokens, expected):
    assert filled(tokens) == expected


def test_the_mask_of_a_window_is_made_once_for_all_layers(rows):
    segments = Segments.of(rows[1])
    assert segments.padded_mask(4) is segments.padded_mask(4) and segments.padded_mask(None) is not None


def test_the_hooks_are_gone_afterwards(rows):
    model = new_model("bert")
    before = run(model, *rows, without_padding=False)[0]
    with pytest.raises(IndexError), packed(layers(model), rows[1]):
        model(input_ids=rows[0][:, :5] + 1000)
    assert torch.equal(run(model, *rows, without_padding=False)[0], before)


@pytest.mark.parametrize("name", ENCODERS)
def test_without_packing_layers_get_a_mask_though_no_row_is_padded(name):
    """So that several processes, of which one may have full rows, can mix their masks."""
    seen, model = [], new_model(name)
    for layer in layers(model):
        layer.register_forward_pre_hook(
            lambda _layer, given, named: seen.extend(
                part for part in (*given, *named.values()) if isinstance(part, torch.Tensor) and part.ndim == 4
            ),
            with_kwargs=True,
        )
    model(input_ids=torch.full((2, 5), 7), attention_mask=torch.ones(2, 5, dtype=torch.long))
    assert len(seen) == 3 and all(mask.shape[-2:] == (5, 5) for mask in seen)


def test_segments_by_hand():
    segments = Segments.of(torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]))
    assert segments.groups == [(1, 1), (2, 3)] and segments.starts.tolist() == [0, 0, 1, 4, 7]
    assert segments.rows.tolist() == [1, 2, 2, 2, 3, 3, 3] and segments.columns.tolist() == [0, 0, 1, 2, 0, 1, 2]
    assert segments.padded_indices.tolist() == [4, 0, 1, 2, 8, 9, 10]
    assert segments.positions.tolist() == [0, 0, 1, 2, 0, 1, 2]


def test_every_type_that_is_packed_is_tried_above():
    assert {kind for kind, _sizes in ENCODERS.values()} == _PACKABLE


def test_a_decoder_is_left_alone():
    """Its tokens attend to earlier ones only, and packed rows to all."""
    config = CONFIG_MAPPING["bert"](vocab_size=60, is_decoder=True, **WIDTH)
    model = AutoModelForSequenceClassification.from_config(config)
    pack(model)
    assert not is_packed(model)


def test_an_encoder_with_an_attention_of_its_own_is_left_alone():
    config = CONFIG_MAPPING["deberta-v2"](vocab_size=60, pooler_hidden_size=16, **WIDTH)
    model = AutoModelForSequenceClassification.from_config(config)
    pack(model)
    assert not is_packed(model)
