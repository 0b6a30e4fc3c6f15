"""Two processes with half of the batch each come to the weights and states of one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from text_uda.objectives import PRESETS

STEPPING = [name for name, preset in PRESETS.items() if preset.losses]  # all but the baselines
SCRIPT = Path(__file__).with_name("train_in_parts.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tiny_bert: Path, tmp_path_factory) -> dict[int, Path]:
    """Folders of what one process and what two came to."""
    folders = {processes: tmp_path_factory.mktemp(f"processes-{processes}") for processes in (1, 2)}
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(processes), str(tiny_bert), str(folders[processes])],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for processes in folders
        for rank in range(processes)
    ]
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return folders


@pytest.mark.parametrize("name", STEPPING)
def test_two_processes_are_as_one(weights, name):
    one, two = (load_file(weights[processes] / f"{name}.safetensors") for processes in (1, 2))
    assert one.keys() == two.keys()
    for part, value in one.items():
        torch.testing.assert_close(two[part], value, atol=1e-9, rtol=1e-6, msg=f"{name}: {part}")
