"""The tests of CUDA. `TEXT_UDA_TEST_DEVICE=cpu` runs their code on a CPU, which says nothing of a GPU."""

import os

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker("gpu")
            item.add_marker(pytest.mark.filterwarnings("default"))  # those of CUDA are not known yet


@pytest.fixture(scope="session")
def device() -> torch.device:
    if os.environ.get("TEXT_UDA_TEST_DEVICE") == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    """For a test that means nothing on a CPU."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device")
    return device
