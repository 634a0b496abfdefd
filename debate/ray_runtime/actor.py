"""An engine in a process of its own: takes requests in batches, and hands over what is finished."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from agents.backend import Backend, Capabilities, Generation, Pending, Request
from agents.errors import portable
from agents.fingerprint import ModelFingerprint
from agents.installed import DECISIVE, versions
from agents.registry import create_backend
from debate.ray_runtime.wire import Outcome, register, unpacked


@dataclass(frozen=True)
class Description:
    """What an engine is once it has started."""

    fingerprint: ModelFingerprint
    capabilities: Capabilities


def packages() -> dict[str, str]:
    """Return the versions of what decides what an engine says, as they are in this process; they must agree on all nodes."""
    return dict.fromkeys(DECISIVE, "missing") | versions(DECISIVE)


class EngineActor:
    """Holds a backend; every method runs in the actor's event loop.

    An outcome is kept until whoever collects says that it has it, so that none is lost with an interrupted call.
    """

    def __init__(self) -> None:
        register()
        self._backend: Backend | None = None
        self._pending: dict[int, Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: dict[int, Outcome] = {}
        self._grew = asyncio.Event()
        self._is_closing = False

    async def hello(self) -> dict[str, Any]:
        """Return where this is, and the versions of its packages."""
        node = ray.get_runtime_context().get_node_id()
        return {"pid": os.getpid(), "node": node, "address": ray.util.get_node_ip_address(), "packages": packages()}

    async def start(self, name: str, options: Mapping[str, Any]) -> Description:
        """Load the model; see `create_backend`."""
        # Not in the event loop's thread: loading takes minutes, and `hello` is to be answered meanwhile.
        self._backend = await asyncio.to_thread(create_backend, name, **options)
        return Description(self._backend.fingerprint, self._backend.capabilities)

    async def tokenizer(self) -> Any:
        """Return the model's tokenizer."""
        return self._engine.tokenizer

    async def submit(self, batch: Sequence[tuple[int, Request]]) -> None:
        """Take numbered requests; what is refused is an outcome like any other."""
        for number, request in batch:
            try:
                pending = self._engine.submit(await unpacked(request))
            except Exception as error:
                self._end(number, portable(error))
                continue
            self._pending[number] = pending
            task = asyncio.create_task(self._serve(number, pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def collect(self, had: Sequence[int]) -> list[tuple[int, Outcome]]:
        """Return what is finished as soon as anything is, and forget what the caller has had."""
        for number in had:
            self._outcomes.pop(number, None)
        while not self._outcomes and not self._is_closing:
            self._grew.clear()
            await self._grew.wait()
        return list(self._outcomes.items())

    async def cancel(self, numbers: Sequence[int]) -> None:
        """End requests at their next step."""
        for number in numbers:
            if number in self._pending:
                self._pending[number].cancel()

    async def close(self) -> None:
        """End what is under way and free the model."""
        # Whoever still collects is sent home: Ray prints a page about a process that ends with a call under way.
        self._is_closing = True
        self._grew.set()
        if self._backend is not None:
            await self._backend.close()

    @property
    def _engine(self) -> Backend:
        assert self._backend is not None
        return self._backend

    async def _serve(self, number: int, pending: Pending) -> None:
        outcome: Outcome
        try:
            outcome = await pending
        except Exception as error:
            outcome = portable(error)
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        self._pending.pop(number, None)
        if isinstance(outcome, Generation) and outcome.message.is_cipher:
            # Computed here, it travels with the message, and the driver need not hash megabytes.
            _ = outcome.message.digest
        self._outcomes[number] = outcome
        self._grew.set()
