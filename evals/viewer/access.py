"""Who may ask a local server: whoever has its token, in the address first and in a cookie afterwards, and nobody through DNS.

Other users of the machine, and pages open in the same browser, reach a port of the loopback interface as well.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from debate.access import LOCAL_NAMES, host_name, same_token


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class PageAccess:
    """The check of a request.

    Attributes:
        port: that the server has; cookies are shared between the ports of a host, so its name is in the cookie's.
        token: to be sent.
        hosts: names by which the server may be called.
    """

    port: int
    token: str = field(default_factory=new_token, repr=False)
    hosts: tuple[str, ...] = LOCAL_NAMES

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"cipher-debate-{self.port}"

    def knows(self, given: str | None) -> bool:
        """Whether a token is the right one, compared in constant time."""
        return given is not None and same_token(given, self.token)

    def is_called_rightly(self, host: str | None) -> bool:
        """Whether a request's Host is a name of this server: a page elsewhere can make its own name point here."""
        return host_name(host or "") in self.hosts

    def allows(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Whether a request has the token, in the cookie or as a bearer."""
        bearer = headers.get("authorization", "")
        given = bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else cookies.get(self.cookie)
        return self.knows(given)
