"""What the machine is and what it can do at best, as measured here and now."""

import platform
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from kernels import gpu


def describe(device: torch.device) -> dict[str, str]:
    """Processor, device, versions."""
    facts = {
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(device),
    }
    if find_spec("triton"):
        import triton

        facts["triton"] = triton.__version__
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """One call's time; on a GPU the device's own."""
    if device.type == "cuda":
        return gpu.seconds(run, device)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def rates(device: torch.device, rounds: int) -> dict[str, float]:
    """Bytes a second copied (read and written) and read, and multiply-adds counted twice a second by dtype.

    The best of the rounds: other work on the machine only ever slows it, and a limit should not be slowed.
    """
    size = 1 << 28 if device.type == "cpu" else 1 << 31
    source = torch.ones(size // 4, dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    runs: dict[str, tuple[Callable[[], object], float]] = {
        "copy_bytes_per_s": (lambda: target.copy_(source), 2.0 * size),
        "read_bytes_per_s": (lambda: source.sum(dtype=torch.int32), 1.0 * size),
    }
    side = 2048 if device.type == "cpu" else 8192
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.randn(side, side, device=device).to(dtype)
        runs[f"matmul_{str(dtype).removeprefix('torch.')}_flops_per_s"] = (
            lambda square=square: square @ square,  # type: ignore[misc]
            2.0 * side**3,
        )
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, (run, amount) in runs.items():
            best[name] = max(best.get(name, 0.0), amount / seconds(run, device))
    return best


def median_and_spread(times: list[float]) -> tuple[float, float]:
    """The median, and half the distance between the quartiles relative to it."""
    middle = statistics.median(times)
    if len(times) < 4:
        return middle, (max(times) - min(times)) / 2 / middle
    low, _, high = statistics.quantiles(times, n=4)
    return middle, (high - low) / 2 / middle


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
