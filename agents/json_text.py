"""JSON of files and servers that may hold anything: the value in it, or a ValueError."""

import json
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


def is_deeper_than(value: Any, most: int) -> bool:
    """Whether a JSON value has more levels of mappings and lists, which what calls itself for each could not go through."""
    level = [value]
    for _ in range(most + 1):
        inner = (held.values() if isinstance(held, dict) else held for held in level if isinstance(held, dict | list))
        level = [each for values in inner for each in values]
        if not level:
            return False
    return True
