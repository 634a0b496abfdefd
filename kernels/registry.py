"""What a name stands for: shipped with this package, registered by an entry point, or a dotted path.

Every place where a name may be written finds what it stands for here; `agents/registry.py` says the errors as the rest of the
project does.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

from kernels.errors import BadPath, UnknownName


@cache
def registered(group: str) -> dict[str, str]:
    """Return the names of an entry-point group, each with the path that it stands for; nothing is imported.

    Looked up once a process: the search through everything installed takes milliseconds, and this is asked for each agent.

    Raises:
        BadPath: two distributions own one name.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for point in entry_points(group=group):
        # What stands behind in brackets, the extras that it needs, is no part of the path.
        found[point.name].add(point.value.partition("[")[0].strip())
    for name, paths in found.items():
        if len(paths) > 1:
            raise BadPath(f"{group}: the name {name!r} has several owners: {', '.join(sorted(paths))}")
    return {name: next(iter(paths)) for name, paths in sorted(found.items())}


def is_path(name: str) -> bool:
    """Whether a name is a dotted path: `package.module:attribute`, or with a dot in place of the colon."""
    return "/" not in name and (":" in name or "." in name)


def find(name: str, kind: str, *, group: str, shipped: Mapping[str, Any] | None = None) -> Any:
    """Return what a name stands for.

    Args:
        name: a shipped or registered name, or a dotted path.
        kind: what is looked for, in the singular ("encoder").
        group: of entry points.
        shipped: names that come with the package.

    Raises:
        UnknownName: it stands for nothing; the message lists what is known.
        BadPath: its module has nothing of that name, or it is of Python's standard library, which is made for none of this.
        ModuleNotFoundError: its module needs one that is not installed.
    """
    shipped = shipped or {}
    if name in shipped:
        return shipped[name]
    known = registered(group)
    path = known.get(name)
    if path is None:
        if not is_path(name):
            raise UnknownName(kind, name, [*shipped, *known])
        path = name if ":" in name else ":".join(name.rsplit(".", 1))
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        # No module can have that name: it is empty, begins with a dot, or has characters of no name.
        raise UnknownName(kind, name, [*shipped, *known])
    _refuse_standard(module, name, kind)
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        # Of a module that is not there the name, or the beginning of it, is what could not be found.
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise UnknownName(kind, name, [*shipped, *known]) from error
        raise
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise BadPath(f"{kind} {name!r}: {module} has no {attribute!r}") from error
    # By way of a module that imports it.
    made_in = getattr(found.func if isinstance(found, partial) else found, "__module__", None)
    if callable(found) and isinstance(made_in, str) and not _is_elsewhere(found, made_in):
        _refuse_standard(made_in, name, kind)
    return found


def _is_elsewhere(found: Any, made_in: str) -> bool:
    """Return whether this is a class that its module does not have: what `type` makes of an abstract class is of `abc`."""
    if not isinstance(found, type):
        return False
    try:
        return attrgetter(found.__qualname__)(sys.modules[made_in]) is not found
    except (AttributeError, KeyError):
        return True


def _refuse_standard(module: str, name: str, kind: str) -> None:
    """Refuse what would start programs, remove folders or open windows where a config names it, e.g. `subprocess:Popen`."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise BadPath(f"{kind} {name!r} is of Python's standard library, which has no {kind}; name one of a package's")
