"""Energy between two moments, where the machine tells: NVIDIA's own counter, or RAPL of the processor packages."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import RunError

RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Energy:
    """Joules spent, and who says so; `joules` is None with the reason in `source` where nobody does."""

    joules: float | None
    source: str


def read_energy(row: Any, source: Path) -> Energy:
    """Return what a file says of a method.

    Raises:
        RunError: it says something that no run writes.
    """
    match row:
        case {"joules": None | int() | float() as joules, "source": str() as said} if (
            joules is None or 0 <= joules < math.inf
        ):
            return Energy(joules, said)
    raise RunError(f"{source}: energy is joules and their source; this is {str(row)[:80]!r}")


class EnergyMeter:
    """Counts from when it is made. The whole machine's: others that work on it are counted too."""

    def __init__(self, rapl: Path = RAPL) -> None:
        self._counters = [*_nvml(), *_rapl(rapl)]
        self._began = [read() for _, read, _ in self._counters]

    def read(self) -> Energy:
        """Return what was spent since."""
        if not self._counters:
            return Energy(None, "not available: no NVML counter and no readable RAPL domain")
        spent = 0.0
        for (_, read, wraps), began in zip(self._counters, self._began, strict=True):
            used = read() - began
            # A RAPL counter begins again at its range; once between two readings is all that can be told.
            spent += used if used >= 0 or wraps is None else used + wraps
        return Energy(spent, ", ".join(name for name, _, _ in self._counters))


Counter = tuple[str, Callable[[], float], float | None]


def _rapl(folder: Path) -> list[Counter]:
    found: list[Counter] = []
    for domain in sorted(folder.glob("intel-rapl:*")):
        # Package domains only: `intel-rapl:0:1` is a part of `intel-rapl:0`.
        if domain.name.count(":") != 1:
            continue
        file = domain / "energy_uj"
        try:
            int(file.read_text())
            wraps = int((domain / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            # Readable by root only on most systems.
            continue
        found.append((domain.name, lambda file=file: int(file.read_text()) / 1e6, wraps))  # type: ignore[misc]
    return found


def _nvml() -> list[Counter]:
    try:
        import pynvml
    except ModuleNotFoundError:
        return []
    found: list[Counter] = []
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
            found.append(
                (
                    f"nvml:{index}",
                    lambda device=device: pynvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3,  # type: ignore[misc]
                    None,
                )
            )
    except pynvml.NVMLError:
        # No driver, or a device before Volta that keeps no counter.
        return []
    return found
