"""The client's connection, whose answers end: one that is longer than any answer is given up."""

from collections.abc import AsyncIterator
from typing import Any

import openai

from agents.backends.openai.chat import BrokenReply

# A streamed answer of 128,000 tokens has some 32 MB, a piece a token.
LARGEST_BODY = 1 << 26


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """An HTTP client that reads no answer of more than `LARGEST_BODY` bytes, counted after they were decompressed."""

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send a request; see httpx.

        Raises:
            BrokenReply: the answer is longer, here or where its pieces are read.
        """
        response = await super().send(request, stream=True, **options)
        pieces = response.aiter_bytes

        async def bounded(*arguments: Any) -> AsyncIterator[bytes]:
            count = 0
            async for piece in pieces(*arguments):
                count += len(piece)
                if count > LARGEST_BODY:
                    await response.aclose()
                    raise BrokenReply(f"the answer has more than {LARGEST_BODY:,} bytes, which none has")
                yield piece

        # Of this answer alone: reading it whole goes through here too.
        setattr(response, "aiter_bytes", bounded)  # noqa: B010
        if not stream:
            await response.aread()
        return response
