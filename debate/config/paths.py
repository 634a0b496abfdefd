"""Paths that a config names: beside the config's own file first, then where the command runs, then among the shipped ones.

What is found beside the file is written into the config as an absolute path; everything else stays as it is written, so that a
config that names nothing of its own is the same wherever it lies.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents.errors import ConfigError
from agents.speakers import CONTROLS
from debate.config.shipped import configs_folder, prompts_folder
from kernels.names import did_you_mean
from kernels.registry import is_path, registered


def _is_prompts(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.jinja"))


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path.suffix == ".gguf" and path.is_file())


def _is_adapter(path: Path) -> bool:
    return (path / "adapter_config.json").is_file()


# Key → what has to lie there, so that a folder which only has the name is not taken for it.
KINDS: Mapping[str, Callable[[Path], bool]] = {
    "prompts": _is_prompts,
    "role": _is_prompts,
    "data": Path.exists,
    "adapter": _is_adapter,
    "checkpoint": Path.exists,
    "model": _is_model,
    "signed": Path.is_file,
}
# Where an agent's keys stand below a name.
OF_AGENTS = ("agents", "templates")


def with_paths(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a raw config in which what lies beside its file is named by its whole path.

    Args:
        raw: mapping of the debate, a method or an agent, as it was read.
        folder: folder of the config file.
    """
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if key in KINDS and isinstance(value, str):
            found[key] = _beside(key, value, folder)
        elif key == "transforms" and isinstance(value, list | tuple):
            from agents.transforms.recipe import beside

            found[key] = [beside(step, folder) if isinstance(step, str) else step for step in value]
        elif key in (*OF_AGENTS, "methods") and isinstance(value, Mapping):
            found[key] = {
                name: with_paths(inner, folder) if isinstance(inner, Mapping) else inner
                for name, inner in value.items()
            }
        elif key == "execution" and isinstance(value, Mapping) and isinstance(engines := value.get("engines"), Mapping):
            found[key] = {**value, "engines": {_beside("model", str(name), folder): of for name, of in engines.items()}}
        elif key == "topology" and isinstance(value, Mapping) and isinstance(edges := value.get("edges"), list | tuple):
            found[key] = {**value, "edges": [_with_keys(edge, folder) for edge in edges]}
        else:
            found[key] = value
    return found


def _with_keys(edge: Any, folder: Path) -> Any:
    """Return an edge in which the files of the public keys that it demands are named by their whole paths."""
    signed = edge.get("signed") if isinstance(edge, Mapping) else None
    if isinstance(signed, str):
        return {**edge, "signed": _beside("signed", signed, folder)}
    if isinstance(signed, Mapping):
        beside = {name: _beside("signed", key, folder) if isinstance(key, str) else key for name, key in signed.items()}
        return {**edge, "signed": beside}
    return edge


def check_paths(raw: Mapping[str, Any], folder: Path, *, source: str, where: str = "") -> None:
    """Refuse prompts and roles of a raw config that lie nowhere.

    Args:
        raw: mapping that `with_paths` returned.
        folder: folder of the config file.
        source, where: file and key path, for the message.

    Raises:
        ConfigError: a path was not found; the message lists where it was looked for and what there is.
    """
    for key, value in raw.items():
        place = f"{where}.{key}" if where else str(key)
        if key == "prompts" and isinstance(value, str):
            _check_prompts(value, folder, f"{source}: {place}", prompts_folder, ())
        elif key == "role" and isinstance(value, str) and not _is_kind(value):
            _check_prompts(value, folder, f"{source}: {place}", _role, CONTROLS)
        elif key in (*OF_AGENTS, "methods") and isinstance(value, Mapping):
            for name, inner in value.items():
                if isinstance(inner, Mapping):
                    check_paths(inner, folder, source=source, where=f"{place}.{name}")


def find_file(name: str, folder: Path) -> tuple[Path | None, list[Path]]:
    """Return a file beside a config, where the command runs or among the shipped ones, if any, and where it was looked for."""
    path = Path(os.path.expanduser(name))
    places = [path] if path.is_absolute() else [folder / path, path, configs_folder() / path]
    looked = list(dict.fromkeys(place.absolute() for place in places))
    try:
        return next((place for place in looked if place.is_file()), None), looked
    except OSError:
        # A name too long for any file.
        return None, looked


def _beside(key: str, value: str, folder: Path) -> str:
    path = Path(value)
    if path.is_absolute() or value.startswith("~") or not value.strip():
        return value
    if "/" in value and folder.resolve() == Path.cwd():
        # Where the command runs paths mean the same as they stand.
        return value
    candidate = folder / path
    try:
        return str(candidate.resolve()) if KINDS[key](candidate) else value
    except (OSError, ValueError):
        # No path at all: too long, or with a zero byte.
        return value


def _is_kind(role: str) -> bool:
    """Whether a role is a kind of agent, which reads prompts of its own or none."""
    return role in CONTROLS or is_path(role) or role in registered("debate.speakers")


def _role(name: str) -> Path:
    return Path(name) if "/" in name else prompts_folder("roles") / name


def _check_prompts(
    value: str, folder: Path, where: str, shipped: Callable[[str], Path], other_names: tuple[str, ...]
) -> None:
    path = shipped(value)
    # `is_dir` raises where no file can have the name.
    if os.path.isdir(path):
        return
    if Path(value).is_absolute():
        looked, known = [Path(value)], []
    else:
        looked = list(dict.fromkeys(place.absolute() for place in (folder / value, path)))
        home = shipped("x").parent
        known = sorted({*other_names, *(inner.name for inner in home.glob("*") if _is_prompts(inner))})
    if (empty := next((place for place in looked if os.path.isdir(place)), None)) is not None:
        raise ConfigError(
            f"{where}: the folder {empty} has no prompt files: system.jinja, initial.jinja and debate.jinja are wanted there. "
            "`debate init` writes an example."
        )
    listed = f" Shipped ones: {', '.join(known)}." if known else ""
    raise ConfigError(
        f"{where}: no folder of prompt files {value!r}.{did_you_mean(value, known)} "
        f"Looked for: {', '.join(map(str, looked))}.{listed}"
    )
