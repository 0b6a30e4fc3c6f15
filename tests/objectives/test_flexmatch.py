"""FlexMatch: what is kept of each row, the thresholds that come of it, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.flexmatch import FlexMatch, class_thresholds, highest_threshold, store_confident_classes
from text_uda.training.run_warnings import warnings_in

THIRDS = torch.full((3,), 1 / 3)


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
    assert class_thresholds(known, THIRDS, threshold=0.9).tolist() == pytest.approx([0.9, 0.3, 0.0])
    # at first the rows without a class are the most, 6 of 8: beta = 1/6, 1/6, 0, and M = 1/11, 1/11, 0
    known = torch.tensor([0, 1, -1, -1, -1, -1, -1, -1])
    assert class_thresholds(known, THIRDS, threshold=0.9).tolist() == pytest.approx([0.9 / 11, 0.9 / 11, 0.0])
    assert class_thresholds(torch.full((4,), -1), THIRDS, threshold=0.9).tolist() == [0.0, 0.0, 0.0]


def test_a_class_that_is_expected_to_be_rare_is_not_taken_for_one_that_is_learnt_badly():
    # of 10 rows 6 are of class 0, 3 of class 1, 1 of class 2, as expected: all have the same threshold, tau itself
    known = torch.tensor([0] * 6 + [1] * 3 + [2])
    prior = torch.tensor([0.6, 0.3, 0.1])
    assert class_thresholds(known, prior, threshold=0.9).tolist() == pytest.approx([0.9] * 3)
    assert class_thresholds(known, THIRDS, threshold=0.9).tolist() == pytest.approx([0.9, 0.3, 0.9 / 11])
    # class 0 is predicted for 3 rows in the place of 6: beta = 1/2
    known = torch.tensor([0] * 3 + [1] * 3 + [2] + [-1] * 3)
    # s = 3 / 1.8, 3 / 0.9, 1 / 0.3; the largest is 10/3
    assert class_thresholds(known, prior, threshold=0.9).tolist() == pytest.approx([0.3, 0.9, 0.9])


def test_the_highest_threshold_of_a_run_by_hand():
    # 24,000 of 650,000 rows in five classes: 4,800 each beside 626,000 that were never seen
    beta = 4800 / 626_000
    found = highest_threshold(visits=1000 * 24, unlabeled=650_000, classes=5, threshold=0.95)
    assert found == pytest.approx(0.95 * beta / (2 - beta)) and round(found, 4) == 0.0037
    assert highest_threshold(visits=100, unlabeled=100, classes=5, threshold=0.95) == 0.95
    assert highest_threshold(visits=1000, unlabeled=100, classes=5, threshold=0.95) == 0.95


def test_it_is_what_the_thresholds_come_to_when_every_row_that_was_seen_is_sure():
    known = torch.cat([torch.arange(60) % 3, torch.full((140,), -1)])
    expected = highest_threshold(visits=60, unlabeled=200, classes=3, threshold=0.9)
    assert class_thresholds(known, THIRDS, threshold=0.9).tolist() == pytest.approx([expected] * 3)


def test_a_run_that_sees_too_few_rows_is_warned(evaluate):
    for unlabeled, warned in ((4000, True), (20, False)):
        objective = FlexMatch()
        state = objective.initial_state(THIRDS, unlabeled)
        weak = certain(0, 1)
        rows = torch.tensor([0, 1])
        loss = evaluate(objective, targets=weak, second=weak, unlabeled_rows=rows, state=state, steps=20)
        record = {"step": 1, **{name: float(value) for name, value in loss.terms.items()}}
        words = warnings_in([record, record], steps=20)
        assert len(words) == warned and all("highest threshold at its end is 0.0016" in each for each in words), words


def test_the_state_over_several_steps_by_hand(evaluate):
    objective = FlexMatch(confidence_threshold=0.9)
    state = objective.initial_state(torch.full((3,), 1 / 3), 5)
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
    store_confident_classes(known, rows, labels, torch.tensor([True, True, True, False, False]))
    assert known.tolist() == [0, -1, 2, -1]


@pytest.mark.parametrize("tau", [0.6, 0.8, 0.95])
def test_agrees_with_numpy_over_several_steps(evaluate, random_logits, tau):
    objective, known = FlexMatch(confidence_threshold=tau), np.full(20, -1)
    state = objective.initial_state(torch.full((4,), 1 / 4), 20)
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
    state = objective.initial_state(torch.full((3,), 1 / 3), 10)
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
