"""What the toolkit knows of CUDA: whether it is used, exact float32, the fast kernels, and errors of memory."""

import gc
import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor

log = logging.getLogger("text_uda")

SIXTEEN_BITS = (torch.float16, torch.bfloat16)


def is_used() -> bool:
    """Whether encoders run on a GPU: there is one, and ACCELERATE_USE_CPU does not forbid it."""
    from accelerate.utils import parse_flag_from_env

    return torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")


def default_device() -> torch.device:
    """The device of an encoder outside of a training: the current GPU, or the CPU."""
    if not is_used():
        return torch.device("cpu")
    pin_float32()
    return torch.device("cuda", torch.cuda.current_device())


def pin_float32() -> None:
    """Compute float32 products in float32, in this process.

    TF32 rounds their factors to 10 bits. Some images force it by an environment variable; with it, a sentence does not
    get the same tokens in any batch, and the finite difference of VAT is mostly rounding.
    """
    try:
        rounded = torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # torch's new interface has set it, and the old one refuses to read it
        rounded = True
    if not rounded:
        return
    torch.set_float32_matmul_precision("highest")
    log.warning(
        "TF32 was on for matrix products (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, or a call of torch) and is now off in this "
        "process: float32 means float32 here; bf16 is the fast precision"
    )


@cache
def has_flash_attention(device: torch.device) -> bool:
    """Whether this GPU runs the attention kernel for rows of any lengths, in 16 bits."""
    return torch.cuda.get_device_capability(device)[0] >= 8 and hasattr(torch.ops.aten, "_flash_attention_forward")


def product_in_float32(rows: Tensor, weights: Tensor) -> Tensor:
    """rows (R, D) times weights (V, D): float32 sums, not rounded to the 16 bits of the factors. On a GPU.

    Rounded to bf16, the probabilities of likely tokens are off by 2% in the mean.
    """
    if rows.dtype == torch.float32:
        return torch.mm(rows, weights.t())
    if "dtype" not in torch.ops.aten.mm.overloads():  # PyTorch before 2.8
        return torch.mm(rows, weights.t()).float()
    return torch.mm(rows, weights.t(), out_dtype=torch.float32)


def attend_by_products(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of one query of each row and head, (R, H, d), to T keys, (R, H, T, d), where `mask` (R, 1, 1, T) is
    true. Scores and softmax are in float32, factors in 16 bits. On a GPU."""
    rows, heads, width = query.shape
    scores = _scores(query.reshape(rows * heads, 1, width), keys.flatten(0, 1).transpose(1, 2))
    scores = scores.view(rows, heads, 1, -1) * width**-0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(dim=-1).to(values.dtype).view(rows * heads, 1, -1)
    return torch.bmm(weights, values.flatten(0, 1)).view(rows, heads, 1, width)


def _scores(query: Tensor, keys: Tensor) -> Tensor:
    if "dtype" not in torch.ops.aten.bmm.overloads():  # PyTorch before 2.8
        return torch.bmm(query, keys).float()
    return torch.bmm(query, keys, out_dtype=torch.float32)


# --- memory -----------------------------------------------------------------------------------------------------------

_OUT_OF_MEMORY = (
    "out of memory",  # torch and CTranslate2 on a GPU
    "not enough memory",  # torch on a CPU
    "_status_alloc_failed",  # cuBLAS, cuDNN
    "when calling `cublascreate",  # its workspace did not fit, whatever status it names
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less memory would have prevented this error, of torch or CTranslate2, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(part in str(error).lower() for part in _OUT_OF_MEMORY)


def free_memory() -> None:
    """Return the memory of objects that are no longer used, for other processes and larger blocks."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def exclusive(device: torch.device) -> AbstractContextManager[object]:
    """A block that has a GPU's memory to itself among the threads of this process; on a CPU, any block.

    Two models that translate in two threads would each take memory that the other one counts on. The kernels of both
    run one after the other anyway.
    """
    return nullcontext() if device.type == "cpu" else _lock(device.index or 0)


@cache
def _lock(_index: int) -> threading.Lock:
    return threading.Lock()
