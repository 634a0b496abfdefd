"""Where a server is and which key opens it."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from agents.errors import ConfigError
from agents.secrets import DEFAULT_KEY_ENV, Key, checked_key_env, key_from_environment

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"


@dataclass(frozen=True)
class Endpoint:
    """A server.

    Attributes:
        base_url: what the paths of the protocol are put behind.
        host: name and port, for people and fingerprints.
        is_loopback: whether it is on this machine.
        is_encrypted: whether what is sent is.
        key: what it is asked with; None for none.
    """

    base_url: str
    host: str
    is_loopback: bool
    is_encrypted: bool
    key: Key | None

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself."""
        return urlsplit(self.base_url).hostname == OPENAI_HOST


def find_endpoint(base_url: str, api_key_env: str | None) -> Endpoint:
    """Return the server at an address.

    A server on this machine gets a key only if one is named: whatever listens on a local port is not to be handed
    the key of another service.

    Args:
        base_url: http or https, usually ending in `/v1`.
        api_key_env: the variable that holds the key; None for OPENAI_API_KEY, or no key on loopback; `none` for no key.

    Raises:
        ConfigError: no such address, or the variable is not set.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"base_url {base_url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(
            f"base_url {base_url!r} is no address: write e.g. http://127.0.0.1:8000/v1 or https://{OPENAI_HOST}/v1"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"base_url of {host}: give the address without user, query or fragment")
    is_loopback = _is_loopback(host)
    name = f"[{host}]" if ":" in host else host
    return Endpoint(
        base_url=base_url,
        host=f"{name}:{port}" if port else name,
        is_loopback=is_loopback,
        is_encrypted=parts.scheme == "https",
        key=_key(api_key_env, host, is_loopback),
    )


def _key(api_key_env: str | None, host: str, is_loopback: bool) -> Key | None:
    if api_key_env == NO_KEY or (api_key_env is None and is_loopback):
        return None
    env = checked_key_env(api_key_env or DEFAULT_KEY_ENV)
    key = key_from_environment(env)
    if key is None:
        raise ConfigError(
            f"{host} is asked with a key, and ${env} is not set: put the key there, name another variable with "
            f"api_key_env, or write api_key_env: {NO_KEY} for a server that needs none"
        )
    if not key.value.isascii() or any(character.isspace() for character in key.value):
        raise ConfigError(f"${env} holds spaces or characters outside ASCII, so it is no key")
    return key


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
