"""A prompt whose tokens are read for somebody who goes away."""

import asyncio

import pytest

from agents.backends.vllm.pending import VLLMPending

pytest.importorskip("vllm")

from agents.backends.vllm.prompt import tokens_read


class Waiting:
    """An engine that never comes to a request."""

    def __init__(self):
        self.asked, self.given_up = asyncio.Event(), False

    def soon(self, event):
        event.set()

    async def generate(self, *_):
        self.asked.set()
        try:
            await asyncio.Event().wait()
            yield None
        finally:
            self.given_up = True


def test_it_ends_without_what_was_read_and_the_engine_is_told():
    async def read():
        engine = Waiting()
        pending = VLLMPending(engine)
        reading = asyncio.ensure_future(tokens_read(engine, [1, 2], pending, adapter=None, number="0"))
        await engine.asked.wait()
        pending.cancel()
        return await asyncio.wait_for(reading, 10), engine.given_up

    assert asyncio.run(read()) == ((), True)
