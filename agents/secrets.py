"""Keys of servers: read from the environment, refused in options, and hidden in everything that is shown or written.

A config is copied into every run folder, so a key in one would travel with the results.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from agents.errors import ConfigError

HIDDEN = "[key]"
DEFAULT_KEY_ENV = "OPENAI_API_KEY"
# Shorter values are no keys, and would be found in ordinary words.
SHORTEST_KEY = 8
# Of variables that no option names, only what is as long as keys are.
SHORTEST_STRAY_KEY = 16
# Names are compared in lower case with _ between their words: `X-Api-Key`, `apiKey` and `API_KEY` are `…api_key`.
_SECRET_NAME = re.compile(
    r"(.*_)?(api_?key|authorization|auth|bearer|passw(or)?d|pwd|passphrase|secret(_key)?|credentials?|cookie"
    r"|(private|access|subscription|service|account)_key(_id)?|(access|auth|bearer|hf|api|id|refresh|session|security)_?token)"
    r"|key|token|sig(nature)?"
)
# Environment variables that hold keys.
_SECRET_VARIABLE = re.compile(r"(.*_)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD)")
# Mappings that become headers, and the way that headers are spelled: all of their values count as secrets.
_HEADERS = re.compile(r"(.*_)?headers?")
_HEADER_NAME = re.compile(r"[xX]-.+|[A-Z][A-Za-z0-9]*(-[A-Z][A-Za-z0-9]*)+")
# The forms that services give to keys, and what is sent with them.
_SECRET_FORM = re.compile(
    r"\b(sk-(?=[\w-]*\d)[\w-]{16,}|hf_\w{16,}|gh[oprsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+)|\b(?i:bearer|basic)\s+(?=\S*[\d=])[\w.~+/=-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
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
    keys = _keys(str(env))
    for found in _scalars(options, where):
        if found.is_secret or _holds_secret(found.value, keys):
            raise _refused(found.path)
        if found.is_address and any(character in found.value for character in "@?#"):
            raise ConfigError(f"{found.path}: give the address without user, query or fragment, where keys are put")
        if _has_user(found.value):
            raise _refused(found.path)


def refuse_secrets_anywhere(values: Mapping[str, Any], *, where: str) -> None:
    """Raise ConfigError where a value holds a key, whatever it is called; names count only in options of backends.

    Args:
        values: a config, or what else is written down.
        where: what the message starts with.
    """
    keys = _keys()
    for found in _scalars(values, where, names_count=False):
        if _holds_secret(found.value, keys) or _has_user(found.value):
            raise _refused(found.path)


def without_keys(text: str) -> str:
    """Return a text, e.g. an error's, with `[key]` in place of what has the form of a key or is one in the environment."""
    for key in _keys():
        text = text.replace(key, HIDDEN)
    return _SECRET_FORM.sub(HIDDEN, text)


def _refused(path: str) -> ConfigError:
    return ConfigError(
        f"{path}: a key has no place in a config, which is copied into run folders. Put it into an environment "
        f"variable and give that variable's name: api_key_env: {DEFAULT_KEY_ENV}"
    )


def _keys(*named: str) -> list[str]:
    """Return the keys in the environment: of the variables named, and of all that are called as one."""
    found = dict.fromkeys((DEFAULT_KEY_ENV, *named), SHORTEST_KEY)
    found |= {env: SHORTEST_STRAY_KEY for env in os.environ if env not in found and _SECRET_VARIABLE.fullmatch(env)}
    keys = ((key_from_environment(env), shortest) for env, shortest in found.items())
    return [key.value for key, shortest in keys if key and len(key.value) >= shortest]


@dataclass(frozen=True)
class _Scalar:
    """A text or number in options.

    Attributes:
        path: keys and places that lead to it.
        value: as text.
        is_secret: a key above it, or its own, says so.
        is_address: its own key says so.
    """

    path: str
    value: str
    is_secret: bool
    is_address: bool


def _scalars(
    value: Any, path: str, *, is_secret: bool = False, is_address: bool = False, names_count: bool = True
) -> Iterator[_Scalar]:
    """Yield every text and number, and every key as one: it may have been put on the wrong side of the colon.

    Args:
        value: a config, or a part of it.
        path: keys and places that lead to it.
        is_secret, is_address: what the names above it say.
        names_count: whether names are asked what they say.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            # A path is shown, so it cannot have a key in it.
            shown = f"{path}.{name}" if not _SECRET_FORM.search(str(name)) else f"{path}.{HIDDEN}"
            yield _Scalar(shown, str(name), is_secret=False, is_address=False)
            if names_count:
                is_told, is_url = is_secret or _is_secret_name(str(name)), _ends_in_url(str(name))
                yield from _scalars(inner, shown, is_secret=is_told, is_address=is_url)
            else:
                yield from _scalars(inner, shown, names_count=False)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for place, inner in enumerate(value):
            yield from _scalars(
                inner, f"{path}[{place}]", is_secret=is_secret, is_address=is_address, names_count=names_count
            )
    elif value is not None and not isinstance(value, bool) and str(value):
        yield _Scalar(path, str(value), is_secret, is_address)


def _is_secret_name(name: str) -> bool:
    words = _words(name)
    return bool(_SECRET_NAME.fullmatch(words) or _HEADERS.fullmatch(words) or _HEADER_NAME.fullmatch(name))


def _words(name: str) -> str:
    """Return a name in lower case, with _ between its words."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def _ends_in_url(name: str) -> bool:
    return _words(name).endswith(("url", "endpoint"))


def _holds_secret(text: str, keys: Sequence[str]) -> bool:
    return any(key in text for key in keys) or bool(_SECRET_FORM.search(text)) or _has_password(text)


def _has_password(text: str) -> bool:
    """Whether a text is an address with a password or a key in it."""
    parts = _address(text)
    if parts is None:
        return False
    fields = (field.partition("=")[0] for field in re.split("[&;]", f"{parts.query}&{parts.fragment}"))
    return parts.password is not None or any(_SECRET_NAME.fullmatch(_words(field)) for field in fields)


def _has_user(text: str) -> bool:
    """Whether a text is an address with a user, which is how some keys are sent."""
    parts = _address(text)
    return parts is not None and "@" in parts.netloc


def _address(text: str) -> SplitResult | None:
    try:
        return urlsplit(text) if "://" in text else None
    except ValueError:
        return None
