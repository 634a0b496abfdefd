"""Encoders by name, and their one-line spelling."""

from dataclasses import fields
from typing import Any

from kernels.encoders import rules
from kernels.encoders.base import Encoder
from kernels.errors import BadPath, UnknownEncoder, UnknownName
from kernels.names import parse_named, stray
from kernels.registry import find, registered

GROUP = "debate.encoders"

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
        rules.GumbelTopK,
        rules.Dirichlet,
        rules.Mixture,
        rules.MixturePublished,
        rules.Token,
    )
}


def names() -> tuple[str, ...]:
    """The names of encoders, shipped and registered, sorted."""
    return tuple(sorted({*_ENCODERS, *registered(GROUP)}))


def get(name: str, **params: Any) -> Encoder:
    """The encoder of that name or dotted path, e.g. get("topk", k=5); parameters that are left out take their defaults.

    Raises:
        UnknownEncoder: no such name or parameter; the message lists those that exist.
        ValueError: a parameter has a value that the rule does not allow.
    """
    rule = _rule(name)
    known = {field.name: field for field in fields(rule)}
    if sentence := stray(f"encoder {name!r}", params, known):
        raise UnknownEncoder(sentence)
    return rule(**{key: _convert(name, key, value, type(known[key].default)) for key, value in params.items()})


def parse(text: str) -> Encoder:
    """The encoder that `str(encoder)` spelled: a name, or a name with keyword parameters in parentheses."""
    try:
        named = parse_named(text, "encoder")
    except ValueError as error:
        raise UnknownEncoder(str(error)) from None
    return get(named.name, **named.parameters)


def _rule(name: str) -> type[Encoder]:
    try:
        rule = find(name, "encoder", group=GROUP, shipped=_ENCODERS)
    except (UnknownName, BadPath) as error:
        raise UnknownEncoder(str(error)) from error
    except ModuleNotFoundError as error:
        raise UnknownEncoder(f"encoder {name!r} needs the package {error.name!r}, which is not installed") from error
    if not (isinstance(rule, type) and issubclass(rule, Encoder)):
        raise UnknownEncoder(f"encoder {name!r} is no class derived from kernels.encoders.Encoder")
    return rule


def _convert(name: str, key: str, value: Any, kind: type) -> Any:
    """`value` as the parameter's type; an int may stand for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UnknownEncoder(f"encoder {name!r}: {key} is larger than any float.") from None
    if type(value) is not kind:
        raise UnknownEncoder(f"encoder {name!r}: {key} must be {kind.__name__}, got {value!r}.")
    return value
