"""In which numbers a forward pass is computed: float32, or bfloat16 where that was measured to be faster.

What a processor is called says little: AMX, AVX512-BF16 and neither multiply bf16 at 10, 4 and 0.3 times the rate of
fp32, and a library's version can change each. So `auto` times the two products of an encoder's feed-forward layer,
which is most of its arithmetic, in both.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from accelerate.utils import parse_flag_from_env
from torch import Tensor
from torch.nn.functional import linear

from text_uda.cache_dir import home
from text_uda.errors import SettingsError
from translation_cache.atomic import whole_file

Precision = Literal["auto", "fp32", "bf16"]
ResolvedPrecision = Literal["fp32", "bf16"]

WORTH_IT = 1.3
"""How many times as fast as fp32 bf16 has to be to be taken: it is less exact, and its casts cost something."""

EXACT_ENOUGH = 0.01
"""The largest relative error (Frobenius norm, against float64) of the two products; bf16 has 2^-9 a number, 0.003 to
0.004 here."""

WIDTH = 384
"""What is timed where the encoder is not known: that of the packaged one."""

_NARROWEST = 128  # below it a pass is calls, not arithmetic: nothing is to be had, so nothing is timed
_TOKENS = 256  # rows of what is timed
_ROUNDS = 4


@dataclass(frozen=True)
class Found:
    """What was measured of bf16 here."""

    speedup: float
    """Times the rate of fp32."""
    error: float
    """Of the products, relative to them."""

    @property
    def bf16(self) -> bool:
        return self.speedup > WORTH_IT and self.error < EXACT_ENOUGH


def check_precision(precision: str) -> None:
    if precision not in ("auto", "fp32", "bf16"):
        raise SettingsError(f"precision={precision!r}: choose auto, fp32 or bf16")


def resolve_precision(precision: Precision, *, width: int | None = None) -> ResolvedPrecision:
    """The numbers of an encoder's forward passes on this machine.

    On CUDA, auto is bf16 from compute capability 8 on. On a CPU it is what `measured` finds.

    Args:
        width: of the encoder's hidden states; None where it is not known.
    """
    if precision != "auto":
        return precision
    width = WIDTH if width is None else width
    if _on_cuda():
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    return "bf16" if width >= _NARROWEST and measured(width).bf16 else "fp32"


def words(precision: Precision, numbers: ResolvedPrecision, *, width: int | None = None) -> str:
    """The numbers of the forward passes, and why these.

    Args:
        numbers: those that are taken; of a run that goes on, those it was begun with.
    """
    if precision != "auto":
        return f"{numbers}, as asked"
    if _on_cuda():
        return f"{numbers}, on {torch.cuda.get_device_name()}"
    width = WIDTH if width is None else width
    if width < _NARROWEST:
        return f"{numbers}: the encoder is too narrow for bf16 to be faster"
    found = measured(width)
    what = f"bf16 is {found.speedup:.1f} times as fast as fp32 on this CPU ({processor()})"
    if numbers != resolve_precision(precision, width=width):
        return f"{numbers}, as the run was begun; {what}"
    return f"{numbers}: {what}" + (" but not exact" if found.error >= EXACT_ENOUGH else "")


def measured(width: int) -> Found:
    """How fast and how exact bf16 is on this CPU.

    Measured once, in a tenth of a second (a second for an encoder as large as BERT-large on a busy machine), and kept
    in `home()` by processor, torch and width, whatever the number of threads: two runs, or two processes of one, do not
    decide differently.
    """
    path = home() / "precision" / f"{_key(width)}.json"
    return _measured(path, width)


def autocast(device: torch.device | str, numbers: ResolvedPrecision) -> torch.autocast:
    """A block in which the forward passes are in these numbers; weights and what is summed up stay float32."""
    kind = device if isinstance(device, str) else device.type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=numbers == "bf16")


@cache
def _measured(path: Path, width: int) -> Found:
    try:
        kept = json.loads(path.read_text("utf-8"))
        return Found(float(kept["speedup"]), float(kept["error"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _measure(width)
    try:
        with whole_file(path) as aside:
            aside.write_text(json.dumps({"cpu": processor(), **asdict(found)}) + "\n", "utf-8")
    except OSError:  # nowhere to keep it: it is measured again by the next process
        pass
    return found


def _measure(width: int) -> Found:
    generator = torch.Generator().manual_seed(0)
    rows, up, down = (
        torch.randn(*shape, generator=generator) / shape[1] ** 0.5
        for shape in ((_TOKENS, width), (4 * width, width), (width, 4 * width))
    )

    def product() -> Tensor:
        return linear(linear(rows, up), down)

    def in_bf16() -> Tensor:
        with autocast("cpu", "bf16"):
            return linear(linear(rows, up), down)

    with torch.inference_mode():
        exact = linear(linear(rows.double(), up.double()), down.double())
        error = float((in_bf16().double() - exact).norm() / exact.norm())
        product()  # the first call of each prepares it
        full, half = float("inf"), float("inf")
        for _ in range(_ROUNDS):  # in turns, so that other work on the machine meets both
            full, half = min(full, _seconds(product)), min(half, _seconds(in_bf16))
            if half > 2 * full:  # emulated: it would take long to measure how slow
                break
    return Found(full / half, error)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _on_cuda() -> bool:
    return torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")


def _key(width: int) -> str:
    """Of a file name: what decides how fast products are."""
    told = f"{processor()} {' '.join(_features())} torch {torch.__version__} width {width}"
    return "-".join("".join(letter if letter.isalnum() or letter in "._" else " " for letter in told).split())


@cache
def processor() -> str:
    """What this CPU calls itself."""
    return _told_by_linux("model name") or os.uname().machine


@cache
def _features() -> list[str]:
    known = {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "bf16", "sve"}
    return sorted(known & set((_told_by_linux("flags") or _told_by_linux("Features")).split()))


def _told_by_linux(name: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
