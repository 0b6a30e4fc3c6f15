"""The share of the machine of one of several workers: a value that a job receives and passes to its engines."""

import os
import pickle
from typing import Any

import pytest
import torch

from text_uda.augment.back_translation import BackTranslation
from text_uda.translate import parse
from text_uda.translate.device import WorkerShare


@pytest.mark.parametrize(("workers", "cores"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_workers_divide_the_cores(workers: int, cores: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert WorkerShare(workers - 1, workers).cores() == cores


def test_workers_divide_the_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [WorkerShare(worker, 3).torch_device().index for worker in range(3)] == [0, 1, 0]
    assert WorkerShare().block() > 512


def shares(round_trips: Any) -> set[WorkerShare]:
    return {engine.share for pair in round_trips for engine in pair}


def test_the_share_decides_nothing_of_a_translation():
    for spec in ("apertium:eng-spa", "marian:a,b", "ctranslate2:a,b"):
        assert parse(spec, share=WorkerShare(1, 2)) == parse(spec)
        assert shares(parse(spec, share=WorkerShare(1, 2))) == {WorkerShare(1, 2)}


def test_a_worker_gets_its_share_from_its_job():
    job = BackTranslation(translator="apertium:eng-spa+marian:a,b")
    other: BackTranslation = pickle.loads(pickle.dumps(job))
    other.start_worker(1, 2)
    assert shares(other._round_trips) == {WorkerShare(1, 2)}
    assert shares(job._round_trips) == {WorkerShare()} and other == job
