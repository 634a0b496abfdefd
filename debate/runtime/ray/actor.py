"""An engine in a process of its own: takes requests in batches, and hands over what is finished."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from agents.backend import Backend, Capabilities, Generation, Pending, Request
from agents.errors import portable
from agents.fingerprint import ModelFingerprint
from agents.hearing_table import HearingTable
from agents.registry import create_backend
from debate.runtime.ray.packages import packages
from debate.runtime.ray.wire import Outcome, register, unpacked
from kernels import EmbeddingTable


@dataclass(frozen=True)
class Description:
    """What an engine is once it has started."""

    fingerprint: ModelFingerprint
    capabilities: Capabilities
    decoding: Mapping[str, Any] = field(default_factory=dict)


def greeting() -> dict[str, Any]:
    """Return where this process is, and the versions of its packages."""
    node = ray.get_runtime_context().get_node_id()
    return {"pid": os.getpid(), "node": node, "address": ray.util.get_node_ip_address(), "packages": packages()}


@dataclass
class Desk:
    """What an engine keeps for one client.

    Attributes:
        pending: requests under way, by the client's numbers.
        outcomes: finished requests, kept until the client confirms them.
        grew: set when there is something to collect.
    """

    pending: dict[int, Pending] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    grew: asyncio.Event = field(default_factory=asyncio.Event)


class EngineActor:
    """Holds a backend; every method runs in the actor's event loop. Clients number their own requests.

    An outcome is kept until whoever collects says that it has it, so that none is lost with an interrupted call.
    """

    def __init__(self) -> None:
        register()
        self._backend: Backend | None = None
        self._desks: defaultdict[str, Desk] = defaultdict(Desk)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tables: dict[str, HearingTable] = {}
        self._is_closing = False

    async def hello(self) -> dict[str, Any]:
        """Return where this is; see `greeting`."""
        return greeting()

    async def start(self, name: str, options: Mapping[str, Any]) -> Description:
        """Load the model; see `create_backend`."""
        # Not in the event loop's thread: loading takes minutes, and `hello` is to be answered meanwhile.
        self._backend = await asyncio.to_thread(create_backend, name, **options)
        return Description(self._backend.fingerprint, self._backend.capabilities, dict(self._backend.decoding))

    async def tokenizer(self) -> Any:
        """Return the model's tokenizer."""
        return self._engine.tokenizer

    async def table(self) -> EmbeddingTable | None:
        """Return what the model reads of each token."""
        return await asyncio.to_thread(lambda: self._engine.table)

    async def submit(self, client: str, batch: Sequence[tuple[int, Request]]) -> None:
        """Take numbered requests; what is refused is an outcome like any other."""
        desk = self._desks[client]
        for number, request in batch:
            try:
                pending = self._engine.submit(await unpacked(request, self._tables))
            except Exception as error:
                _end(desk, number, portable(error))
                continue
            desk.pending[number] = pending
            task = asyncio.create_task(_serve(desk, number, pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def collect(self, client: str, had: Sequence[int]) -> list[tuple[int, Outcome]]:
        """Return what is finished as soon as anything is, and forget what the caller has had."""
        desk = self._desks[client]
        for number in had:
            desk.outcomes.pop(number, None)
        while not desk.outcomes and not self._is_closing:
            desk.grew.clear()
            await desk.grew.wait()
        return list(desk.outcomes.items())

    async def cancel(self, client: str, numbers: Sequence[int]) -> None:
        """End requests at their next step."""
        desk = self._desks[client]
        for number in numbers:
            if number in desk.pending:
                desk.pending[number].cancel()

    async def forget(self, client: str) -> None:
        """End what a client that is gone has asked for; return when nothing of it runs any more."""
        desk = self._desks[client]
        pending = list(desk.pending.values())
        for one in pending:
            one.cancel()
        await asyncio.gather(*(_ended(one) for one in pending))
        self._desks.pop(client, None)

    async def close(self) -> None:
        """End what is under way and free the model."""
        # Whoever still collects is sent home: Ray prints a page about a process that ends with a call under way.
        self._is_closing = True
        for desk in self._desks.values():
            desk.grew.set()
        if self._backend is not None:
            await self._backend.close()

    @property
    def _engine(self) -> Backend:
        assert self._backend is not None
        return self._backend


async def _serve(desk: Desk, number: int, pending: Pending) -> None:
    outcome: Outcome
    try:
        outcome = await pending
    except Exception as error:
        outcome = portable(error)
    _end(desk, number, outcome)


def _end(desk: Desk, number: int, outcome: Outcome) -> None:
    desk.pending.pop(number, None)
    if isinstance(outcome, Generation) and outcome.message.is_cipher:
        # Computed here, it travels with the message, and the driver need not hash megabytes.
        _ = outcome.message.digest
    desk.outcomes[number] = outcome
    desk.grew.set()


async def _ended(pending: Pending) -> None:
    with contextlib.suppress(Exception):
        await pending
