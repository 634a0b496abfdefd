"""Serves until it is told to stop, then lets what is under way end."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from agents.errors import ConfigError
from agents.pretrained import Progress
from debate.access import LOCAL_NAMES, LOOPBACK, Access, is_loopback
from debate.config.schema import DebateConfig
from debate.http_server import server_config
from debate.listening import listening_socket
from debate.runtime.observer import Observer
from debate.serving.app import Service
from debate.serving.limits import Limits
from debate.serving.models import Catalogue

# Connections that may wait while models are loaded.
BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Listen:
    """Where a server listens, and for whom.

    Attributes:
        host, port: the address; port 0 takes a free one.
        token: what clients send; needed beyond loopback.
        tls_cert, tls_key: files of TLS, both or neither.
        drain_s: seconds in which requests under way may end when the server is told to stop.
    """

    host: str = LOOPBACK
    port: int = 8000
    token: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    drain_s: float = 30.0

    def check(self) -> None:
        """Raise ConfigError where it would be open to others without a token, or TLS cannot be had."""
        if not is_loopback(self.host, option="--host") and not self.token:
            raise ConfigError(
                f"--host {self.host}: others could use it. Give a token that clients send as their api_key (--token-file FILE), "
                f"or leave it at {LOOPBACK}."
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both a certificate and its key: give --tls-cert and --tls-key")
        if self.tls_cert is not None and self.tls_key is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"--tls-cert {self.tls_cert}: cannot be used with {self.tls_key}: {error}") from error


class _Server(uvicorn.Server):
    """A server that ends in order when it is told to, instead of ending the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on Ctrl-C and SIGTERM; a second one does not wait for requests under way."""
        loop, added = asyncio.get_running_loop(), []
        for number in SIGNALS:
            # Elsewhere than in the main thread there are no signals, and whoever runs it says when to stop.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.handle_exit, number, None)
                added.append(number)
        try:
            yield
        finally:
            for number in added:
                loop.remove_signal_handler(number)


async def serve(
    configs: Mapping[str, DebateConfig],
    listen: Listen,
    limits: Limits,
    *,
    out: Path | None = None,
    observer: Observer | None = None,
    keys: Mapping[str, str] | None = None,
    progress: Progress = lambda _: None,
    ready: Callable[[str, uvicorn.Server], None] = lambda url, server: None,
) -> None:
    """Load the models and serve them until Ctrl-C or SIGTERM.

    Args:
        configs: id → config.
        listen: where, and for whom.
        limits: what clients may ask for.
        out: folder that each debate is kept in as a run; None to keep none.
        observer: told of every debate.
        keys: agent → public key, of messages from elsewhere that are heard only if they are signed.
        progress: told what takes time.
        ready: told the address when requests are answered, and the server, which ends when its `should_exit` is set.

    Raises:
        DebateError: a config, address or token that cannot be used.
    """
    listen.check()
    bound = listening_socket(listen.host, listen.port, backlog=BACKLOG, patience_s=limits.read_s)
    with contextlib.closing(bound):
        catalogue = Catalogue(configs, limits, progress)
        name = f"[{listen.host}]" if ":" in listen.host else listen.host
        try:
            service = Service(catalogue, limits, Access(listen.token, (*LOCAL_NAMES, name)), out, observer, keys)
            config = server_config(
                service.app,
                drain_s=listen.drain_s,
                head_s=limits.read_s,
                server_header=False,
                ssl_certfile=listen.tls_cert,
                ssl_keyfile=None if listen.tls_key is None else str(listen.tls_key),
            )
            server = _Server(config)
            scheme = "https" if listen.tls_cert is not None else "http"
            ready(f"{scheme}://{name}:{bound.getsockname()[1]}/v1", server)
            try:
                await server.serve(sockets=[bound])
            finally:
                await service.player.drain()
        finally:
            await catalogue.close()
