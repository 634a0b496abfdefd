"""A backend whose engine is an actor: requests leave in batches, outcomes come back in batches."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, ObjectStoreFullError, RayActorError, RayError

from agents.backend import Backend, Capabilities, Generation, Load, Pending, Request
from agents.errors import BackendFailed, DebateError, EngineLost, OutOfMemory, first_line, portable
from agents.fingerprint import ModelFingerprint
from debate.runtime.ray.actor import Description
from debate.runtime.ray.placement import nodes
from debate.runtime.ray.wire import Outcome, Shelf
from kernels import EmbeddingTable

# Turns of the event loop for which requests are gathered: turns that answer to one batch of outcomes leave as one batch.
GATHERING_TURNS = 8
CLOSING_PATIENCE_S = 3.0
# How Ray says it of an actor.
NODE_DIED = "node has died"


class RemoteEngine(Backend):
    """One end of an engine actor: the driver's, or a runner's.

    Args:
        name: name in errors.
        actor: its handle.
        description: description that it gave when it had started.
        shelf: the messages that are in the object store.
        client: by which name the engine knows this end; several processes may speak with one engine.
        node: node of the actor.
        release: gives back what was reserved for it.
    """

    def __init__(
        self,
        name: str,
        actor: Any,
        description: Description,
        shelf: Shelf,
        *,
        client: str,
        node: str,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.actor, self.description, self.node = name, actor, description, node
        self._shelf, self._client, self._release = shelf, client, release
        self.load = Load()
        self._pending: dict[int, Pending] = {}
        self._outbox: list[tuple[int, Request]] = []
        self._had: list[int] = []
        self._next = 0
        self._dead: BackendFailed | None = None
        self._sender: asyncio.Task[None] | None = None
        self._collector: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._tokenizer: Any = None

    @property
    def tokenizer(self) -> Any:
        """The model's, fetched when it is first asked for."""
        if self._tokenizer is None:
            try:
                self._tokenizer = ray.get(self.actor.tokenizer.remote())
            except RayError as error:
                raise self._failure(error) from portable(error)
        return self._tokenizer

    @cached_property
    def table(self) -> EmbeddingTable | None:  # type: ignore[override]
        """What the model reads of each token, fetched when somebody with another table is heard."""
        try:
            found: EmbeddingTable | None = ray.get(self.actor.table.remote())
        except RayError as error:
            raise self._failure(error) from portable(error)
        return found

    @property
    def capabilities(self) -> Capabilities:
        """The engine's."""
        return self.description.capabilities

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The model's."""
        return self.description.fingerprint

    @property
    def decoding(self) -> Mapping[str, Any]:
        """The engine's."""
        return self.description.decoding

    def submit(self, request: Request) -> Pending:
        """Queue a request; what the engine refuses is raised where it is awaited."""
        if self._dead is not None:
            raise self._dead
        try:
            packed = self._shelf.packed(request)
        except ObjectStoreFullError as error:
            raise OutOfMemory(f"{self.name}: the object store is full") from portable(error)
        number, self._next = self._next, self._next + 1
        pending = _RemotePending(lambda: self._cancel(number))
        self._pending[number] = pending
        self._outbox.append((number, packed))
        self.load.running += 1
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())
        if self._collector is None or self._collector.done():
            self._collector = asyncio.get_running_loop().create_task(self._collect())
        return pending

    async def close(self) -> None:
        """End the engine's process, and give back what it held."""
        was_dead = self._dead is not None
        self._die(BackendFailed(f"{self.name} was closed"))
        for task in (self._sender, self._collector, *self._calls):
            if task is not None:
                task.cancel()
        try:
            if not was_dead:
                async with asyncio.timeout(CLOSING_PATIENCE_S):
                    await self.actor.close.remote()
        except (RayError, TimeoutError):
            # Dead or hung; it is ended all the same.
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the engine's process at once."""
        ray.kill(self.actor, no_restart=True)
        self._release()

    async def _send(self) -> None:
        for _ in range(GATHERING_TURNS):
            await asyncio.sleep(0)
        batch, self._outbox = self._outbox, []
        try:
            self._call(self.actor.submit.remote(self._client, batch))
        except RayError as error:
            self._die(self._failure(error))

    async def _collect(self) -> None:
        while self._pending:
            had, self._had = self._had, []
            try:
                outcomes = await self.actor.collect.remote(self._client, had)
            except Exception as error:
                # Ray's own, or an outcome that cannot be read here: either way nobody else will end what waits.
                self._die(self._failure(error))
                return
            for number, outcome in outcomes:
                self._had.append(number)
                self._end(number, outcome)
            # So that turns that answer to these are under way before it is asked for more.
            await asyncio.sleep(0)

    def _call(self, ref: Any) -> None:
        """Watch a call whose answer is of no interest, and whose failure is the engine's."""

        async def watch() -> None:
            try:
                await ref
            except RayError as error:
                self._die(self._failure(error))

        task = asyncio.get_running_loop().create_task(watch())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _cancel(self, number: int) -> None:
        if self._dead is None and number in self._pending:
            self._call(self.actor.cancel.remote(self._client, [number]))

    def _end(self, number: int, outcome: Outcome) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        self.load.running -= 1
        if isinstance(outcome, Generation):
            self.load.prompt_tokens += outcome.usage.prompt_tokens
            self.load.generated_tokens += outcome.usage.generated_tokens
        pending.finish(outcome)

    def _die(self, failure: BackendFailed) -> None:
        if self._dead is None:
            self._dead = failure
        for number in list(self._pending):
            self._end(number, self._dead)

    def _failure(self, error: Exception) -> BackendFailed:
        is_lost = NODE_DIED in str(error) or not any(node.id == self.node for node in nodes())
        kind: type[BackendFailed] = EngineLost if is_lost else BackendFailed
        failure = kind(f"{self.name}: {reason(error)}")
        failure.__cause__ = portable(error)
        return failure


class _RemotePending(Pending):
    def __init__(self, cancel: Callable[[], None]) -> None:
        super().__init__()
        self._tell = cancel

    def cancel(self) -> None:
        """End the request at the engine's next step."""
        super().cancel()
        self._tell()


def reason(error: Exception) -> str:
    """Return one sentence for an error, of which Ray's own texts are pages."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, DebateError):
        return str(cause)
    if isinstance(error, ActorUnavailableError):
        return "its process does not answer"
    if isinstance(error, RayActorError):
        return "its node went away" if NODE_DIED in str(error) else "its process died"
    if isinstance(error, GetTimeoutError):
        return "it did not answer in time"
    return " ".join(first_line(error).split())
