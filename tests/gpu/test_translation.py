"""Decoding: a sentence alone and in a batch, on a GPU and on a CPU, logits that are not rounded, memory that ends."""

import numpy as np
import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from text_uda.model.cuda import free_memory, pin_float32
from text_uda.translate.batching import Budget
from text_uda.translate.decoding import DecodedTokens, Decoding, decode
from text_uda.translate.marian_network import Network, Precision
from text_uda.translate.token_sampling import DRAWS

END, PAD = 0, 3000
CAP = 24


def new_network(device: torch.device, precision: Precision = "float32") -> Network:
    config = MarianConfig(
        vocab_size=PAD + 1, d_model=128, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256, max_position_embeddings=128,
        pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, init_std=0.1, forced_eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MarianMTModel(config).eval()
    with torch.no_grad():
        model.final_logits_bias[0, END] += 1.0  # so that outputs end at different lengths
    if device.type == "cuda":
        pin_float32()
    return Network(model, device=device, precision=precision)


def sources(count: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [[*rng.integers(1, PAD, size=rng.integers(1, 40)).tolist(), END] for _ in range(count)]


def translate(network: Network, ids: list[list[int]], decoding: Decoding, numbers: np.ndarray) -> list[DecodedTokens]:
    return decode(network, ids, list(range(len(ids))), [CAP] * len(ids), decoding, numbers)


@pytest.mark.parametrize(
    "decoding",
    [Decoding(), Decoding(temperature=0.9), Decoding(temperature=0.9, top_k=20), Decoding(temperature=0.9, top_p=0.8),
     Decoding(beams=3)],
)  # fmt: skip
def test_a_sentence_gets_the_same_tokens_alone_and_in_a_batch(decoding, device):
    """In float32; the last bits of a logit depend on the batch, so one sentence in a hundred may differ."""
    network, ids = new_network(device), sources(48)
    numbers = np.random.default_rng(1).random((len(ids), CAP, DRAWS))
    together = [output.tokens for output in translate(network, ids, decoding, numbers)]
    alone = [translate(network, ids[n : n + 1], decoding, numbers[n : n + 1])[0].tokens for n in range(len(ids))]
    assert len({tuple(tokens) for tokens in together}) > 5
    assert sum(one != other for one, other in zip(together, alone, strict=True)) <= len(ids) // 40


def test_greedy_tokens_are_those_of_a_cpu(cuda):
    ids, numbers = sources(64), np.zeros((64, CAP, DRAWS))
    found, expected = (
        [output.tokens for output in translate(new_network(place), ids, Decoding(), numbers)]
        for place in (cuda, torch.device("cpu"))
    )
    assert sum(one != other for one, other in zip(found, expected, strict=True)) <= 2


def test_logits_of_16_bits_are_not_rounded(cuda):
    """Rounded ones tie for the best token in one row of 25."""
    network, ids = new_network(cuda, "bfloat16"), sources(256)
    with torch.inference_mode():
        logits = network.step(network.start(network.encode(ids)), torch.full((len(ids),), PAD, device=cuda))
    assert logits.dtype == torch.float32
    values = logits[logits.isfinite()]
    assert (values.bfloat16().float() != values).float().mean() > 0.9
    best = logits.topk(2, dim=-1).values
    assert (best[:, 0] == best[:, 1]).float().mean() < 0.01


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_large_batches_attend_as_small_ones_do(precision, cuda, monkeypatch):
    network, ids = new_network(cuda, precision), sources(64)

    def logits() -> torch.Tensor:
        with torch.inference_mode():
            state = network.start(network.encode(ids))
            for token in (PAD, 5, 9):
                found = network.step(state, torch.full((len(ids),), token, device=cuda))
        return found[:, : network.vocabulary]

    few = logits()
    monkeypatch.setattr("text_uda.translate.marian_network._MANY_ROWS", 1)
    many, finite = logits(), few.isfinite()
    assert torch.equal(finite, many.isfinite())
    assert (many[finite] - few[finite]).norm() / few[finite].norm() < (0.02 if precision == "bfloat16" else 0.003)


def test_with_less_memory_the_results_are_the_same_and_the_budget_is_halved(cuda):
    network, ids = new_network(cuda), sources(2048)
    lengths = [len(source) for source in ids]

    def run(budget: Budget) -> dict[int, list[int]]:
        def work(batch: list[int]) -> list[DecodedTokens]:
            with budget.exclusive():
                return translate(network, [ids[n] for n in batch], Decoding(), np.zeros((len(batch), CAP, DRAWS)))

        pairs = budget.run(lengths, [1] * len(ids), work)
        return {n: output.tokens for batch, outputs in pairs for n, output in zip(batch, outputs, strict=True)}

    free_memory()
    start = torch.cuda.memory_reserved(cuda)
    torch.cuda.reset_peak_memory_stats(cuda)
    expected = run(Budget(65536, cuda))
    peak = torch.cuda.max_memory_reserved(cuda)
    free_memory()
    total = torch.cuda.get_device_properties(cuda).total_memory
    budget = Budget(65536, cuda)
    try:
        torch.cuda.set_per_process_memory_fraction((start + 0.4 * (peak - start)) / total, cuda)
        found = run(budget)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    assert budget.max_tokens < 65536
    assert sum(found[n] != expected[n] for n in expected) <= len(ids) // 100
