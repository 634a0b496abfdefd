"""What is shown of a message while it grows, and at its end: all that was said, thinking included, once. No engine is started."""

import asyncio
from types import SimpleNamespace

import pytest

from agents.backend import Load, Prompt, Request, Sampling
from agents.backends.vllm.backend import Spoken, VLLMBackend
from agents.backends.vllm.pending import VLLMPending
from agents.byte_tokens import ByteTokenizer
from agents.fingerprint import ModelFingerprint

REQUEST = Request(Prompt.of("?"), Sampling(max_tokens=99, stop=("END",)))


class Saying:
    """Stands for an engine that says tokens, some at a time."""

    def __init__(self, pieces):
        self.pieces = pieces

    async def generate(self, *_):
        for number, piece in enumerate(self.pieces, start=1):
            reason = "stop" if number == len(self.pieces) else None
            yield SimpleNamespace(
                num_cached_tokens=0, outputs=[SimpleNamespace(token_ids=list(piece.encode()), finish_reason=reason)]
            )
            await asyncio.sleep(0)


def backend_saying(pieces):
    """Return a backend over such an engine."""
    backend = object.__new__(VLLMBackend)
    backend._engine, backend.tokenizer, backend._stop_ids = Saying(pieces), ByteTokenizer(), frozenset()
    backend._fingerprint, backend.load, backend._pending = ModelFingerprint("m", "", "", 0, 0), Load(), set()
    return backend


@pytest.mark.parametrize(
    ("pieces", "thinking", "text"),
    [
        (("Answer", ": 5"), "", "Answer: 5"),
        (("<think>4? ", "no.</thi", "nk>\n\nAnswer: 5"), "<think>4? no.</think>\n\n", "Answer: 5"),
        (("<think>4?</think>", "Answer: 5 EN"), "<think>4?</think>", "Answer: 5 EN"),
        (("<think>4? and", " on"), "<think>4? and on", ""),
        (("Answer: 5 E", "ND and more"), "", "Answer: 5 "),
    ],
)
def test_pieces_are_all_that_was_said_and_the_message_keeps_thinking_apart(pieces, thinking, text):
    async def follow():
        backend = backend_saying(pieces)
        pending, spoken = VLLMPending(backend._engine), Spoken()
        pending.is_followed = True

        async def answer():
            await backend._listen(REQUEST, pending, spoken, None, None, "0", None)
            return await backend._generation(REQUEST, spoken, None, 1), spoken.shown

        async def shown():
            return "".join([piece async for piece in pending])

        told, _ = await asyncio.gather(shown(), backend._answer(pending, answer()))
        return told, (await pending).message

    shown, message = asyncio.run(follow())
    assert (message.thinking, message.text, shown) == (thinking, text, thinking + text)
