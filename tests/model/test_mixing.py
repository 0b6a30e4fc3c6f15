"""Mixup: weights, partners, masks; the draws, and that any number of processes draws the same."""

import numpy as np
import pytest
import torch

from text_uda import distributed
from text_uda.model.mixing import Mixing, draw_mixing

CPU = torch.device("cpu")


def mixing_of(weight: list[float], partner: list[int], *sizes: int) -> Mixing:
    return Mixing(torch.tensor(weight), torch.tensor(partner), sizes or (len(weight),))


def test_by_hand():
    values = torch.tensor([[0.0, 4.0], [8.0, 0.0], [1.0, 1.0]])
    mixed = mixing_of([0.75, 0.5, 1.0], [1, 2, 0])(values)
    assert mixed.tolist() == [[2.0, 3.0], [4.5, 0.5], [1.0, 1.0]]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_any_shape_and_precision(shape, dtype):
    values = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    mixing = draw_mixing(1, [2, 3], alpha=0.7, device=CPU)
    mixed = mixing(values)
    given = values.double().numpy()
    rows = range(5)
    expected = np.stack(
        [
            m * given[row] + (1 - m) * given[other]
            for row, m, other in zip(rows, mixing.weight.double().numpy(), mixing.partner.tolist(), strict=True)
        ]
    )
    assert mixed.dtype == dtype
    np.testing.assert_allclose(mixed.double().numpy(), expected, atol=0.05 if dtype == torch.bfloat16 else 1e-6)


def test_the_gradient_goes_to_the_row_and_to_its_partner():
    values = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    mixing = draw_mixing(5, [4], alpha=1.0, device=CPU)
    assert torch.autograd.gradcheck(mixing, (values,))
    mixing_of([0.75, 1.0], [1, 0])(values[:2])[0].sum().backward()
    assert values.grad is not None and values.grad[:, 0].tolist() == [0.75, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 1, 0]]),
        ([[True, True, False], [True, False, False]], [[True, True, False], [True, True, False]]),
        ([[0.0, 0.0, -9e9], [0.0, -9e9, -9e9]], [[0.0, 0.0, -9e9], [0.0, 0.0, -9e9]]),
    ],
)
def test_a_place_is_there_when_either_row_has_it(mask, expected):
    either = mixing_of([0.5, 0.5], [1, 0]).either(torch.tensor(mask))
    assert torch.equal(either, torch.tensor(expected))


def test_partners_are_a_permutation_and_weights_those_of_the_distribution():
    mixing = draw_mixing(3, [1000, 3000], alpha=0.5, device=CPU)
    assert sorted(mixing.partner.tolist()) == list(range(4000))
    assert mixing.sizes == (1000, 3000)
    weight = mixing.weight.double()
    assert weight.dtype == torch.float64 and weight.min() >= 0 and weight.max() <= 1
    assert weight.mean().item() == pytest.approx(0.5, abs=0.02)
    assert weight.var().item() == pytest.approx(1 / 8, abs=0.01)  # 1 / (4 (2 alpha + 1))


def test_larger_weight_is_of_the_row_itself():
    plain, own = (draw_mixing(3, [50], alpha=0.7, larger_weight=first, device=CPU) for first in (False, True))
    assert torch.equal(own.weight, torch.maximum(plain.weight, 1 - plain.weight)) and own.weight.min() >= 0.5
    assert torch.equal(own.partner, plain.partner)


def test_partners_of_the_first_group_alone():
    partner = draw_mixing(3, [4, 400], alpha=0.7, with_first_group=True, device=CPU).partner
    assert set(partner.tolist()) == {0, 1, 2, 3}


def test_the_key_decides():
    first, again, other = (draw_mixing(key, [20], alpha=1.0, device=CPU) for key in (1, 1, 2))
    assert torch.equal(first.partner, again.partner) and torch.equal(first.weight, again.weight)
    assert not torch.equal(first.partner, other.partner) and not torch.equal(first.weight, other.weight)


@pytest.mark.parametrize("with_first_group", [False, True])
def test_each_process_draws_its_part_of_what_one_would(monkeypatch, with_first_group):
    """Labeled rows 0 to 3, unlabeled ones 4 to 9; two processes have 0, 1, 4, 5, 6 and 2, 3, 7, 8, 9."""
    settings = {"alpha": 0.7, "with_first_group": with_first_group, "device": CPU}
    whole = draw_mixing(9, [4, 6], **settings)
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    for rank, rows in enumerate([[0, 1, 4, 5, 6], [2, 3, 7, 8, 9]]):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        part = draw_mixing(9, [2, 3], **settings)
        assert torch.equal(part.partner, whole.partner[rows]) and torch.equal(part.weight, whole.weight[rows])


def test_the_pool_has_the_rows_group_by_group(monkeypatch):
    """The rows of this process, 0 and 1 in one group and 2 in the other, and ten more of each from another process."""
    monkeypatch.setattr(distributed, "gathered", lambda values: torch.cat([values, values + 10]))
    values = torch.tensor([0.0, 1.0, 2.0])
    mixing = mixing_of([1.0, 0.5, 0.0], [0, 3, 5], 2, 1)
    assert mixing.pool(values).tolist() == [0, 1, 10, 11, 2, 12]
    assert mixing(values).tolist() == [0, 6, 12]
