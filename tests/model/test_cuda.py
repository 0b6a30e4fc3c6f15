"""What is known of CUDA, as far as a CPU can show it: messages, types of meta tensors, the setting of TF32."""

import threading

import pytest
import torch

from text_uda.model import cuda


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("CUDA failed with error out of memory", True),  # CTranslate2
        ("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", True),  # CTranslate2
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`", False),
        ("CUDA error: device-side assert triggered", False),
        ("The size of tensor a (3) must match the size of tensor b (4)", False),
    ],
)
def test_errors_of_memory(message: str, expected: bool):
    assert cuda.is_out_of_memory(RuntimeError(message)) is expected
    assert cuda.is_out_of_memory(torch.OutOfMemoryError("no"))


def test_products_of_16_bits_are_sums_in_float32():
    rows, weights = (torch.empty(size, 8, dtype=torch.bfloat16, device="meta") for size in (3, 5))
    product = cuda.product_in_float32(rows, weights)
    assert product.dtype == torch.float32 and product.shape == (3, 5) and product.is_contiguous()
    rows, weights = torch.randn(3, 8), torch.randn(5, 8)
    torch.testing.assert_close(cuda.product_in_float32(rows, weights), rows @ weights.T)


@pytest.fixture
def precision_afterwards():
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("setting", ["high", "medium", "highest"])
def test_tf32_is_turned_off_with_a_word(setting: str, precision_afterwards, caplog: pytest.LogCaptureFixture):
    torch.set_float32_matmul_precision(setting)
    cuda.pin_float32()
    assert torch.get_float32_matmul_precision() == "highest"
    assert ["TF32 was on" in line for line in caplog.messages] == ([] if setting == "highest" else [True])
    cuda.pin_float32()
    assert len(caplog.messages) == (setting != "highest")


def test_tf32_of_the_new_interface(precision_afterwards, caplog: pytest.LogCaptureFixture):
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this PyTorch has the old interface only")
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    cuda.pin_float32()
    assert torch.backends.cuda.matmul.fp32_precision == "ieee" and "TF32 was on" in caplog.text


def test_one_thread_at_a_time_has_the_memory_of_a_gpu():
    gpu, other, cpu = (torch.device(name) for name in ("cuda:0", "cuda:1", "cpu"))
    entered = threading.Event()

    def enter(device: torch.device) -> None:
        with cuda.exclusive(device):
            entered.set()

    with cuda.exclusive(gpu), cuda.exclusive(cpu), cuda.exclusive(cpu):
        waiting = threading.Thread(target=enter, args=(gpu,))
        waiting.start()
        with cuda.exclusive(other):
            assert not entered.is_set()
    waiting.join(60)
    assert entered.is_set()


@pytest.mark.parametrize(
    ("available", "forbidden", "expected"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_a_gpu_is_used_unless_accelerate_may_not(available, forbidden, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setenv("ACCELERATE_USE_CPU", forbidden or "0")
    assert cuda.is_used() is expected
    assert cuda.default_device() == torch.device("cuda", 1) if expected else torch.device("cpu")
