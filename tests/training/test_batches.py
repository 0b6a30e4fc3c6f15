"""The batches of a run: pure functions of the step, made ahead, and cut into parts for several processes."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.frozen_encoder import FeatureRows
from text_uda.paraphrasing.pairs import Originals
from text_uda.training.batches import BatchStream, check_divisible
from text_uda.training.prefetch import PREFETCHED
from text_uda.training.settings import TrainSettings

SETTINGS = TrainSettings(labeled_batch=4, unlabeled_ratio=2, steps=9)


def new_feed(settings: TrainSettings = SETTINGS) -> BatchStream:
    def rows(texts):
        return FeatureRows(torch.arange(len(texts), dtype=torch.float32)[:, None])

    return BatchStream(rows(range(10)), torch.arange(10) % 2, Originals([str(n) for n in range(30)], rows), settings)  # pyright: ignore


def content(batch) -> tuple:
    return batch.labeled_rows.tolist(), batch.labels.tolist(), batch.unlabeled_rows.tolist()


def test_a_batch_has_the_rows_that_it_names():
    batch = new_feed().batch(3)
    assert batch.labeled.values[:, 0].tolist() == batch.labeled_rows.tolist()
    assert batch.original.values[:, 0].tolist() == batch.unlabeled_rows.tolist()
    assert batch.labels.tolist() == [row % 2 for row in batch.labeled_rows.tolist()]


def test_the_rows_of_a_seed_are_fixed():
    """Other rows change the result of every run, and of each run that resumes."""
    rows, _, unlabeled = content(new_feed().batch(0))
    assert (rows, unlabeled) == ([1, 3, 2, 7], [18, 5, 6, 26, 16, 21, 17, 15])


def test_batches_ahead_are_those_of_their_steps_wherever_one_begins():
    feed, cpu = new_feed(), torch.device("cpu")
    all_of_them = [content(feed.batch(step)) for step in range(9)]
    assert [content(batch) for batch in feed.batches(0, 9, cpu)] == all_of_them
    assert [content(batch) for batch in new_feed().batches(5, 9, cpu)] == all_of_them[5:]
    assert list(feed.batches(9, 9, cpu)) == []


def test_no_more_is_made_ahead_than_it_says_and_the_thread_ends_with_the_loop(monkeypatch):
    feed, made = new_feed(), []
    batch = feed.batch
    monkeypatch.setattr(feed, "batch", lambda step: made.append(step) or batch(step))
    batches = feed.batches(0, 9, torch.device("cpu"))
    next(batches)
    batches.close()
    assert max(made) <= PREFETCHED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_what_fails_in_the_thread_fails_in_the_loop(monkeypatch):
    feed = new_feed()

    def broken(step):
        raise OSError("the disk is gone")

    monkeypatch.setattr(feed, "batch", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        next(feed.batches(0, 9, torch.device("cpu")))


@pytest.mark.parametrize("processes", [2, 4])
def test_the_parts_of_several_processes_are_the_batch_of_one(processes, monkeypatch):
    whole = [content(new_feed().batch(step)) for step in range(9)]
    monkeypatch.setattr(distributed, "processes", lambda: processes)
    parts = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append([content(new_feed().batch(step)) for step in range(9)])
    for step, expected in enumerate(whole):
        for kind in range(3):
            assert [row for part in parts for row in part[step][kind]] == expected[kind]


def test_a_batch_that_cannot_be_cut_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    with pytest.raises(SettingsError, match=r"labeled_batch=4 .*3 processes; give a multiple"):
        check_divisible(SETTINGS)
    check_divisible(replace(SETTINGS, labeled_batch=6))
    assert len(new_feed(replace(SETTINGS, labeled_batch=6)).batch(0).labels) == 2


def test_rows_are_named_as_the_data_has_them():
    feed = new_feed()
    batch = feed.batch(0)
    assert feed.row_indices(batch) == {"labeled": content(batch)[0], "unlabeled": content(batch)[2]}
    assert np.all(np.array(feed.row_indices(batch)["unlabeled"]) < 30)
