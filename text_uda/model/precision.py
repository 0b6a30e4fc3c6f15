"""The precision of forward passes: float32, or bfloat16 where it measures faster.

The name of a processor says little: AMX, AVX512-BF16 and neither multiply bf16 at 10, 4 and 0.3 times the rate of
fp32, and a new version of a library can change each figure. So "auto" times the two matrix products of an encoder's
feed-forward layer, which is most of its arithmetic, in both precisions.
"""

import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from text_uda.cache_dir import home
from text_uda.errors import SettingsError
from text_uda.model import cuda
from translation_cache.atomic import whole_file

log = logging.getLogger("text_uda")

Precision = Literal["auto", "fp32", "bf16"]
"""The setting."""

ResolvedPrecision = Literal["fp32", "bf16"]
"""The precision of a run: the setting, with "auto" decided."""

MIN_SPEEDUP = 1.3
"""The speed of bf16 relative to fp32 above which "auto" takes it. bf16 is less exact, and its casts cost time."""

MAX_ERROR = 0.01
"""The relative error of the two products (Frobenius norm, against float64) below which "auto" takes bf16. Numbers in
bf16 have a relative error of 2^-9; the products measured 0.003 to 0.004."""

DEFAULT_WIDTH = 384
"""The width that is timed when the encoder is unknown: the width of the packaged encoder."""

_MIN_WIDTH = 128  # below it, function calls dominate a forward pass, and bf16 gains nothing
_TOKENS = 256  # rows of the timed products
_ROUNDS = 4


@dataclass(frozen=True)
class Bf16Measurement:
    """Speed and error of bf16 on this CPU."""

    speedup: float
    """Speed relative to fp32."""

    error: float
    """Relative error of the products."""

    @property
    def is_worthwhile(self) -> bool:
        return self.speedup > MIN_SPEEDUP and self.error < MAX_ERROR


def check_precision(precision: str) -> None:
    if precision not in ("auto", "fp32", "bf16"):
        raise SettingsError(f"precision={precision!r}: choose auto, fp32 or bf16")


def resolve_precision(precision: Precision, *, width: int | None = None) -> ResolvedPrecision:
    """The precision of an encoder's forward passes on this machine. On CUDA it also keeps float32 exact.

    "auto" is bf16 on CUDA from compute capability 8 on; on a CPU `measure_bf16` decides.

    Args:
        width: of the encoder's hidden states; None if unknown.
    """
    if cuda.is_used():
        cuda.pin_float32()
    if precision != "auto":
        return precision
    width = DEFAULT_WIDTH if width is None else width
    if cuda.is_used():
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    return "bf16" if width >= _MIN_WIDTH and measure_bf16(width).is_worthwhile else "fp32"


def describe_precision(precision: Precision, resolved: ResolvedPrecision, *, width: int | None = None) -> str:
    """The precision of the forward passes and the reason for it, as text.

    Args:
        precision: the setting.
        resolved: the precision in use; for a resumed run, the one that it started with.
    """
    if precision != "auto":
        return f"{resolved}, as set"
    if cuda.is_used():
        return f"{resolved}, on {torch.cuda.get_device_name()}"
    width = DEFAULT_WIDTH if width is None else width
    if width < _MIN_WIDTH:
        return f"{resolved}: the encoder is too narrow for bf16 to be faster"
    measurement = measure_bf16(width)
    speed = f"bf16 is {measurement.speedup:.1f} times as fast as fp32 on this CPU ({cpu_name()})"
    if resolved != resolve_precision(precision, width=width):
        return f"{resolved}, as at the start of the run; {speed}"
    return f"{resolved}: {speed}" + (" but too inexact" if measurement.error >= MAX_ERROR else "")


def measure_bf16(width: int) -> Bf16Measurement:
    """Measure speed and error of bf16 on this CPU, once per processor, torch version and width.

    The measurement takes a tenth of a second, and a second for an encoder as large as BERT-large on a busy machine. Its
    result is stored in `home()`, whatever the number of threads, so that two runs, or two processes of one run, decide
    alike.
    """
    path = home() / "precision" / f"{_file_stem(width)}.json"
    return _load_or_measure(path, width)


def autocast(device: torch.device | str, precision: ResolvedPrecision) -> torch.autocast:
    """A block whose forward passes have this precision; weights and sums stay float32."""
    device_type = device if isinstance(device, str) else device.type
    return torch.autocast(device_type, dtype=torch.bfloat16, enabled=precision == "bf16")


@cache
def _load_or_measure(path: Path, width: int) -> Bf16Measurement:
    try:
        stored = json.loads(path.read_text("utf-8"))
        measurement = Bf16Measurement(float(stored["speedup"]), float(stored["error"]))
        if 0 < measurement.speedup < float("inf") and 0 <= measurement.error < float("inf"):
            return measurement
        raise ValueError("numbers out of range")
    except OSError:  # not there, or not readable
        pass
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): bf16 is measured again", path, error)
    measurement = _measure(width)
    try:
        with whole_file(path) as unfinished:
            unfinished.write_text(json.dumps({"cpu": cpu_name(), **asdict(measurement)}) + "\n", "utf-8")
    except OSError:  # the folder is not writable: the next process measures again
        pass
    return measurement


def _measure(width: int) -> Bf16Measurement:
    generator = torch.Generator().manual_seed(0)
    rows, up, down = (
        torch.randn(*shape, generator=generator) / shape[1] ** 0.5
        for shape in ((_TOKENS, width), (4 * width, width), (width, 4 * width))
    )

    def in_fp32() -> Tensor:
        return linear(linear(rows, up), down)

    def in_bf16() -> Tensor:
        with autocast("cpu", "bf16"):
            return linear(linear(rows, up), down)

    with torch.inference_mode():
        exact = linear(linear(rows.double(), up.double()), down.double())
        error = float((in_bf16().double() - exact).norm() / exact.norm())
        in_fp32()  # the first call in each precision has set-up costs
        fp32, bf16 = float("inf"), float("inf")
        for _ in range(_ROUNDS):  # alternating, so that other load on the machine slows down both
            fp32, bf16 = min(fp32, _seconds(in_fp32)), min(bf16, _seconds(in_bf16))
            if bf16 > 2 * fp32:  # emulated: more rounds would take long
                break
    return Bf16Measurement(fp32 / bf16, error)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _file_stem(width: int) -> str:
    """A file name of everything that decides the speed of the products."""
    description = f"{cpu_name()} {' '.join(_cpu_features())} torch {torch.__version__} width {width}"
    return "-".join("".join(letter if letter.isalnum() or letter in "._" else " " for letter in description).split())


@cache
def cpu_name() -> str:
    """The model name of this CPU."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


@cache
def _cpu_features() -> list[str]:
    known = {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "bf16", "sve"}
    return sorted(known & set((_from_cpuinfo("flags") or _from_cpuinfo("Features")).split()))


def _from_cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""
