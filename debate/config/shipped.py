"""Where shipped configs, prompts and roles lie, and what a name or a path stands for."""

from pathlib import Path

import yaml

from agents.errors import UnknownName
from agents.speakers import CONTROLS


def configs_folder() -> Path:
    """Return the folder of shipped configs and prompts: beside the sources, or inside an installed package."""
    here = Path(__file__).resolve().parent.parent
    beside = here.parent / "configs"
    return beside if beside.is_dir() else here / "shipped_configs"


def shipped() -> list[str]:
    """Return the names of the shipped config files."""
    folder = configs_folder()
    files = [path for pattern in ("*.yaml", "topologies/*.yaml", "specialists/*.yaml") for path in folder.glob(pattern)]
    return sorted(str(path.relative_to(folder)) for path in files)


def find_config(name: Path) -> Path:
    """Return the file of a path, or of a shipped config's name or path (`configs/NAME.yaml`, `NAME`, `topologies/NAME`)."""
    if name.exists():
        return name
    inside = name.relative_to("configs") if name.parts[:1] == ("configs",) else name
    if not inside.is_absolute() and ".." not in inside.parts:
        for candidate in (configs_folder() / inside, configs_folder() / f"{inside}.yaml"):
            if candidate.is_file():
                return candidate
    return name


def prompts_folder(name: str) -> Path:
    """Return the folder of a prompt set: a path, or a name under configs/prompts."""
    return Path(name) if "/" in name else configs_folder() / "prompts" / name


def task_prompts(task: str) -> str:
    """Return the prompt set of a task: the folder of its name, variant aside, or the one that `prompts/tasks.yaml` names."""
    base = task.partition(":")[0]
    folder = configs_folder() / "prompts"
    if (folder / base).is_dir() or not (folder / "tasks.yaml").is_file():
        return base
    named = yaml.safe_load((folder / "tasks.yaml").read_text(encoding="utf-8"))
    return str(named.get(base, base))


def role_folder(role: str) -> Path:
    """Return the folder of a role: a path, or a name under configs/prompts/roles.

    Raises:
        UnknownName: no such role.
    """
    if "/" in role:
        return Path(role)
    folder = prompts_folder("roles")
    if not (folder / role).is_dir():
        raise UnknownName("role", role, [*CONTROLS, *(path.name for path in folder.glob("*") if path.is_dir())])
    return folder / role
