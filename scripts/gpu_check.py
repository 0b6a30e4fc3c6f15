"""Ten minutes on a machine with a CUDA device: does the toolkit run there, is it right, how fast is it?

    python scripts/gpu_check.py --out gpu_check.json
    python scripts/gpu_check.py --device cpu --small          runs the same code on a CPU in two minutes

Needs no network: all weights are random (BERT-base, MarianMT of opus-mt size). One process of gpu_parts.py runs the
parts, one after the other; a part that fails or takes too long ends the process, and the next part gets a new one.
`--out` gets one JSON object, standard output a table. "expected" is what an H100 measured: below half
of it, or above twice a time, look for a bug. MFU counts 6 operations per weight and token with gradient, 2 without.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

TOTAL_S = 595.0
START_S = 60.0  # to import the libraries
ROOT = Path(__file__).resolve().parents[1]

LIMITS_S = {
    "environment": 20,
    "products": 30,
    "as_on_cpu": 30,
    "train": 45,
    "uda": 45,
    "evaluation": 45,
    "decode": 75,
    "ctranslate2": 60,
    "batch_sizes": 45,
    "train_compiled": 90,
    "uda_compiled": 60,
    "tests": 120,
    "benchmark_train": 120,
    "benchmark_translate": 90,
    "benchmark_predict": 90,
}
"""The parts in their order: what the time may not suffice for comes last."""

COMMANDS = {
    "tests": ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"],
    "benchmark_train": [
        "scripts/benchmark_train.py",
        "--json",
        "--device",
        "cuda",
        "--rounds",
        "3",
        "--base",
        "--labeled",
        "16",
        "--compile",
    ],
    "benchmark_translate": [
        "scripts/benchmark_translate.py",
        "--json",
        "--device",
        "cuda",
        "--rounds",
        "1",
        "--sentences",
        "2048",
    ],
    "benchmark_predict": ["scripts/benchmark_predict.py", "--json", "--texts", "2000", "--rounds", "2"],
}
"""Parts that are commands of Python in the checkout; the others are in gpu_parts.py."""

EXPECTED = {  # of an H100: its measurements lie within
    "products": {"bf16_tflops": (600, 800), "copy_gb_per_s": (2000, 3000)},
    "train": {"tokens_per_s": (300e3, 450e3), "mfu": (0.16, 0.25)},
    "train_compiled": {"tokens_per_s": (470e3, 620e3), "mfu": (0.25, 0.33)},
    "uda": {"step_ms": (50, 65), "idle_share": (0.4, 0.6)},  # bound by the time of its calls
    "uda_compiled": {"step_ms": (20, 35), "idle_share": (0, 0.4)},
    "evaluation": {"fp32_s": (2, 2.5), "bf16_s": (0.2, 0.42)},
    "decode": {"bfloat16_tokens_per_s": (180e3, 400e3), "engine_tokens_per_s": (80e3, 140e3)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny models: shows that the code runs, not its speed")
    parser.add_argument("--only", nargs="+", choices=LIMITS_S, metavar="PART", help=f"of {', '.join(LIMITS_S)}")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), help="(default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; --device cpu --small runs the same code on a CPU")
    options = ["--device", arguments.device, *(["--small"] if arguments.small else [])]
    results = dict[str, Any]()
    for name, result in _results(arguments.only or list(LIMITS_S), options):
        print(f"{name}: {result.get('failed', 'done')} ({result['seconds']:.0f} s)", file=sys.stderr)
        results[name] = result
        content = {"device": arguments.device, "small": arguments.small, "parts": results, "expected": EXPECTED}
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")  # so far, whatever happens next
    _print_table(results)
    print(f"{arguments.out} has all figures, and the tracebacks of what failed")
    raise SystemExit(any("failed" in result for result in results.values()))


def _results(names: Sequence[str], options: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part and its result: `figures` or `failed`, and `seconds`."""
    end = time.monotonic() + TOTAL_S

    def limit_s(name: str, start_s: float = 0.0) -> float:
        return min(LIMITS_S[name] + start_s, end - time.monotonic())

    waiting = deque(name for name in names if name not in COMMANDS)
    while waiting:
        worker, start_s = _Worker([sys.executable, str(ROOT / "scripts" / "gpu_parts.py"), *options, *waiting]), START_S
        try:
            while waiting:
                result = worker.result(limit_s(waiting[0], start_s))
                yield waiting.popleft(), result
                start_s = 0.0
                if "failed" in result:  # after an error of CUDA nothing works in its process
                    break
        finally:
            worker.kill()
    for name in (name for name in names if name in COMMANDS):
        yield name, _run_command(name, limit_s(name), options)


def _run_command(name: str, limit_s: float, options: list[str]) -> dict[str, Any]:
    command, started = [sys.executable, *COMMANDS[name]], time.monotonic()
    environment = {"TEXT_UDA_TEST_DEVICE": "cpu"} if "cpu" in options else {}
    if "cpu" in options and name != "tests":
        return {"figures": {"not_run": "on a CPU it is a command of its own"}, "seconds": 0.0}
    if "--small" in options:
        command += ["-k", "features or as_with_it or (each_row_alone and float32)"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
    try:
        output, errors = process.communicate(timeout=max(1.0, limit_s))
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit_s:.0f} s", "seconds": limit_s}
    finally:
        _kill(process)
    seconds, lines = time.monotonic() - started, output.strip().splitlines() or [""]
    if process.returncode:
        reasons = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or errors.splitlines()[-1:]
        return {"failed": "; ".join(reasons), "traceback": (output + errors)[-20000:], "seconds": seconds}
    if name == "tests":
        return {"figures": {"summary": lines[-1]}, "seconds": seconds}
    record = json.loads(lines[-1])
    return {"figures": record["ratios"], "record": record, "seconds": seconds}


class _Worker:
    """A process that writes a line of JSON for each part."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")  # the process has ended

    def result(self, limit_s: float) -> dict[str, Any]:
        started = time.monotonic()
        if limit_s <= 0:
            return {"failed": "not run: the ten minutes are over", "seconds": 0.0}
        try:
            line = self._lines.get(timeout=limit_s)
        except queue.Empty:
            return {"failed": f"took more than {limit_s:.0f} s", "seconds": limit_s}
        if not line:
            return {"failed": f"its process died ({self._process.wait()})", "seconds": time.monotonic() - started}
        return json.loads(line)

    def kill(self) -> None:
        _kill(self._process)
        self._reader.join()


def _kill(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
    process.kill()
    process.wait()


def _print_table(results: dict[str, Any]) -> None:
    device = str(results.get("environment", {}).get("figures", {}).get("device"))
    known = "H100" in device or "H200" in device
    for part, result in results.items():
        if "failed" in result:
            print(f"{part:<20}FAILED: {result['failed']}")
        for name, value in result.get("figures", {}).items():
            low, high = EXPECTED.get(part, {}).get(name, (None, None))
            expected = "" if low is None else f"{low:,.10g} to {high:,.10g} (H100)"
            number = isinstance(value, int | float)
            verdict = "LOOK FOR A BUG" if known and number and _is_far(name, value, low, high) else ""
            print(f"{part:<20}{name:<32}{_shown(value):<20}{expected:<28}{verdict}".rstrip())


def _is_far(name: str, value: float, low: float | None, high: float | None) -> bool:
    if low is None or high is None:
        return False
    smaller_is_better = name.endswith(("_s", "_ms", "_share")) and not name.endswith("per_s")
    return value > 2 * high if smaller_is_better else value < low / 2


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    main()
