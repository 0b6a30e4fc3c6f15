"""Random tensors from keys: their distributions, and what a number does and does not depend on."""

import math

import pytest
import torch

from text_uda import distributed
from text_uda.model import keyed_tensors

CPU = torch.device("cpu")
KEY = 2**62 + 12345


def keys(rows: int, key: int = KEY) -> torch.Tensor:
    return keyed_tensors.row_keys(key, rows, device=CPU)


def kolmogorov_smirnov(values: torch.Tensor, cumulative: torch.Tensor) -> float:
    """sqrt(n) sup |F_n - F|, above 1.95 in one of a thousand samples; `cumulative` is F at the sorted values."""
    count = len(values)
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    largest = torch.maximum((cumulative - steps[:-1]).abs(), (cumulative - steps[1:]).abs()).max()
    return math.sqrt(count) * largest.item()


SHAPES = pytest.mark.parametrize(("rows", "shape"), [(1, (100_000,)), (100_000, (1,)), (50, (40, 50))])


@SHAPES
@pytest.mark.parametrize("key", [0, 1, KEY])
def test_uniform_numbers_are_uniform(rows, shape, key):
    values = keyed_tensors.uniform(keys(rows, key), *shape).double().flatten().sort().values
    assert values.min() >= 0 and values.max() < 1
    assert kolmogorov_smirnov(values, values) < 1.95
    counts = torch.histc(values, bins=100, min=0, max=1)
    chi_square = (counts - len(values) / 100).square().sum().item() / (len(values) / 100)
    assert 50 < chi_square < 148.2  # of 99 degrees of freedom: one in a thousand on the upper side


@SHAPES
@pytest.mark.parametrize("key", [0, 1, KEY])
def test_normal_numbers_are_normal(rows, shape, key):
    values = keyed_tensors.normal(keys(rows, key), *shape).double().flatten().sort().values
    assert values.isfinite().all()
    assert kolmogorov_smirnov(values, (1 + torch.erf(values / math.sqrt(2))) / 2) < 1.95
    spread = 1 / math.sqrt(len(values))
    for power, moment, deviation in ((1, 0, 1), (2, 1, math.sqrt(2)), (3, 0, math.sqrt(15)), (4, 3, math.sqrt(96))):
        assert values.pow(power).mean().item() == pytest.approx(moment, abs=4 * deviation * spread)


@pytest.mark.parametrize("draw", [keyed_tensors.uniform, keyed_tensors.normal])
def test_rows_places_and_keys_are_uncorrelated(draw):
    values = draw(keys(200), 1000).double()
    others = draw(keys(200, KEY + 1), 1000).double()
    pairs = {
        "the next row": (values[1:], values[:-1]),
        "the next place": (values[:, 1:], values[:, :-1]),
        "the next place of the next row": (values[1:, 1:], values[:-1, :-1]),
        "the next key": (values, others),
        "the next key and row": (values[1:], others[:-1]),
    }
    for name, (first, second) in pairs.items():
        correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].item()
        assert abs(correlation) < 4 / math.sqrt(first.numel()), name
        assert not (first == second).double().mean() > 1e-3, name


def test_the_mean_of_a_row_is_normal():
    means = (keyed_tensors.normal(keys(50_000), 50).double().mean(dim=1) * math.sqrt(50)).sort().values
    assert kolmogorov_smirnov(means, (1 + torch.erf(means / math.sqrt(2))) / 2) < 1.95
    assert 3.5 < means.abs().max() < 5.5


def test_row_keys_differ():
    together = torch.cat([keys(20_000, key) for key in (0, 1, 2, KEY, KEY + 1)])
    assert len(together.unique()) == len(together)


@pytest.mark.parametrize("draw", [keyed_tensors.uniform, keyed_tensors.normal])
def test_a_number_depends_on_its_row_and_place_alone(draw):
    values = draw(keys(7), 5, 3)
    assert torch.equal(draw(keys(20), 5, 3)[:7], values)  # whatever the number of rows
    assert torch.equal(draw(keys(7), 9, 3)[:, :5], values)  # tokens, padded wider
    assert torch.equal(draw(keys(7)[4:5], 5, 3), values[4:5])
    assert values.dtype == torch.float32 and values.shape == (7, 5, 3)


def test_two_processes_draw_what_one_draws(monkeypatch):
    whole = keys(8)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(keys(4))
    assert torch.equal(torch.cat(parts), whole)


def test_the_same_key_gives_the_same_numbers_from_release_to_release():
    assert keys(2, 1).tolist() == [-2756458260177122986, -2395555888584595077]
    uniform, normal = keyed_tensors.uniform(keys(2, 1), 2), keyed_tensors.normal(keys(2, 1), 2)
    torch.testing.assert_close(uniform, torch.tensor([[0.3224446, 0.5622325], [0.7386401, 0.4482920]]))
    torch.testing.assert_close(normal, torch.tensor([[-0.0123101, -0.7350259], [-0.7539784, 1.2579926]]))


def test_the_global_state_stays_what_it_was():
    before = torch.random.get_rng_state()
    keyed_tensors.normal(keys(2), 2)
    with keyed_tensors.seeded_torch(3):
        first = torch.rand(2)
    with keyed_tensors.seeded_torch(3):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.random.get_rng_state(), before)
