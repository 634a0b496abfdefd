"""Several engines of one model behind one name: each turn goes to the least busy, if its debate's own is not free enough.

Load is counted in outstanding tokens. Turns of one debate share a prompt prefix, which the engine that said its last turn
still holds, so that engine is preferred as long as it is not much busier than the least busy one.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.backend import Backend, Capabilities, Load, Pending, Request
from agents.errors import BackendFailed, DebateError
from agents.fingerprint import ModelFingerprint
from agents.supervision.supervised import Supervised

if TYPE_CHECKING:
    from kernels import EmbeddingTable

# A debate leaves its engine when that has so many tokens more to do than a quarter above the least busy one: about what
# computing a long prompt again costs.
AFFINITY_TOKENS = 1024
AFFINITY_SHARE = 1.25
# Debates whose engine is remembered; more than are ever in flight.
HOMES = 65_536
RETRY_EVERY_S = 1.0


class Replicas(Backend):
    """Equal engines that share the turns of one model.

    Args:
        name: name in errors.
        engines: at least one; all of one model.
        patience_s: seconds to wait for an engine when none is left, before the run ends.

    Raises:
        BackendFailed: the engines are not of one model.
    """

    def __init__(self, name: str, engines: Sequence[Supervised], *, patience_s: float = 300.0) -> None:
        self.name, self.engines, self._patience_s = name, list(engines), patience_s
        first = self.engines[0].fingerprint
        for engine in self.engines[1:]:
            if engine.fingerprint != first:
                raise BackendFailed(f"{engine.name} is {engine.fingerprint}, and {self.engines[0].name} is {first}")
        self._fingerprint, self._capabilities = first, self.engines[0].capabilities
        self._homes: OrderedDict[str, Supervised] = OrderedDict()
        self._mending: dict[Supervised, asyncio.Task[None]] = {}
        self._why = ""
        self._lost: BackendFailed | None = None

    @property
    def tokenizer(self) -> Any:
        """The model's."""
        return self.engines[0].tokenizer

    @property
    def table(self) -> "EmbeddingTable | None":  # type: ignore[override]
        """The model's."""
        return self.engines[0].table

    @property
    def load(self) -> Load:  # type: ignore[override]
        """Totals of all engines that run now."""
        loads = [vars(engine.load) for engine in self.engines]
        return Load(**{name: sum(load[name] for load in loads) for name in loads[0]})

    @property
    def capabilities(self) -> Capabilities:
        """Of each engine."""
        return self._capabilities

    @property
    def fingerprint(self) -> ModelFingerprint:
        """Of each engine."""
        return self._fingerprint

    @property
    def decoding(self) -> Mapping[str, Any]:
        """Of each engine."""
        return self.engines[0].decoding

    def submit(self, request: Request) -> Pending:
        """Queue a request that belongs to no debate with the least busy engine."""
        return min(self.engines, key=_busy).submit(request)

    async def engine_for(self, debate: str) -> Supervised:
        """Return the engine for the next turn of a debate; wait for one where none is left.

        Raises:
            BackendFailed: none came back in time; the message says why.
        """
        if self._lost is not None:
            raise self._lost
        ready = [engine for engine in self.engines if engine.is_ready]
        if not ready:
            ready = await self._one_is_ready()
        least = min(ready, key=_busy)
        home = self._homes.get(debate)
        if home is None or not home.is_ready or _busy(home) > AFFINITY_SHARE * _busy(least) + AFFINITY_TOKENS:
            home = least
        self._homes[debate] = home
        self._homes.move_to_end(debate)
        if len(self._homes) > HOMES:
            self._homes.popitem(last=False)
        return home

    async def mend(self, engine: Supervised, seen: int) -> None:
        """Begin to start an engine again, and again until it is there; the others go on meanwhile."""
        if self._lost is not None:
            raise self._lost
        if engine.starts != seen:
            return
        if engine not in self._mending:
            engine.is_ready = False
            self._mending[engine] = asyncio.create_task(self._restart(engine, seen))

    def give_up(self, error: BackendFailed) -> None:
        """Fail what is under way and whatever is still asked for: no engine comes back."""
        self._lost = error
        for task in self._mending.values():
            task.cancel()
        for engine in self.engines:
            engine.fail(error)

    async def close(self) -> None:
        """Close every engine."""
        for task in self._mending.values():
            task.cancel()
        await asyncio.gather(*self._mending.values(), return_exceptions=True)
        await asyncio.gather(*(engine.close() for engine in self.engines))

    async def _restart(self, engine: Supervised, seen: int) -> None:
        try:
            while True:
                try:
                    await engine.replace(seen)
                    break
                except DebateError as error:
                    # Its node may come back.
                    self._why = str(error)
                    await asyncio.sleep(RETRY_EVERY_S)
            engine.is_ready = True
        finally:
            del self._mending[engine]

    async def _one_is_ready(self) -> list[Supervised]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while not any(engine.is_ready for engine in self.engines):
                    ended, _ = await asyncio.wait(list(self._mending.values()), return_when=asyncio.FIRST_COMPLETED)
                    if self._lost is not None:
                        raise self._lost
                    for task in ended:
                        task.result()
        ready = [engine for engine in self.engines if engine.is_ready]
        if not ready:
            raise BackendFailed(
                f"no engine of {self.name} is left, and none could be started within {self._patience_s:g} s "
                f"(execution.node_patience_s): {self._why or 'it is still starting'}. What was said is kept: the same command "
                "continues the run."
            )
        return ready


def _busy(engine: Supervised) -> float:
    return engine.outstanding_tokens + engine.gate.num_waiting
