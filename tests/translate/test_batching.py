"""Batches: every source once, within the budget, the longest first; a budget that is too large is halved."""

import random
import weakref

import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.translate.batching import RECOVERY, Budget, batches


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
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
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


def test_memory_is_freed_before_the_budget_is_halved(monkeypatch: pytest.MonkeyPatch):
    """The traceback of the error holds the tensors of the batch that failed."""
    tensors, alive = [], []
    monkeypatch.setattr("text_uda.translate.batching.free_memory", lambda: alive.append(tensors[-1]() is not None))

    def work(batch: list[int]) -> int:
        memory = torch.zeros(4 * len(batch))
        tensors.append(weakref.ref(memory))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("no")
        return len(memory)

    assert [result for _, result in Budget(8).run([4, 4], [1, 1], work)] == [4, 4]
    assert alive == [False]


def test_a_halved_budget_recovers():
    """What took the memory may have left; a batch that fails again costs one batch in many."""
    budget, short = Budget(32), True

    def work(batch: list[int]) -> None:
        if short and len(batch) > 2:
            raise torch.OutOfMemoryError("no")

    def translate(sources: int) -> None:
        list(budget.run([4] * sources, [1] * sources, work))

    translate(16)
    assert budget.max_tokens == 8
    short = False
    translate(2 * RECOVERY)
    assert budget.max_tokens == 16
    translate(16 * RECOVERY)
    assert budget.max_tokens == 32, "not more than it had at first"


def test_one_sentence_is_tried_again_in_memory_that_was_freed():
    calls: list[list[int]] = []

    def work(batch: list[int]) -> None:
        calls.append(batch)
        if calls.count([1]) == 1 and batch == [1]:
            raise torch.OutOfMemoryError("no")

    budget = Budget(4)
    list(budget.run([4, 4], [1, 1], work))
    assert calls == [[0], [1], [1]] and budget.max_tokens == 4


@pytest.mark.parametrize(("device", "expected"), [("cpu", 2), ("cuda:0", 4)])
def test_beams_count_on_a_gpu(device: str, expected: int):
    budget = Budget(8, torch.device(device))
    assert budget.rows(2, beams=4) == expected and budget.rows(2, beams=1) == 2


def test_other_errors_are_not_caught():
    def work(batch: list[int]) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Budget(8).run([4], [1], work))
