"""Our decoding beside transformers': the same tokens greedily and with beams, the same distribution when sampled."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from text_uda.errors import SettingsError
from text_uda.model.cuda import attend_by_products
from text_uda.translate import token_sampling
from text_uda.translate.decoding import Decoding, decode
from text_uda.translate.marian_network import Network
from text_uda.translate.token_sampling import DRAWS, draw, likeliest

CPU = torch.device("cpu")
sort = token_sampling._sorted


@pytest.fixture(scope="module")
def random_model() -> MarianMTModel:
    """Of sharp distributions, so that outputs end at different lengths and beams differ; nothing of it is tied."""
    config = MarianConfig(
        vocab_size=301, d_model=48, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
        decoder_attention_heads=3, encoder_ffn_dim=80, decoder_ffn_dim=64, max_position_embeddings=64,
        pad_token_id=300, eos_token_id=0, decoder_start_token_id=300, activation_function="swish",
        scale_embedding=False, init_std=0.2, forced_eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MarianMTModel(config).eval()
        model.model.decoder.embed_positions.weight.data += torch.randn(64, 48)
        model.final_logits_bias.normal_()
        model.final_logits_bias[0, 0] += 2.5  # so that it comes to an end
    return model


def sources(count: int) -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [[*generator.integers(1, 300, size=generator.integers(1, 20)).tolist(), 0] for _ in range(count)]


def theirs(model: MarianMTModel, ids: list[list[int]], cap: int, beams: int) -> list[list[list[int]]]:
    config = GenerationConfig(
        max_new_tokens=cap, num_beams=beams, num_return_sequences=beams, do_sample=False, pad_token_id=300,
        eos_token_id=0, decoder_start_token_id=300, bad_words_ids=[[300]], length_penalty=1.0, early_stopping=False,
    )  # fmt: skip
    longest = max(map(len, ids))
    padded = torch.tensor([row + [300] * (longest - len(row)) for row in ids])
    output = model.generate(input_ids=padded, attention_mask=(padded != 300).long(), generation_config=config)
    rows = [row[: row.index(0) + 1] if 0 in row else [t for t in row if t != 300] for row in output[:, 1:].tolist()]
    return [rows[start : start + beams] for start in range(0, len(rows), beams)]


@pytest.mark.parametrize("beams", [2, 4, 6])
def test_beams_are_those_of_transformers(random_model: MarianMTModel, beams: int):
    network = Network(random_model, device=CPU)
    ids = sources(40)
    expected = theirs(random_model, ids, 30, beams)
    assert len({len(row) for rows in expected for row in rows}) > 5, "else nothing leaves a batch early"
    rows = [source for source in range(40) for _ in range(beams)]
    which = list(range(beams)) * 40
    found = decode(network, ids, rows, [30] * len(rows), Decoding(beams=beams), hypotheses=which)
    assert [output.tokens for output in found] == [row for rows in expected for row in rows]
    assert [output.ended for output in found] == [row[-1] == 0 for rows in expected for row in rows]


def test_greedy_tokens_are_those_of_transformers(random_model: MarianMTModel):
    """Each row up to a cap of its own, so that rows leave the batch all the way."""
    network = Network(random_model, device=CPU)
    ids = sources(40)
    caps = np.random.default_rng(5).integers(1, 45, size=40).tolist()
    found = decode(network, ids, list(range(40)), caps, Decoding())
    expected = [rows[0] for rows in theirs(random_model, ids, 45, 1)]
    assert len({tuple(row) for row in expected}) > 5
    assert [output.tokens for output in found] == [row[:cap] for row, cap in zip(expected, caps, strict=True)]


def test_scores_are_the_mean_log_probabilities(random_model: MarianMTModel):
    network = Network(random_model, device=CPU)
    ids = sources(8)
    for beams in (1, 3):
        for source, made in zip(
            ids, decode(network, ids, list(range(8)), [30] * 8, Decoding(beams=beams)), strict=True
        ):
            target = torch.tensor([[300, *made.tokens[:-1]]])
            logits = random_model(input_ids=torch.tensor([source]), decoder_input_ids=target).logits[0]
            if beams == 1:
                logits[:, 300] = -torch.inf  # of what can be said; a beam's score counts the pad, as transformers does
            values = logits.log_softmax(-1).gather(-1, torch.tensor(made.tokens)[:, None])
            tolerance = 1e-4 if beams == 1 else 0.05
            assert made.log_probability == pytest.approx(values.mean().item(), abs=tolerance)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(temperature=0.9), Decoding(temperature=1.2, top_k=9),
                                      Decoding(temperature=0.9, top_p=0.8), Decoding(beams=3)])  # fmt: skip
def test_an_output_does_not_depend_on_its_batch(random_model: MarianMTModel, decoding: Decoding):
    network = Network(random_model, device=CPU)
    ids = sources(32)
    caps = [min(60, 3 * len(source) + 10) for source in ids]
    numbers = np.random.default_rng(1).random((32, max(caps), DRAWS))

    def made(chosen: list[int]) -> dict[int, list[int]]:
        outputs = decode(network, [ids[n] for n in chosen], list(range(len(chosen))), [caps[n] for n in chosen],
                         decoding, numbers[chosen])  # fmt: skip
        return {number: output.tokens for number, output in zip(chosen, outputs, strict=True)}

    together = made(list(range(32)))
    for size in (1, 5):
        apart: dict[int, list[int]] = {}
        order = list(range(31, -1, -1))
        for start in range(0, 32, size):
            apart |= made(order[start : start + size])
        assert apart == together


def test_a_source_is_encoded_once_for_all_its_rows(random_model: MarianMTModel, monkeypatch: pytest.MonkeyPatch):
    network = Network(random_model, device=CPU)
    encoded = []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda ids: encoded.append(len(ids)) or encode(ids))
    numbers = np.random.default_rng(1).random((6, 30, DRAWS))
    rows = [0, 0, 0, 1, 1, 1]
    made = decode(network, sources(2), rows, [30] * 6, Decoding(temperature=1.0), numbers)
    assert encoded == [2] and len({tuple(output.tokens) for output in made}) == 6


LOGITS = torch.tensor([1.0, 0.2, -0.5, 2.0, 0.9, -3.0] + [-torch.inf] * 506)  # two blocks of 256


def expected(temperature: float, top_k: int | None, top_p: float | None) -> np.ndarray:
    weights = np.exp(LOGITS.double().numpy() / temperature)
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    kept = order[: top_k or len(order)]
    if top_p is not None:
        share = weights[kept] / weights[kept].sum()
        kept = kept[np.cumsum(share) - share < top_p]
    only = np.zeros_like(weights)
    only[kept] = weights[kept]
    return only / only.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, None, None), (0.5, None, None), (1.5, None, None), (1.0, 3, None), (1.0, None, 0.7), (0.9, 4, 0.9)],
)
def test_sampled_frequencies_are_the_distribution(temperature: float, top_k: int | None, top_p: float | None):
    count = 20_000
    uniform = torch.from_numpy(np.random.default_rng(7).random((count, DRAWS)))
    chosen = draw(LOGITS.repeat(count, 1), uniform, temperature=temperature, top_k=top_k, top_p=top_p)
    wanted = expected(temperature, top_k, top_p)
    seen = np.bincount(chosen.tokens.numpy(), minlength=512)
    there = wanted > 0
    assert seen[~there].sum() == 0
    chi_square = ((seen - count * wanted) ** 2 / np.where(there, count * wanted, 1))[there].sum()
    assert chi_square < 20.5, "the 99.9% quantile for 5 degrees of freedom"
    assert torch.allclose(chosen.log_probability.exp(), torch.from_numpy(wanted).float()[chosen.tokens], atol=1e-5)


def test_sampled_tokens_of_a_model_have_its_distribution(random_model: MarianMTModel):
    """The first token of 20,000 samples of one sentence, by way of the whole loop."""
    network = Network(random_model, device=CPU)
    count = 20_000
    numbers = np.random.default_rng(2).random((count, 1, DRAWS))
    made = decode(network, [[5, 9, 0]], [0] * count, [1] * count, Decoding(temperature=0.8), numbers)
    logits = random_model(input_ids=torch.tensor([[5, 9, 0]]), decoder_input_ids=torch.tensor([[300]])).logits[0, 0]
    logits[300] = -torch.inf
    wanted = count * (logits.double() / 0.8).softmax(-1).detach().numpy()
    seen = np.bincount([output.tokens[0] for output in made], minlength=301)
    often = wanted >= 10
    cells = [*zip(seen[often], wanted[often], strict=True), (seen[~often].sum(), wanted[~often].sum())]
    chi_square = sum((observed - mean) ** 2 / mean for observed, mean in cells)
    freedom = len(cells) - 1
    assert freedom > 10 and chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_the_edges_of_a_uniform_number():
    wide = torch.full((2, 512), -torch.inf)
    wide[:, [3, 300]] = 0.0
    edges = torch.tensor([[0.0] * DRAWS, [1 - 2**-53] * DRAWS]).double()
    assert draw(wide.clone(), edges, temperature=1.0).tokens.tolist() == [3, 300]
    assert draw(wide.clone(), edges, temperature=1.0, top_k=2).tokens.tolist() == [3, 300]


def test_a_draw_of_many_tokens_forgives_what_another_batch_does_to_logits():
    """Of 20,480 tokens about equally likely, by one number some 40 of these 1,000 draws would differ."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1000, 20_480, generator=generator) * 0.3
    noise = torch.randn(1000, 20_480, generator=generator) * 3e-4
    uniform = torch.rand(1000, DRAWS, generator=generator, dtype=torch.float64)
    one, other = (draw(each, uniform, temperature=1.0).tokens for each in (logits + noise, logits))
    assert (one != other).sum() < 12
    assert len(set(other.tolist())) > 900


def test_nan_logits_are_told():
    wide = torch.zeros(2, 256)
    wide[1, 4] = torch.nan
    for chosen in (likeliest(wide), draw(wide.clone(), torch.full((2, DRAWS), 0.5).double(), temperature=1.0)):
        assert chosen.log_probability.isnan().tolist() == [False, True]


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0}, {"temperature": 3}, {"top_k": 5}, {"top_p": 0.5}, {"temperature": 1, "top_k": 0},
     {"temperature": 1, "top_p": 1.5}, {"beams": 0}, {"beams": 4, "temperature": 0.9}],
)  # fmt: skip
def test_decodings_that_do_not_go_together(wrong: dict):
    with pytest.raises(SettingsError):
        Decoding(**wrong)


def test_top_p_sorts_the_vocabulary_of_flat_rows_alone(monkeypatch: pytest.MonkeyPatch):
    """A row gets the token that it gets among others, whether they are flat or not."""
    generator = torch.Generator().manual_seed(0)
    sharp, flat = torch.randn(30, 2048, generator=generator) * 6, torch.randn(2, 2048, generator=generator) / 10
    logits = torch.cat([sharp[:9], flat[:1], sharp[9:], flat[1:]])
    uniform = torch.from_numpy(np.random.default_rng(3).random((32, DRAWS)))
    alone = [draw(logits[[row]], uniform[[row]], temperature=1.0, top_p=0.9) for row in range(32)]
    sorted_sizes = []
    monkeypatch.setattr(
        token_sampling, "_sorted", lambda rows, count: sorted_sizes.append((len(rows), count)) or sort(rows, count)
    )
    together = draw(logits, uniform, temperature=1.0, top_p=0.9)
    assert sorted_sizes == [(32, 512), (2, 2048)]
    assert together.tokens.tolist() == [int(one.tokens) for one in alone]
    torch.testing.assert_close(together.log_probability, torch.cat([one.log_probability for one in alone]))
    whole = logits.double().softmax(-1)
    rank = (whole >= whole.gather(-1, together.tokens[:, None])).sum(-1)
    assert all(rank[row] > 1 for row in (9, 31)) and (together.log_probability < 0).any()


def test_on_a_gpu_logits_are_not_rounded(random_model: MarianMTModel, monkeypatch: pytest.MonkeyPatch):
    """Of a model in 16 bits: the product is told to return float32, and gets the bias in float32."""
    network = Network(copy.deepcopy(random_model), device=CPU, precision="bfloat16")
    memory = network.encode([[5, 6, 0]])
    rounded = network.step(network.start(memory), torch.tensor([7]))
    seen = []

    def product(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append((rows.dtype, weights.dtype))
        return rows.float() @ weights.float().T

    monkeypatch.setattr("text_uda.translate.marian_network.product_in_float32", product)
    network.device = torch.device("cuda")
    exact = network.step(network.start(memory), torch.tensor([7]))
    assert seen == [(torch.bfloat16, torch.bfloat16)] and exact.dtype == torch.float32
    finite = exact.isfinite()
    assert torch.equal(finite, rounded.isfinite())
    error = (exact - rounded)[finite].abs().max()
    assert 0 < error < 0.05, "the same logits, but for the rounding of a CPU"


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_products_is_attention(masked, monkeypatch):
    """In float32 on a CPU; tests/gpu/test_translation.py has 16 bits on a GPU."""
    monkeypatch.setattr("text_uda.model.cuda._scores", torch.bmm)
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(5, 3, 8, generator=generator)
    keys, values = torch.randn(2, 5, 3, 9, 8, generator=generator)[..., :7, :]  # a part of a larger cache
    mask = (torch.arange(7) < torch.tensor([[1], [7], [3], [5], [2]]))[:, None, None] if masked else None
    expected = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=mask)
    torch.testing.assert_close(attend_by_products(query, keys, values, mask), expected)
