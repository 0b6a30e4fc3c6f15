"""Rows of a step: every row once an epoch, the same whoever asks, in whatever order."""

import numpy as np

from text_uda.training.row_sampling import RowStream


def test_every_row_comes_once_an_epoch():
    stream = RowStream(10, seed=0, name="labeled")
    indices, visits = (np.concatenate(part) for part in zip(*(stream.take(s, 4) for s in range(5)), strict=True))
    assert sorted(indices[:10]) == list(range(10)) and sorted(indices[10:]) == list(range(10))
    assert visits.tolist() == [0] * 10 + [1] * 10
    assert indices[:10].tolist() != indices[10:].tolist()


def test_a_step_does_not_depend_on_the_steps_before_it():
    walked = RowStream(7, seed=3, name="unlabeled")
    in_order = [walked.take(step, 5)[0].tolist() for step in range(12)]
    for step in (11, 0, 6):
        assert RowStream(7, seed=3, name="unlabeled").take(step, 5)[0].tolist() == in_order[step]


def test_a_step_larger_than_the_data_wraps():
    indices, visits = RowStream(3, seed=0, name="labeled").take(0, 8)
    assert sorted(indices[:3]) == sorted(indices[3:6]) == [0, 1, 2]
    assert visits.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_seeds_and_names_make_other_orders():
    order = lambda seed, name: RowStream(50, seed=seed, name=name).take(0, 50)[0].tolist()  # noqa: E731
    assert order(0, "labeled") != order(1, "labeled") != order(1, "unlabeled")
