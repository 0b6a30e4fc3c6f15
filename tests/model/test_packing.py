"""Without padding: the same logits and gradients as with it, for each family, and attention that stays in its row."""

from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.classifier import layers
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import (
    _PACKABLE,
    AttentionOptions,
    Segments,
    _choose_attention,
    attend_by_length,
    attend_padded,
    attend_varlen,
    is_packed,
    pack,
    packed,
)

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


def by_the_kernel(query, key, value, starts, others, longest, most, *, scale, window_size):
    """What `varlen_attn` says it does, row by row, for it runs on CUDA alone."""
    assert starts is others and longest == most and starts.dtype == torch.int32
    rows = []
    for start, stop in pairwise(starts.tolist()):
        positions = torch.arange(stop - start)
        left, right = window_size
        away = positions[None] - positions[:, None]
        near = (left < 0) | ((away >= -left) & (away <= right)) if left >= 0 else None
        parts = (each[start:stop].transpose(0, 1) for each in (query, key, value))
        rows.append(scaled_dot_product_attention(*parts, attn_mask=near, scale=scale).transpose(0, 1))
    return torch.cat(rows)


@pytest.fixture(params=["by length", "padded", "varlen"])
def way(request, monkeypatch) -> str:
    """How rows are attended to: on a CPU, on CUDA with dropout, on CUDA without."""
    ways = {"by length": attend_by_length, "padded": attend_padded, "varlen": attend_varlen}
    used = []

    def counted(*arguments, **named):
        used.append(1)
        return ways[request.param](*arguments, **named)

    monkeypatch.setattr("text_uda.model.packing._choose_attention", lambda *_arguments: counted)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_the_kernel)
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


@pytest.mark.parametrize("attend", [attend_by_length, attend_padded])
def test_nor_does_it_bring_neighbours_closer(rows, attend, monkeypatch):
    monkeypatch.setattr("text_uda.model.packing._choose_attention", lambda *_arguments: attend)
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
        ("cpu", torch.float32, 0.1, None, False, attend_by_length),
        ("cpu", torch.bfloat16, 0.0, 4, True, attend_by_length),
        ("cuda", torch.bfloat16, 0.0, None, True, attend_varlen),
        ("cuda", torch.bfloat16, 0.0, 4, False, attend_varlen),
        ("cuda", torch.bfloat16, 0.0, 4, True, attend_padded),
        ("cuda", torch.bfloat16, 0.1, None, False, attend_padded),
        ("cuda", torch.float32, 0.0, None, False, attend_padded),
    ],
)
def test_the_choice_of_the_attention(device, dtype, dropout, window, erased, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _device: (9, 0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    mask[0, 1] = int(not erased)
    query = SimpleNamespace(device=torch.device(device), dtype=dtype)
    assert _choose_attention(query, Segments.of(mask), AttentionOptions(dropout, None, window)) is expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ENCODERS)
def test_on_cuda_logits_are_those_with_padding(name, rows):
    ids, mask = (part.cuda() for part in rows)
    model = new_model(name).cuda()
    for dtype, close in ((torch.float32, 1e-5), (torch.bfloat16, 5e-2)):
        with torch.autocast("cuda", dtype=dtype, enabled=dtype != torch.float32):
            found, expected = (run(model, ids, mask, without_padding=each)[0].float() for each in (True, False))
        torch.testing.assert_close(found, expected, atol=close, rtol=close)


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
