"""What lies in a checkpoint's config.json: numbers that are some, and options of the types that their reader names."""

import inspect
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from agents.json_text import parse_json
from agents.ordinary_file import read_ordinary

LARGEST_CONFIG = 10_000_000
# Of a whole number in a config: more than any size.
LARGEST_NUMBER = 1 << 31
T = TypeVar("T")


def read_stored(path: Path) -> dict[str, Any]:
    """Return the mapping in a checkpoint's JSON file.

    Raises:
        OSError: it cannot be read, is no ordinary file, or larger than any config.
        ValueError: it holds no mapping, or a number that is none or larger than any size.
    """
    found = parse_json(read_ordinary(path, most=LARGEST_CONFIG))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__} in place of a mapping")
    left: list[Any] = [found]
    while left:
        value = left.pop()
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{path.name} holds a number that is not finite")
        elif isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
            raise ValueError(f"{path.name} holds a whole number beyond {LARGEST_NUMBER:,}")
    return found


def typed(kind: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a class, each checked against the type that its constructor names, and lists made tuples.

    Args:
        kind: the class, a dataclass or another.
        given: JSON values by name.

    Raises:
        ValueError: an argument that it does not take, or one of another type.
    """
    from pydantic import ValidationError

    taken = _arguments(kind)
    if unknown := sorted(set(given) - taken.keys()):
        raise ValueError(f"{unknown[0]!r} is none of its options: {', '.join(taken)}")
    found = {}
    for name, value in given.items():
        try:
            found[name] = _adapter(taken[name]).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            inside = "".join(f", whose {key}" for key in first["loc"] if isinstance(key, str))
            raise ValueError(f"{name} is {str(value)[:60]!r}{inside}: {first['msg']}") from None
    return found


def made_of(kind: Callable[..., T], given: Any) -> T:
    """Return an object of a class, made of JSON values; see `typed`."""
    if not isinstance(given, Mapping):
        raise ValueError(f"its sizes are a {type(given).__name__} in place of a mapping")
    return kind(**typed(kind, given))


def _arguments(kind: Callable[..., object]) -> dict[str, Any]:
    """Return the type of each argument that can be given by name."""
    hints = get_type_hints(getattr(kind, "__init__"))  # noqa: B009 (of the class, no instance)
    parameters = inspect.signature(kind).parameters.values()
    return {each.name: hints[each.name] for each in parameters if each.kind is not each.VAR_KEYWORD}


@cache
def _adapter(hint: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)
