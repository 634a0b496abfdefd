"""Versions of what decides what an engine says: the same on all nodes, or their engines would say other things."""

from collections.abc import Mapping

from agents.installed import DECISIVE, VLLM, versions

# The names of vLLM's distributions are told from here and not from its backend, whose imports take each process on Ray
# seconds.


def packages() -> dict[str, str]:
    """Return the versions that count in this process.

    Without their build: torch 2.13.0+cpu on one node and 2.13.0 with CUDA on another are one torch. vLLM is listed where it is
    installed.
    """
    found = dict.fromkeys(DECISIVE, "missing") | versions(DECISIVE)
    for version in versions(VLLM).values():
        # Builds for CPUs and for GPUs have one numbering.
        found["vllm"] = version
    return {name: version.split("+")[0] for name, version in found.items()}


def differing(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what of two processes differs, as each has it; None where nothing does.

    A node without vLLM may hold engines of other kinds, so that only two versions of it differ.
    """
    names = [name for name in here if name in there and here[name] != there[name]]
    if not names:
        return None
    return _listed(here, names), _listed(there, names)


def _listed(packages: Mapping[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} {packages[name]}" for name in names)
