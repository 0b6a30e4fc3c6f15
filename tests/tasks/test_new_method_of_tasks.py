"""A method of several tasks is one class and one line of `METHODS`: the command line and `train_tasks` take it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pytest
from torch import Tensor

from text_uda.cli.declarations import calls
from text_uda.cli.task_options import TaskChoice
from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.tasks.all_methods import METHODS
from text_uda.tasks.method import Run, TaskBatches, TaskMethod, summed
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.step import StepLoss


@dataclass(frozen=True, kw_only=True)
class TakeTurns:
    """One task in each step, in order."""

    name: str = "turns"
    shares_head: bool = False
    trains_every_head: bool = False
    trains_weights: bool = False

    def check(self, names: Collection[str], *, processes: int) -> None:
        pass

    def tasks_of(self, step: int, *, sizes: Mapping[str, int], seed: int) -> Collection[str]:
        return [list(sizes)[step % len(sizes)]]

    def total(self, losses: Mapping[str, Tensor], log_variances: Tensor | None) -> Tensor:
        return summed(losses)

    def backward(self, run: Run, batches: TaskBatches, models: SharedEncoder, *, seed: int) -> StepLoss:
        return run(batches)


def test_a_new_method_trains(splits, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "turns", TakeTurns())
    method: TaskMethod = TaskChoice(tasks="turns").checked_method(list(splits), (Supervised(),))
    assert method == TakeTurns()
    out = tmp_path / "run"
    settings = settings(steps=2, evaluate_every=1)
    result = train_tasks(splits, method=method, objectives=(Supervised(),), settings=settings, out=out)
    assert list(result["tasks"]) == list(splits)
    assert json.loads((out / "config.json").read_text())["task_method"]["method"] == "TakeTurns"
    with pytest.raises(SettingsError, match=r"--task-power is for --tasks alternate.*: leave it out with turns"):
        TaskChoice(tasks="turns", task_power=1).checked_method(list(splits), (Supervised(),))


def test_the_choices_of_the_command_line_are_the_list():
    assert list(calls("text_uda.tasks.all_methods", "METHODS")) == list(METHODS)
