"""Encoders by name, and their one-line spelling."""

import ast
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from kernels.encoders import rules
from kernels.encoders.base import Encoder
from kernels.errors import UnknownEncoder

_ENCODERS: dict[str, type[Encoder]] = {
    rule.name: rule
    for rule in (
        rules.Expectation,
        rules.TopK,
        rules.TopP,
        rules.MinP,
        rules.PartialMax,
        rules.PartialMaxReversed,
        rules.PartialEntropy,
        rules.PartialEntropyReversed,
        rules.Gumbel,
        rules.Dirichlet,
        rules.Mixture,
        rules.Token,
    )
}


def names() -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted(_ENCODERS))


def get(name: str, **params: Any) -> Encoder:
    """The encoder of that name, e.g. get("topk", k=5); parameters that are left out take their defaults.

    Raises:
        UnknownEncoder: no such name or parameter; the message lists those that exist.
        ValueError: a parameter has a value that the rule does not allow.
    """
    rule = _ENCODERS.get(name)
    if rule is None:
        raise UnknownEncoder(f"Unknown encoder {name!r}. Known: {', '.join(names())}.{_closest(name, names())}")
    known = {field.name: field for field in fields(rule)}
    converted: dict[str, Any] = {}
    for key, value in params.items():
        if key not in known:
            listed = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise UnknownEncoder(f"Encoder {name!r} has no parameter {key!r}. {listed}{_closest(key, tuple(known))}")
        converted[key] = _convert(name, key, value, type(known[key].default))
    return rule(**converted)


def parse(text: str) -> Encoder:
    """The encoder that `str(encoder)` spelled: a name, or a name with keyword parameters in parentheses."""
    name, _, rest = text.strip().partition("(")
    if not rest:
        return get(name.strip())
    try:
        call = ast.parse("f(" + rest, mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
            raise SyntaxError
        params = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        raise UnknownEncoder(f"Cannot read encoder {text!r}: write a name, or name(parameter=value, …).") from None
    return get(name.strip(), **params)


def _convert(name: str, key: str, value: Any, kind: type) -> Any:
    """`value` as the parameter's type; an int may stand for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UnknownEncoder(f"Encoder {name!r}: {key} must be {kind.__name__}, got {value!r}.")
    return value


def _closest(word: str, known: tuple[str, ...]) -> str:
    match = get_close_matches(word, known, n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
