"""Other packages of our names: found before anything of them is imported, and said in a sentence."""

import sys
from importlib.util import find_spec
from pathlib import Path

OURS = ("agents", "kernels", "evals")
# Distributions whose import package has the name of one of ours.
SAME_NAMES = {"openai-agents": "agents", "kernels": "kernels", "evals": "evals", "debate": "debate"}
ADVICE = (
    "Install cipher-debate in an environment of its own (`uv tool install`, `pipx`), and let other programs reach it over HTTP "
    "(`debate serve`)."
)


def hidden() -> str | None:
    """Return a sentence on the first package of ours that another one hides; None where all are ours."""
    root = Path(__file__).resolve().parents[2]
    for name in OURS:
        spec = find_spec(name)
        # A folder without a module, as a project may have one, is found only where nothing else is.
        place = None if spec is None else spec.origin or next(iter(spec.submodule_search_locations or ()), None)
        if place is None or not Path(place).resolve().is_relative_to(root / name):
            found = "is not installed" if place is None else f"is imported from {place}"
            return f"cipher-debate's package {name!r} {found}, where another hides it. {ADVICE}"
    return None


def refuse_hidden() -> None:
    """End the process with a sentence and exit code 2 where another package hides one of ours."""
    if (sentence := hidden()) is not None:
        sys.stderr.write(f"debate: {sentence}\n")
        raise SystemExit(2)
