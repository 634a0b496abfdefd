"""Names with parameters, as a config writes them: `ring`, `ring(hops=2)`, `budget(tokens=2000)`."""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Named:
    """A name and its keyword parameters; `str(call)` is what `parse_call` reads back."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({listed})" if listed else self.name


def parse_named(text: str, kind: str) -> Named:
    """Return the name and parameters that a config wrote.

    Raises:
        ConfigError: neither a name nor name(parameter=value, …).
    """
    name, opened, rest = text.strip().partition("(")
    if not opened:
        return Named(name.strip())
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise SyntaxError
        parameters = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigError(
            f"cannot read the {kind} {text!r}: write a name, or name(parameter=value, …) with texts in quotes"
        ) from error
    return Named(name.strip(), parameters)


def check_parameters(call: Named, kind: str, function: Callable[..., Any], *, given: tuple[str, ...] = ()) -> None:
    """Refuse parameters that a function does not take, and values of another type than its default.

    Args:
        call: what the config wrote.
        kind: what is named, in the singular ("topology").
        function: a function or class; its keyword-only parameters are what may be set.
        given: keyword-only parameters that are not the user's.

    Raises:
        ConfigError: the message lists what may be set.
    """
    signature = inspect.signature(function).parameters.values()
    known = {p.name: p for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in given}
    for key, value in call.parameters.items():
        if key not in known:
            listed = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise ConfigError(f"{kind} {call.name!r} has no parameter {key!r}. {listed}{did_you_mean(key, known)}")
        default = known[key].default
        if default in (None, inspect.Parameter.empty):
            continue
        wanted = (int, float) if type(default) is float else (type(default),)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ConfigError(
                f"{kind} {call.name!r}: {key} must be of type {type(default).__name__}, e.g. {default!r}; got {value!r}"
            )
