"""A power cut at each step of a training: a run that says it is finished is whole, others resume to the same end."""

from pathlib import Path

import pytest
from exploring import CrashStates
from run_scenario import Training, Work, pretrain_encoder, train_and_refit


@pytest.mark.parametrize(
    ("work", "runs"), [(train_and_refit, ("run", "run/refit")), (pretrain_encoder, ("run",))], ids=lambda value: ""
)
def test_a_run_survives_a_power_cut_at_each_step(tmp_path: Path, work: Work, runs: tuple[str, ...]) -> None:
    training = Training.record(work, tmp_path / "disk", runs=runs)
    states = CrashStates(training.recorder)
    states.explore(f"{work.__name__}, as it lies", training.check, tmp_path, most=200).assert_whole()
    states.explore(f"{work.__name__}, rerun", training.check_rerun, tmp_path, most=8, exhaustive=400).assert_whole()
