"""`debate doctor`: what is here, and what each extra would add."""

import importlib.util
import platform
import shutil
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from agents.installed import installed_version
from debate.cli import options
from debate.cli.app import app

OUR_NAMES = ("agents", "debate", "evals", "kernels")
GIB = 1024**3


@app.command()
def doctor() -> None:
    """Show what is installed, what each extra would add, how much memory is free, and where the models are.

    Example:  debate doctor
    """
    from rich.table import Table

    from agents.pretrained import MANIFEST, WHEEL_MODELS, cache_home, verify
    from agents.registry import names

    out = options.console
    out.print(f"cipher-debate {version('cipher-debate')}, Python {platform.python_version()}, {platform.platform()}")
    for warning in foreign_packages():
        out.print(f"! {warning}", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("extra", "package", "installed", "asked for"):
        table.add_column(column)
    for extra, package, wanted in _requirements():
        table.add_row(extra, package, installed_version(package) or "no", wanted)
    out.print(table, markup=False)
    out.print("an extra is added with: pip install 'cipher-debate[EXTRA]'", markup=False)
    out.print(f"backends: {', '.join(names())}; tasks: {', '.join(names('debate.tasks'))}")
    out.print(_key(), markup=False)
    out.print(_vllm(), markup=False)
    out.print(_memory())
    home = cache_home()
    out.print(f"model cache: {home} ({shutil.disk_usage(_existing(home)).free / GIB:.0f} GiB free)", markup=False)
    for name, spec in WHEEL_MODELS.items():
        folder = home / "models" / spec.folder
        if (folder / MANIFEST).is_file():
            problems = verify(folder)
            state = "sound" if not problems else f"damaged: {'; '.join(problems)}; delete {folder} to convert it again"
        else:
            state = f"not converted yet (debate model fetch {name})"
        out.print(f"  {name}: {state}", markup=False)
    for line in transformed_models(home):
        out.print(f"  {line}", markup=False)


def transformed_models(home: Path) -> list[str]:
    """Return a line for each model in the cache that transforms made: what it was made of, and whether it is whole."""
    from agents.model_folder import origin_of
    from agents.pretrained import MANIFEST, verify

    found = []
    for folder in sorted((home / "models").glob("transformed-*")):
        if (folder / MANIFEST).is_file():
            problems = verify(folder)
            state = "sound" if not problems else f"damaged: {'; '.join(problems)}; delete {folder} to make it again"
            found.append(f"{folder.name}: {origin_of(folder) or 'of an unknown base'}: {state}")
    return found


def foreign_packages() -> list[str]:
    """Return a sentence for each distribution that shares an import name with ours, or hides it."""
    found = []
    owners = packages_distributions()
    ours = Path(__file__).resolve().parents[2]
    for name in OUR_NAMES:
        others = sorted({owner for owner in owners.get(name, []) if owner != "cipher-debate"})
        if others:
            found.append(
                f"the package {name!r} also belongs to {', '.join(others)}, installed here too: one hides the other. "
                "Use an environment of its own for cipher-debate."
            )
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and not Path(spec.origin).resolve().is_relative_to(ours):
            found.append(f"{name!r} is imported from {spec.origin}, which is not cipher-debate")
    return found


def _requirements() -> list[tuple[str, str, str]]:
    from packaging.requirements import Requirement

    rows = []
    for line in requires("cipher-debate") or []:
        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        extra = marker.split('extra == "')[1].split('"')[0] if "extra ==" in marker else "(core)"
        rows.append((extra, requirement.name, str(requirement.specifier)))
    return rows


def _key() -> str:
    from agents.secrets import DEFAULT_KEY_ENV, key_from_environment

    state = "holds a key" if key_from_environment(DEFAULT_KEY_ENV) else "is not set"
    return (
        f"backend openai: ${DEFAULT_KEY_ENV} {state}; servers on this machine are asked without one (docs/engines.md)"
    )


def _vllm() -> str:
    from agents.backends.vllm import versions
    from agents.errors import DebateError

    tested, found = ".".join(map(str, versions.TESTED)), versions.installed()
    try:
        # Not `check`, which imports the whole of a vLLM that is newer than tested.
        versions.require(found)
    except DebateError as error:
        return f"backend vllm: {error}"
    newer = " (newer than tested)" if found and versions.is_newer(found) else ""
    return (
        f"backend vllm: vllm {found}{newer}, tested with {tested} on CPUs; its GPU workers and the Triton kernels were "
        "not yet run on a GPU (docs/engines.md)"
    )


def _memory() -> str:
    import torch

    lines = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
        lines.append(
            f"memory: {int(available.split()[1]) / 1024**2:.1f} GiB available, {torch.get_num_threads()} threads"
        )
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            lines.append(f"{torch.cuda.get_device_name(index)}: {free / GIB:.1f} of {total / GIB:.1f} GiB free")
    else:
        lines.append("no CUDA device: engines run on the CPU")
    return "\n".join(lines)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
