"""Keys of servers: read from the environment, refused in options, and hidden in everything that is shown or written.

A config is copied into every run folder, so a key in one would travel with the results.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from agents.errors import ConfigError

HIDDEN = "[key]"
DEFAULT_KEY_ENV = "OPENAI_API_KEY"
# Shorter values are no keys, and would be found in ordinary words.
SHORTEST_KEY = 8
_SECRET_NAME = re.compile(
    r"^(.*[_-])?(api[_-]?key|apikey|authorization|password|secret|(access|auth|bearer|hf|api)[_-]?token)$",
    re.IGNORECASE,
)
# An environment variable in capitals: what a key pasted in its place never is.
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class Key:
    """The key of one server. Its value is in no repr; `hide` takes it out of a text.

    Args:
        value: the key.
        env: the variable that it came from.
    """

    def __init__(self, value: str, env: str) -> None:
        self.value, self.env = value, env

    def __repr__(self) -> str:
        return f"Key(${self.env})"

    def hide(self, text: str) -> str:
        """Return the text without the key."""
        return text.replace(self.value, HIDDEN)

    def hide_growing(self, text: str) -> str:
        """Return what may be shown of a text that still grows: without the key, nor an end that may become it."""
        for count in range(min(len(self.value) - 1, len(text)), 0, -1):
            if text.endswith(self.value[:count]):
                return self.hide(text[:-count])
        return self.hide(text)


def key_from_environment(env: str) -> Key | None:
    """Return the key in a variable; None where it is not set or empty."""
    value = os.environ.get(env, "").strip()
    return Key(value, env) if value else None


def checked_key_env(env: str) -> str:
    """Return the name of a variable.

    Raises:
        ConfigError: it is no such name; what was given is not repeated, since it may be the key.
    """
    if not _ENV_NAME.fullmatch(env):
        raise ConfigError(
            "api_key_env is the name of an environment variable in capitals, digits and _, such as OPENAI_API_KEY; what "
            "was given is not (and is not shown, in case it is a key)"
        )
    return env


def refuse_secrets(options: Mapping[str, Any], *, where: str = "options") -> None:
    """Raise ConfigError where a backend's options hold a key, in whatever place; the key is not repeated.

    Args:
        options: of a backend.
        where: the key path that the message starts with.
    """
    env = options.get("api_key_env")
    if env is not None and env != "none":
        try:
            checked_key_env(str(env))
        except ConfigError as error:
            raise ConfigError(f"{where}.api_key_env: {error}") from None
    names = {DEFAULT_KEY_ENV, str(env)}
    keys = [key.value for key in map(key_from_environment, sorted(names)) if key and len(key.value) >= SHORTEST_KEY]
    for path, name, value in _texts(options, where):
        named = name if value and _SECRET_NAME.match(name) else None
        if named or any(key in value for key in keys) or _has_password(value):
            raise ConfigError(
                f"{path}: a key has no place in a config, which is copied into run folders. Put it into an environment "
                f"variable and give that variable's name: api_key_env: {DEFAULT_KEY_ENV}"
            )


def _texts(value: Any, path: str, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (path, innermost key, text) of every text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}", str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{place}]", name)
    elif isinstance(value, str):
        yield path, name, value


def _has_password(text: str) -> bool:
    """Whether a text is an address with a password or a key in it."""
    if "://" not in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    fields = (field.partition("=")[0] for field in parts.query.split("&"))
    return parts.password is not None or any(_SECRET_NAME.match(field) or field == "key" for field in fields)
