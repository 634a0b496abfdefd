"""A model's engines as a runner has them: lent by the driver, which starts and mends them, and withdrawn by it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from agents.supervision.replicas import Replicas
from agents.supervision.supervised import Supervised
from debate.runtime.ray.actor import Description
from debate.runtime.ray.remote import RemoteEngine
from debate.runtime.ray.wire import Shelf


@dataclass(frozen=True)
class Model:
    """Engines that a runner may be lent.

    Attributes:
        name: name of the model, for errors.
        engines: their names.
        description: description of each engine.
        outstanding: maximum number of this runner's turns at each engine.
    """

    name: str
    engines: tuple[str, ...]
    description: Description
    outstanding: int


@dataclass(frozen=True)
class Lease:
    """An engine that may be used from now on.

    Attributes:
        model: its place among the models.
        engine: its place among those of the model.
        starts: number of starts.
        actor, node: its location.
    """

    model: int
    engine: int
    starts: int
    actor: Any
    node: str


# Of this process, by the places that the driver knows them by: what agents of a debate that arrives speak through.
BORROWED: list["Borrowed"] = []


def borrowed(model: int) -> "Borrowed":
    """Return the engines of a model, as this process has them."""
    return BORROWED[model]


class Borrowed(Replicas):
    """Engines that somebody else mends: one that fails is not used again until it is lent anew.

    Args:
        model: model of the engines.
        client: name of this process to the engines.
        shelf: the messages that this process has put into the object store.
    """

    def __init__(self, model: Model, client: str, shelf: Shelf) -> None:
        self._model, self._client, self._shelf = model, client, shelf
        self._came = asyncio.Event()

        def unlent(name: str) -> Supervised:
            def nothing() -> RemoteEngine:
                return RemoteEngine(name, None, model.description, shelf, client=client, node="")

            return Supervised(name, nothing, outstanding=model.outstanding)

        engines = [unlent(name) for name in model.engines]
        for engine in engines:
            engine.is_ready = False
        super().__init__(model.name, engines)

    def lend(self, lease: Lease) -> None:
        """Use an engine from now on."""
        engine = self.engines[lease.engine]
        if engine.starts != lease.starts or not isinstance(engine.inner, RemoteEngine) or engine.inner.actor is None:
            engine.inner = RemoteEngine(
                engine.name, lease.actor, self._model.description, self._shelf, client=self._client, node=lease.node
            )
            engine.starts = lease.starts
        engine.is_ready = True
        self._came.set()

    async def withdraw(self, engine: int, starts: int) -> None:
        """Use an engine no longer; return when nothing is with it."""
        withdrawn = self.engines[engine]
        if withdrawn.starts == starts:
            withdrawn.is_ready = False
            await withdrawn.gate.emptied()

    async def mend(self, engine: Supervised, seen: int) -> None:
        """Use it no longer."""
        if engine.starts == seen:
            engine.is_ready = False

    async def _one_is_ready(self) -> list[Supervised]:
        # How long to wait is the driver's to say: it knows why none is there.
        while not (ready := [engine for engine in self.engines if engine.is_ready]):
            self._came.clear()
            await self._came.wait()
        return ready
