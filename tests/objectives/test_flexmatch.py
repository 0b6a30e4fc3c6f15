"""FlexMatch: what is kept of each row, the thresholds that come of it, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.flexmatch import FlexMatch, class_thresholds, remember


def waves(start: float) -> torch.Tensor:
    """Logits (8, 3), surer from row to row."""
    return (4 * torch.sin(torch.arange(24.0).double() * 1.7 + start)).view(8, 3) * torch.linspace(0.1, 1.5, 8)[:, None]


def certain(*classes: int, of: int = 3) -> torch.Tensor:
    return 10 * torch.eye(of, dtype=torch.float64)[list(classes)]


def numpy_step(known: np.ndarray, rows, weak: np.ndarray, strong: np.ndarray, tau: float) -> float:
    """The loss, by the algorithm of the paper row by row; `known` is updated."""
    number = [int((known == c).sum()) for c in range(weak.shape[1])]
    beta = [each / max(*number, len(known) - sum(number)) for each in number]
    total, before = 0.0, known.copy()
    for row, one, other in zip(rows, weak, strong, strict=True):
        probabilities, label = np.exp(one) / np.exp(one).sum(), one.argmax()
        if probabilities[label] >= tau * beta[label] / (2 - beta[label]):
            total -= np.log(np.exp(other)[label] / np.exp(other).sum())
        if probabilities[label] >= tau:
            before[row] = label
    known[:] = before
    return total / len(weak)


def test_the_thresholds_by_hand():
    # of 8 rows 4 are of class 0, 2 of class 1, none of class 2: beta = 1, 1/2, 0, and M = 1, 1/3, 0
    known = torch.tensor([0, 0, 0, 0, 1, 1, -1, -1])
    assert class_thresholds(known, 3, threshold=0.9).tolist() == pytest.approx([0.9, 0.3, 0.0])
    # at first the rows without a class are the most, 6 of 8: beta = 1/6, 1/6, 0, and M = 1/11, 1/11, 0
    known = torch.tensor([0, 1, -1, -1, -1, -1, -1, -1])
    assert class_thresholds(known, 3, threshold=0.9).tolist() == pytest.approx([0.9 / 11, 0.9 / 11, 0.0])
    assert class_thresholds(torch.full((4,), -1), 3, threshold=0.9).tolist() == [0.0, 0.0, 0.0]


def test_the_state_over_several_steps_by_hand(evaluate):
    objective = FlexMatch(confidence_threshold=0.9)
    state = objective.initial_state(3, 5)
    assert state["known"].tolist() == [-1] * 5 and state["known"].dtype == torch.int64

    def step(rows, weak):
        loss = evaluate(
            objective, targets=weak, second=torch.zeros(len(rows), 3), unlabeled_rows=torch.tensor(rows), state=state
        )
        return state["known"].tolist(), loss.terms["confident"].item()

    unsure = torch.zeros(1, 3, dtype=torch.float64)
    assert step([0, 3, 1], torch.cat([certain(2, 2), unsure])) == ([2, -1, -1, 2, -1], 1.0)  # at first every row counts
    assert step([1, 2, 4], certain(2, 0, 1)) == ([2, 2, 0, 2, 1], 1.0)
    # row 0 is seen again and unsure: what it was stays, and it does not count, as class 0 has a threshold of 0.9 / 5
    assert step([3, 0], torch.cat([certain(0), unsure])) == ([2, 2, 0, 0, 1], 1.0)
    # now row 1 is sure of another class
    assert step([1, 0], torch.cat([certain(1), unsure])) == ([2, 1, 0, 0, 1], 0.5)


def test_of_a_row_that_is_in_a_batch_twice_the_last_confident_class_stays():
    known = torch.full((4,), -1)
    rows, labels = torch.tensor([2, 0, 2, 2, 0]), torch.tensor([1, 0, 2, 0, 1])
    remember(known, rows, labels, torch.tensor([True, True, True, False, False]))
    assert known.tolist() == [0, -1, 2, -1]


@pytest.mark.parametrize("tau", [0.6, 0.8, 0.95])
def test_agrees_with_numpy_over_several_steps(evaluate, random_logits, tau):
    objective, known = FlexMatch(confidence_threshold=tau), np.full(20, -1)
    state = objective.initial_state(4, 20)
    for seed in range(6):
        rows = (torch.arange(12) * 3 + 7 * seed) % 20
        weak, strong = random_logits(seed), random_logits(seed + 10)
        weak = 1.5 * weak
        loss = evaluate(objective, targets=weak, second=strong, unlabeled_rows=rows, state=state)
        expected = numpy_step(known, rows.tolist(), weak.numpy(), strong.numpy(), tau)
        assert loss.total.item() == pytest.approx(expected, abs=1e-6)
        assert state["known"].tolist() == known.tolist()
    assert len(set(known.tolist())) > 3


def test_the_numbers_of_the_authors_code(evaluate):
    # flexmatch/utils.py of microsoft/Semi-supervised-learning at 36b7d08, p_cutoff 0.9, ten rows
    expected = [
        (0.6127533346225795, 1.0, [-1, -1, 2, -1, 0, 1, -1, 2, -1, -1]),
        (0.9727554646288159, 1.0, [-1, 2, 0, 0, 1, 1, -1, 2, -1, -1]),
        (0.29561048690436514, 1.0, [2, 0, 0, 1, 1, 1, -1, 2, -1, 2]),
        (3.72507398868794, 0.5, [1, 2, 0, 1, 1, 1, 2, 2, 0, 2]),
    ]
    objective = FlexMatch(confidence_threshold=0.9)
    state = objective.initial_state(3, 10)
    for first, weak, strong, (loss, confident, known) in zip(
        (0, 8, 6, 4), (0.0, 1.0, 2.0, 0.3), (0.5, 1.5, 2.5, 3.5), expected, strict=True
    ):
        rows = (torch.arange(8) + first) % 10
        found = evaluate(objective, targets=waves(weak), second=waves(strong), unlabeled_rows=rows, state=state)
        assert found.total.item() == pytest.approx(loss, abs=1e-6) and found.terms["confident"] == confident
        assert state["known"].tolist() == known


@pytest.mark.parametrize("wrong", [{"weight": math.nan}, {"confidence_threshold": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        FlexMatch(**wrong)
