"""Cutoff: what is zero and what is not, counted by hand; where the draws fall; where gradient flows."""

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from text_uda.augment.cutoff import Cutoff
from text_uda.errors import SettingsError

KINDS = ("token", "feature", "span")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(*real: int, width: int = 12) -> tuple[Tensor, Tensor]:
    """Embeddings without a zero, and masks of so many tokens, between a special one and [SEP] and padding."""
    mask = torch.zeros(len(real), width, dtype=torch.bool)
    for row, count in enumerate(real):
        mask[row, 1 : 1 + count] = True
    return torch.rand(len(real), width, 20, generator=generator(9)) + 1, mask


@pytest.mark.parametrize("kind", ["token", "span"])
@pytest.mark.parametrize(
    ("rate", "counts"),  # of rows with 10, 4, 2, 1 and no tokens
    [(0.1, [1, 1, 1, 0, 0]), (0.3, [3, 1, 1, 0, 0]), (0.6, [6, 2, 1, 0, 0]), (0.99, [9, 3, 1, 0, 0])],
)
def test_so_many_tokens_and_nothing_else(kind, rate, counts):
    embeddings, mask = rows(10, 4, 2, 1, 0)
    for seed in range(20):
        cut = Cutoff(kind=kind, rate=rate).on_embeddings(embeddings, mask, generator(seed))
        gone = (cut == 0).all(dim=-1)
        assert gone.sum(dim=1).tolist() == counts
        assert not (gone & ~mask).any(), "special tokens and padding stay"
        assert torch.equal(cut[~gone], embeddings[~gone])
        if kind == "span":
            for row, count in zip(gone.long(), counts, strict=True):
                assert row.diff().abs().sum() == (2 if count else 0), "one span"


def test_features_are_the_same_ones_for_all_tokens_of_a_row_and_differ_between_rows():
    embeddings, mask = rows(10, 4, 1)
    gone = Cutoff(kind="feature", rate=0.25).on_embeddings(embeddings, mask, generator()) == 0
    for row, own in zip(gone, mask, strict=True):
        assert row[own].sum(dim=1).tolist() == [5] * int(own.sum()), "5 of 20"
        assert (row[own] == row[own][0]).all() and not row[~own].any()
    assert not torch.equal(gone[0, 1], gone[1, 1])


@pytest.mark.parametrize("kind", ["token", "span"])
def test_tokens_that_do_not_stand_together(kind):
    """An unknown position between: a span is one of neighbours among those that may be cut."""
    embeddings, mask = rows(8)
    mask[0, 4] = False
    gone = (Cutoff(kind=kind, rate=0.4).on_embeddings(embeddings, mask, generator()) == 0).all(dim=-1)
    assert gone.sum() == 3 and not gone[0, 4]


def expected_places(kind: str) -> Tensor:
    """How likely each of 6 places is to be cut, where 2 are: in a span, the ends have but one start that hits them."""
    return torch.full((6,), 2 / 6) if kind == "token" else torch.tensor([1, 2, 2, 2, 2, 1]) / 5


@pytest.mark.parametrize("kind", ["token", "span"])
def test_all_places_are_drawn_as_often_as_they_should(kind):
    rows_drawn = 6000
    mask = torch.zeros(rows_drawn, 8, dtype=torch.bool)
    mask[:, 1:7] = True
    cut = Cutoff(kind=kind, rate=1 / 3).on_embeddings(torch.ones(rows_drawn, 8, 1), mask, generator(3))
    gone = (cut[:, 1:7, 0] == 0).float()
    if kind == "span":  # spans themselves are equally likely: 5 starts
        found = torch.bincount(gone.argmax(dim=1), minlength=5)
        assert chisquare(found.numpy()).pvalue > 1e-3
    else:  # pairs of places are: 15
        first, last = gone.argmax(dim=1), 5 - gone.flip(1).argmax(dim=1)
        found = torch.bincount(first * 6 + last, minlength=36)
        assert chisquare(found[found > 0].numpy()).pvalue > 1e-3 and (found > 0).sum() == 15
    torch.testing.assert_close(gone.mean(dim=0), expected_places(kind), atol=0.03, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_flows_to_what_is_kept_and_nowhere_else(kind):
    embeddings, mask = rows(10, 4)
    embeddings.requires_grad_()
    cut = Cutoff(kind=kind, rate=0.3).on_embeddings(embeddings, mask, generator())
    (cut * 3).sum().backward()
    assert embeddings.grad is not None and (cut == 0).any()
    assert torch.equal(embeddings.grad, (cut != 0) * 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind):
    embeddings, mask = rows(10, 10, 10)
    cutoff = Cutoff(kind=kind, rate=0.3)
    first, again, other = (cutoff.on_embeddings(embeddings, mask, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first[0] == 0, first[1] == 0), "each row has its own draw"


def test_settings():
    assert Cutoff(kind="token", rate=0.2).settings() == {
        "method": "cutoff", "version": 1, "unit": "embeddings", "kind": "token", "rate": 0.2
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"kind": "word"}, {"rate": 0.0}, {"rate": 1.0}, {"rate": -0.1}])
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Cutoff(**wrong)
