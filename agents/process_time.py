"""How long a process has computed, whatever else the machine did meanwhile."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU seconds of a process and all its threads so far; None where the system does not say (other than Linux).

    Args:
        pid: its number.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
