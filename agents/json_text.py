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
