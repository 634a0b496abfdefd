"""JSON of files and servers that may hold anything: the value in it, or a ValueError."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the value in a JSON text.

    Raises:
        ValueError: it is none, is not UTF-8, or is nested more deeply than it can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def named_once(sentence: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Return an `object_pairs_hook` of json.loads, which raises ValueError where a key stands twice in an object.

    Args:
        sentence: that is then said, with the key for `{!r}`.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen = Counter(name for name, _ in pairs)
            raise ValueError(sentence.format(next(name for name in found if seen[name] > 1)[:80]))
        return found

    return once


def is_deeper_than(value: Any, most: int) -> bool:
    """Whether a JSON value has more levels of mappings and lists, which what calls itself for each could not go through."""
    level = [value]
    for _ in range(most + 1):
        inner = (held.values() if isinstance(held, dict) else held for held in level if isinstance(held, dict | list))
        level = [each for values in inner for each in values]
        if not level:
            return False
    return True
