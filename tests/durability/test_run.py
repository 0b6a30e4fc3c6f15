"""A power cut at each step of a training: a run that says it is finished is whole, others resume to the same end."""

from pathlib import Path

import pytest
from exploring import CrashStates
from run_scenario import (
    Training,
    Work,
    pretrain_encoder,
    train_again,
    train_and_refit,
    train_two_tasks,
    train_two_tasks_again,
)


@pytest.mark.parametrize(
    ("work", "rerun", "most"),
    [
        (train_and_refit, None, (150, 4)),
        (train_again, train_and_refit, (100, 3)),
        (train_two_tasks, None, (100, 3)),
        (train_two_tasks_again, train_two_tasks, (60, 2)),
        (pretrain_encoder, None, (60, 2)),
    ],
    ids=["train", "train again", "several tasks", "several tasks again", "pretrain"],
)
def test_a_run_survives_a_power_cut_at_each_step(
    tmp_path: Path, work: Work, rerun: Work | None, most: tuple[int, int]
) -> None:
    training = Training.record(work, tmp_path / "disk", rerun=rerun)
    states = CrashStates(training.recorder)
    as_it_lies = states.explore(f"{work.__name__}, as it lies", training.check, tmp_path, most=most[0])
    as_it_lies.assert_whole()
    rerun_after = states.explore(
        f"{work.__name__}, rerun", training.check_rerun, tmp_path, most=most[1], exhaustive=200
    )
    rerun_after.assert_whole()
