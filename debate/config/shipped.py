"""Where shipped configs, prompts and roles lie, and what a name or a path stands for.

Names come from files: `os.path` looks for them, whose answer for a name that no file can have is no, where pathlib's is an error.
"""

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import yaml

from agents.errors import UnknownName
from agents.speakers import CONTROLS
from kernels.names import did_you_mean

# The folders of configs that a debate can be played from.
ROOMS = (".", "debaters", "minds", "specialists", "topologies", "transforms")


def configs_folder() -> Path:
    """Return the folder of shipped configs and prompts: beside the sources, or inside an installed package."""
    here = Path(__file__).resolve().parent.parent
    beside = here.parent / "configs"
    return beside if beside.is_dir() else here / "shipped_configs"


def shipped() -> list[str]:
    """Return the names of the shipped config files."""
    folder = configs_folder()
    files = [path for room in ROOMS for path in (folder / room).glob("*.yaml")]
    return sorted(str(path.relative_to(folder)) for path in files)


def nearest(path: Path) -> str:
    """Return " Did you mean 'x'?" for the shipped config, or the file beside it, that a missing file was meant to be."""
    inside = path.relative_to("configs") if path.parts[:1] == ("configs",) else path
    names = [str(Path(file).with_suffix("")) for file in shipped()]
    if close := did_you_mean(str(inside.with_suffix("")), names):
        return close
    # A file beside it, or a shipped name without its folder: `experts` for `debaters/experts`.
    beside = [*path.parent.glob("*.yaml"), *path.parent.glob("*.yml")] if path.parent.is_dir() else []
    known = {file.stem: str(file) for file in beside} | {Path(name).name: name for name in names}
    for name in get_close_matches(path.stem, known, n=1, cutoff=0.6):
        return f" Did you mean {known[name]!r}?"
    return ""


def find_config(name: Path) -> Path:
    """Return the file of a path, or of a shipped config's name or path (`configs/NAME.yaml`, `NAME`, `topologies/NAME`)."""
    if os.path.exists(name):
        return name
    inside = name.relative_to("configs") if name.parts[:1] == ("configs",) else name
    if not inside.is_absolute() and ".." not in inside.parts:
        for candidate in (configs_folder() / inside, configs_folder() / f"{inside}.yaml"):
            if os.path.isfile(candidate):
                return candidate
    return name


def prompts_folder(name: str) -> Path:
    """Return the folder of a prompt set: a path, or a name under configs/prompts."""
    return Path(name) if "/" in name else configs_folder() / "prompts" / name


def task_prompts(task: str) -> str:
    """Return the prompt set of a task: the folder of its name, variant aside, or the one that `prompts/tasks.yaml` names."""
    base = task.partition(":")[0]
    folder = configs_folder() / "prompts"
    if os.path.isdir(folder / base) or not (folder / "tasks.yaml").is_file():
        return base
    named = _prompt_sets(folder / "tasks.yaml", (folder / "tasks.yaml").stat().st_mtime_ns)
    return str(named.get(task) or named.get(base, base))


@lru_cache(maxsize=4)
def _prompt_sets(file: Path, changed: int) -> dict[str, str]:
    """Return task → prompt set, as a file had it at a time; many agents ask."""
    found: dict[str, str] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def role_folder(role: str) -> Path:
    """Return the folder of a role: a path, or a name under configs/prompts/roles.

    Raises:
        UnknownName: no such role.
    """
    if "/" in role:
        return Path(role)
    folder = prompts_folder("roles")
    if not os.path.isdir(folder / role):
        raise UnknownName("role", role, [*CONTROLS, *(path.name for path in folder.glob("*") if path.is_dir())])
    return folder / role
