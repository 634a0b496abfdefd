"""The socket that a server of ours listens on."""

import socket

from agents.errors import ConfigError

BACKLOG = 128


def listening_socket(host: str, port: int, *, backlog: int = BACKLOG, patience_s: float | None = None) -> socket.socket:
    """Return a TCP socket that listens: whoever connects before requests are answered waits instead of being refused.

    Args:
        host: address of IPv4 or IPv6, or a name.
        port: port; 0 takes a free one.
        backlog: number of connections that may wait.
        patience_s: seconds after which a client that takes nothing is cut off, where the system can do that.

    Raises:
        ConfigError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol's number asyncio knows that it is TCP, and sends each chunk at once.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if patience_s is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it, with what is buffered for them.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * patience_s))
    try:
        made.bind((host, port))
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise ConfigError(f"cannot listen at {host}:{port}: {error.strerror}; choose another --port") from error
    return made
