"""Padding and joining of rows."""

import numpy as np
import pytest
import torch

from text_uda.model.inputs import Batch, Features, concatenate, pad


def test_pad_masks_what_it_adds():
    tokens = pad([np.array([5, 6, 7]), np.array([8])], pad_id=9)
    assert tokens.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert tokens.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_concatenate_widens_the_narrower():
    joint = concatenate([pad([np.array([5])], pad_id=9), pad([np.array([6, 7, 8])], pad_id=9)], pad_id=9)
    assert joint.input_ids.tolist() == [[5, 9, 9], [6, 7, 8]]
    assert joint.attention_mask.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_concatenate_does_not_mix_kinds():
    with pytest.raises(AssertionError):
        concatenate([pad([np.array([5])], pad_id=0), Features(torch.zeros(1, 4))], pad_id=0)


def test_a_view_without_rows_goes_to_the_device_too():
    """It has a length of 0, and so is false."""
    rows, none = Features(torch.zeros(1, 4)), Features(torch.zeros(0, 4))
    moved = Batch(rows, torch.zeros(1, dtype=torch.long), original=none, augmented=none).to(torch.device("meta"))
    assert moved.original is not None and moved.augmented is not None
    assert moved.original.values.is_meta and moved.augmented.values.is_meta
    assert Batch(rows, torch.zeros(1, dtype=torch.long)).to(torch.device("meta")).original is None
