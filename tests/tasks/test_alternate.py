"""Alternating tasks: which one a step trains, and that the others stay as they are."""

from collections import Counter

import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.tasks.alternate import Alternate
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.fine_tuning import FineTuning

SIZES = {"small": 4, "large": 36}


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 0.9)])
def test_a_task_is_drawn_by_its_size_to_a_power(power, share):
    method = Alternate(power=power)
    drawn = Counter(name for step in range(4000) for name in method.tasks_of(step, sizes=SIZES, seed=1))
    assert drawn["large"] / 4000 == pytest.approx(share, abs=0.03)


def test_the_draw_depends_on_the_seed_and_the_step_alone():
    method = Alternate()
    drawn = [method.tasks_of(step, sizes=SIZES, seed=1) for step in range(50)]
    assert drawn[25:] == [method.tasks_of(step, sizes=SIZES, seed=1) for step in range(25, 50)]
    assert drawn != [method.tasks_of(step, sizes=SIZES, seed=2) for step in range(50)]


def test_a_power_below_zero_is_refused():
    with pytest.raises(SettingsError, match="power"):
        Alternate(power=-1.0)


def test_a_step_leaves_the_heads_of_other_tasks_and_their_moments_as_they_are(splits, settings, tmp_path, monkeypatch):
    update, idle_steps = FineTuning.update, Counter()

    def watched(run, step, batch):
        def states() -> dict[str, list[torch.Tensor]]:
            """Head and moments of each task without a row in this step."""
            names = [name for name in splits if name not in batch.batches]
            models = dict(zip(splits, run.module.model.models, strict=True))
            shared = {id(p) for p in run.module.model.shared_parameters()}
            heads = {name: [p for p in models[name].parameters() if id(p) not in shared] for name in names}
            return {
                name: [v.clone() for p in head for v in (p.detach(), *run.optimizer.state.get(p, {}).values())]
                for name, head in heads.items()
            }

        before = states()
        result = update(run, step, batch)
        for name, state in states().items():
            idle_steps[name] += 1
            assert len(state) == len(before[name]) > 0
            assert all(torch.equal(one, other) for one, other in zip(state, before[name], strict=True))
        return result

    monkeypatch.setattr(FineTuning, "update", watched)
    train_tasks(
        splits, objectives=(Supervised(),), method=Alternate(), settings=settings(steps=8), out=tmp_path / "run"
    )
    assert min(idle_steps.values()) >= 2 and len(idle_steps) == 2


@pytest.mark.parametrize("power", [-1, 11, float("inf"), float("nan")])
def test_a_power_that_overflows_is_refused(power):
    with pytest.raises(SettingsError, match="power"):
        Alternate(power=power)
    largest = {"a": 10**9, "b": 1}
    assert [*Alternate(power=10).tasks_of(0, sizes=largest, seed=0)] == ["a"]


def test_each_task_reads_every_row_once_an_epoch(splits, settings, tmp_path, monkeypatch):
    update, read = FineTuning.update, {name: Counter() for name in splits}

    def watched(run, step, batch):
        for name, rows in batch.batches.items():
            read[name].update(rows.labeled_rows.tolist())
        return update(run, step, batch)

    monkeypatch.setattr(FineTuning, "update", watched)
    few = settings(steps=20, labeled_batch=6, tune="head")
    train_tasks(splits, objectives=(Supervised(),), method=Alternate(), settings=few, out=tmp_path / "run")
    for counts in read.values():
        assert len(counts) == 30 and max(counts.values()) - min(counts.values()) <= 1
