"""A table of calibration errors, before and after a temperature, over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from agents.beliefs.claims import over_seeds


def save_calibration(out: Path, errors: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Write calibration.md: each belief's error before and after its temperature, of a pair a seed."""
    rows = ["| belief | before its temperature | after |", "|---|---|---|"]
    for name, pairs in errors.items():
        before, after = ([pair[place] for pair in pairs] for place in range(2))
        rows.append(f"| {name} | {shown(before, '{:.3f}')} | {shown(after, '{:.3f}')} |")
    (out / "calibration.md").write_text("\n".join(rows) + "\n")


def shown(values: Sequence[float], form: str) -> str:
    """Return the mean over seeds, and half of its 95 % interval where there are several; empty of none."""
    if not values:
        return ""
    low, high = over_seeds(values)
    return (
        f"{form.format(fmean(values))} ± {form.format((high - low) / 2)}" if len(values) > 1 else form.format(values[0])
    )
