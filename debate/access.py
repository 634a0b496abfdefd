"""Who may ask a server of ours: whoever has its token; without one, who calls it by a name of this machine.

Pages that are open in a browser of the same machine reach its loopback interface as well: they can make a name of their own
point there, and are told apart by it.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from agents.errors import ConfigError

LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str, *, option: str) -> bool:
    """Whether an address is reached from this machine alone.

    Args:
        host: an address, or `localhost`.
        option: where it was given, for the message.

    Raises:
        ConfigError: it is no address.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"{option} {host!r} is no address, e.g. {LOOPBACK}") from error


def same_token(given: str, token: str) -> bool:
    """Whether a token is the right one, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


@dataclass(frozen=True)
class Access:
    """The check of a request.

    Attributes:
        token: to be sent as a bearer token; empty where none is needed.
        hosts: names by which the server may be called where no token is needed.
    """

    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = LOCAL_NAMES

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request is not answered, in a sentence; None where it is.

        Args:
            headers: with names in lower case.
        """
        if self.token:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() == "bearer" and same_token(given.strip(), self.token):
                return None
            return "the token is missing or wrong: send the server's token as `Authorization: Bearer TOKEN` (api_key)"
        if host_name(headers.get("host", "")) in self.hosts:
            return None
        return f"without a token this server is called by a local name alone: {', '.join(self.hosts)}"


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
