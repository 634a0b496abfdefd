"""A request whose engine lives on another event loop than whoever waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from agents.backend import Generation, Pending
from agents.backends.vllm.engine import Engine


class VLLMPending(Pending):
    """A request under way whose engine lives on another loop."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.cancelled = asyncio.Event()
        self._engine = engine

    def cancel(self) -> None:
        """See Pending."""
        super().cancel()
        self._engine.soon(self.cancelled)

    async def while_wanted(self, outputs: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Yield what the engine says, on its loop, until that has ended or nobody waits for it any more; then it is given up."""
        stop = asyncio.ensure_future(self.cancelled.wait())
        try:
            while not self.is_cancelled:
                following = asyncio.ensure_future(anext(outputs, None))
                await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    return
                if (output := following.result()) is None:
                    return
                yield output
        finally:
            stop.cancel()
            await outputs.aclose()  # type: ignore[attr-defined]

    def tell(self, outcome: Generation | BaseException) -> None:
        """Finish, from the engine's loop. A caller whose loop has ended has nobody to tell."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.finish, outcome)

    def show(self, piece: str) -> None:
        """Push a piece of text, from the engine's loop."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.push, piece)
