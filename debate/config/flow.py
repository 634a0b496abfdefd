"""Values as YAML on one line."""

import re
from typing import Any

import yaml

# Texts of these characters alone need no quotes in a list, if YAML reads them as texts.
PLAIN = re.compile(r"[A-Za-z0-9_./()=\-]+")


def flow(value: Any) -> str:
    """Return plain data as YAML on one line, which reads back as the same value."""
    match value:
        case str():
            if PLAIN.fullmatch(value) and yaml.safe_load(value) == value and not value.startswith("-"):
                return value
            return _dumped(value, default_style='"')
        case dict():
            return "{" + ", ".join(f"{flow(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
    return _dumped(value)


def _dumped(value: Any, **options: Any) -> str:
    text: str = yaml.safe_dump(value, width=10**9, allow_unicode=True, **options)
    return text.removesuffix("...\n").strip()
