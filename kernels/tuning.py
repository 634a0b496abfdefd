"""With which blocks, stages and warps a Triton kernel is launched: timed once on a device, and kept.

A kernel lists candidates. The first serves wherever nothing was timed, e.g. without a GPU, and everywhere with
CIPHER_DEBATE_TUNE=0, whatever was timed before.
What was timed lies in $CIPHER_DEBATE_HOME/kernels, a file for each device, version of Triton and state of these sources.
Candidates may differ in the order in which they add, so results of two devices may differ in their last bits.
"""

import contextlib
import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

from kernels.building import cache_folder

# What is passed to a launch by name: blocks, and Triton's own num_warps and num_stages.
Launch = dict[str, int]
# Seconds that one run takes on a device.
Clock = Callable[[Callable[[], object], torch.device], float]

_ROUNDS = 5


class Tuned:
    """What was timed on a device.

    Args:
        file: where it is kept; None keeps it in this process alone.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._chosen: dict[str, Launch] = {}
        # Whatever is wrong with the file costs a few seconds of timing, no more.
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            if file is not None:
                self._chosen = dict(json.loads(file.read_text(encoding="utf-8")).items())

    def get(self, name: str, candidates: Sequence[Launch]) -> Launch | None:
        """The candidate that was timed fastest; None where none of them was timed."""
        found = self._chosen.get(name)
        return found if found in candidates else None

    @property
    def all(self) -> dict[str, Launch]:
        """Every launch that was timed fastest, by kernel and shape."""
        return dict(self._chosen)

    def set(self, name: str, launch: Launch) -> None:
        """Keep what was timed fastest."""
        self._chosen[name] = launch
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False, encoding="utf-8") as file:
                json.dump(self._chosen, file, indent=1)
            # Two processes may tune at once: each renames a complete file over the other's.
            Path(file.name).replace(self._file)


def chosen(kernel: str, key: str, candidates: Sequence[Launch], device: torch.device) -> Launch:
    """The candidate to launch a kernel with: the fastest of those that were timed on this device, or the first.

    Args:
        kernel: its name.
        key: what the time depends on: shapes and types.
        candidates: the first is the default.
        device: where it will run.
    """
    return (_tuned(device).get(f"{kernel} {key}", candidates) if _is_on() else None) or candidates[0]


def known(device: torch.device) -> dict[str, Launch]:
    """Every launch that was timed fastest on a device, by kernel and shape."""
    return _tuned(device).all


def tune(
    kernel: str,
    key: str,
    candidates: Sequence[Launch],
    device: torch.device,
    run: Callable[[Launch], object],
    clock: Clock,
) -> Launch:
    """Time every candidate, unless that was done before, and return and keep the fastest.

    One that the device cannot launch, for want of shared memory or registers, is left out; the first has to run. Rounds are
    interleaved, each runs every candidate once, and the first, in which they are compiled, is not counted.
    """
    name, tuned = f"{kernel} {key}", _tuned(device)
    if not _is_on() or len(candidates) == 1:
        return candidates[0]
    if (found := tuned.get(name, candidates)) is not None:
        return found
    able = [launch for place, launch in enumerate(candidates) if _runs(run, launch, required=place == 0)]
    times: list[list[float]] = [[] for _ in able]
    for _ in range(_ROUNDS):
        for launch, taken in zip(able, times, strict=True):
            taken.append(clock(lambda launch=launch: run(launch), device))  # type: ignore[misc]
    medians = [statistics.median(taken) for taken in times]
    fastest = able[medians.index(min(medians))]
    tuned.set(name, fastest)
    return fastest


def _is_on() -> bool:
    return os.environ.get("CIPHER_DEBATE_TUNE") != "0"


def _runs(run: Callable[[Launch], object], launch: Launch, *, required: bool) -> bool:
    from triton.runtime.errors import OutOfResources, PTXASError

    try:
        run(launch)
    except (OutOfResources, PTXASError):
        if required:
            raise
        return False
    return True


@cache
def _tuned(device: torch.device) -> Tuned:
    return Tuned(_file(device) if device.type == "cuda" else None)


def _file(device: torch.device) -> Path:
    import triton

    sources = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*/triton.py")):
        sources.update(source.read_bytes())
    for fact in (torch.cuda.get_device_name(device), triton.__version__):
        sources.update(fact.encode() + b"\0")
    return cache_folder() / f"tuned-{sources.hexdigest()[:16]}.json"
