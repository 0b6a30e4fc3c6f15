"""Batches: every source once, within the budget, the longest first; a budget that is too large is halved."""

import random

import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.translate.batching import Budget, batches


@pytest.mark.parametrize("max_tokens", [1, 40, 100, 1000, 10**9])
def test_batches(max_tokens: int):
    choose = random.Random(max_tokens)
    lengths = [choose.randint(1, 60) for _ in range(200)]
    rows = [choose.randint(1, 4) for _ in range(200)]
    planned = batches(lengths, rows, max_tokens)
    flat = [source for batch in planned for source in batch]
    assert sorted(flat) == list(range(200))
    assert [lengths[source] for source in flat] == sorted(lengths, reverse=True)
    for batch in planned:
        size = max(lengths[source] for source in batch) * sum(rows[source] for source in batch)
        assert size <= max_tokens or len(batch) == 1
    if max_tokens == 10**9:
        assert len(planned) == 1


def test_no_sources():
    assert batches([], [], 10) == []
    assert list(Budget(10).run([], [], lambda batch: batch)) == []


def test_a_batch_without_room_halves_the_budget():
    budget, room, sizes = Budget(64), 20, []
    lengths, rows = [4] * 16, [1] * 16

    def work(batch: list[int]) -> list[int]:
        sizes.append(4 * len(batch))
        if sizes[-1] > room:
            raise torch.OutOfMemoryError("no")
        return [10 * source for source in batch]

    made = dict(pair for batch, results in budget.run(lengths, rows, work) for pair in zip(batch, results, strict=True))
    assert made == {source: 10 * source for source in range(16)}
    assert sizes[:3] == [64, 32, 16] and max(sizes[2:]) == 16 and budget.max_tokens == 16


@pytest.mark.parametrize(
    "told",
    [
        "DefaultCPUAllocator: not enough memory: you tried to allocate",
        "CUDA failed with error out of memory",  # CTranslate2
    ],
)
def test_what_was_done_before_the_memory_ran_out_is_not_done_again(told: str):
    budget, calls = Budget(12), []

    def work(batch: list[int]) -> None:
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError(told)

    done = [source for batch, _ in budget.run([4] * 9, [1] * 9, work) for source in batch]
    assert sorted(done) == list(range(9)) and len(done) == 9
    assert calls[:2] == [[0, 1, 2], [3, 4, 5]] and calls[2] == [3]
    assert budget.max_tokens == 6


def test_no_room_for_one():
    def work(batch: list[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    with pytest.raises(SettingsError, match="one sentence") as error:
        list(Budget(8).run([4, 4], [1, 1], work))
    assert "\n" not in str(error.value)


def test_other_errors_are_not_caught():
    def work(batch: list[int]) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Budget(8).run([4], [1], work))
