"""The engines of all configs that one server serves, each loaded once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.backend import Backend, Generation, Request
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BackendFailed, ConfigError, OutOfMemory, RowFailed
from agents.pretrained import Progress
from agents.supervision.replicas import Replicas
from agents.supervision.supervised import Supervised
from debate.config.schema import DebateConfig
from debate.runtime.backends import Backends


@dataclass
class Pool:
    """What is loaded.

    Attributes:
        engines, believers: by backend, model and options.
        warned: sentences that were said.
        is_sealed: no further engine is loaded: a request must not fill the memory, or make the others wait for a model.
    """

    engines: dict[tuple[str, str, str], Backend] = field(default_factory=dict)
    believers: dict[tuple[str, str | None, str], BeliefBackend] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    is_sealed: bool = False


class PooledBackends(Backends):
    """The engines of one config in the pool of its server.

    Args:
        config: whose engines.
        pool: where they are, with those of other configs.
        progress: told what takes time.
    """

    def __init__(self, config: DebateConfig, pool: Pool, progress: Progress = lambda _: None) -> None:
        if config.execution.runtime != "local":
            raise ConfigError(
                "execution.runtime: debate serve holds its engines in this process; set execution.runtime to local"
            )
        super().__init__(config, progress)
        self._pool = pool
        self._started, self._believers, self._warned = pool.engines, pool.believers, pool.warned

    def _engines(self, name: str, model: str, options: Mapping[str, Any]) -> Backend:
        if self._pool.is_sealed:
            raise ConfigError(
                f"this server has not loaded {name}:{model} with these options; start it with a config that uses it"
            )
        return super()._engines(name, model, options)


async def answered_by(backend: Backend, request: Request, id: str) -> Generation:
    """Return what an engine answers to a request that is no turn of a debate; one that dies of it is started again.

    Args:
        backend: with one engine or several behind it.
        request: the request.
        id: what it belongs to, so that what belongs together meets one engine.

    Raises:
        BackendFailed: the engine failed.
    """
    if not isinstance(backend, Supervised | Replicas):
        return await _ended(backend, request)
    while True:
        engine = await backend.engine_for(id)
        async with engine.gate.entered(alone=False):
            if not engine.is_ready:
                continue
            starts = engine.starts
            try:
                return await _ended(engine, request)
            except OutOfMemory as error:
                # With fewer at once it may do; the engine is sound.
                engine.gate.narrow(error)
                raise
            except RowFailed:
                # Of one request alone: nobody else's are to end with it.
                raise
            except BackendFailed:
                await backend.mend(engine, starts)
                raise


async def _ended(backend: Backend, request: Request) -> Generation:
    pending = backend.submit(request)
    try:
        return await pending
    except asyncio.CancelledError:
        pending.cancel()
        raise
