"""Long texts are read in threads, so that whoever asks beside them is answered, and refused where an agent cannot hold them.

A tokenizer takes seconds over a megabyte, and an engine asks it in the event loop. So what is longer than a few milliseconds'
worth is tokenised beside the loop first, and reaches an engine only if the model's context holds it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agents.backend import Backend, Prompt
from agents.errors import PromptTooLong
from agents.message import Message
from agents.speakers.agent import Agent
from agents.tokenization import segments
from agents.tokenizers import tokenizer_of
from debate.serving.models import Plan

T = TypeVar("T")

# Characters, or bytes of a body: tokenised in some ten milliseconds.
LONG = 16_384
THREADS = 2


class LongTexts:
    """A few threads for all long texts of a server."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="long-texts")

    async def read(self, length: int, work: Callable[[], T]) -> T:
        """Return what work over a text comes to, done in a thread where the text is long.

        Args:
            length: of the text.
            work: touches nothing of the event loop's.
        """
        if length < LONG:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def check(self, plan: Plan, question: str) -> None:
        """Raise PromptTooLong where a long question has more tokens than an agent that reads it can hold.

        It is the refusal of the agent's engine, which asks for the same prompt in its first turn.
        """
        if len(question) + len(plan.instructions) < LONG:
            return
        first = {key.agent: key.round for key in plan.debate.protocol.opening()}
        for agent in plan.debate.agents.values():
            if not isinstance(agent, Agent):
                continue
            room = agent.sampling.max_tokens
            try:
                prompt = await self.read(LONG, lambda agent=agent: agent.prompt(question, None, ()))  # type: ignore[misc]
                await self.check_prompt(agent.backend, prompt, room)
            except PromptTooLong as error:
                raise PromptTooLong(
                    error.prompt_tokens, room, error.context, agent=agent.name, round=first.get(agent.name)
                ) from error

    async def check_prompt(self, backend: Backend, prompt: Prompt, room: int) -> None:
        """Raise PromptTooLong where a long prompt has more tokens than a model's context.

        Args:
            backend: of the model.
            prompt: what it is to read.
            room: positions asked for the answer.
        """
        context, tokenizer = backend.capabilities.context, tokenizer_of(backend)
        texts = [part for turn in prompt.turns for part in turn.parts if isinstance(part, str)]
        if context is None or tokenizer is None or sum(map(len, texts)) < LONG:
            return

        def count() -> int:
            found = segments(prompt, tokenizer, backend.fingerprint)
            return sum(one.num_tokens if isinstance(one, Message) else len(one) for one in found)

        if (tokens := await self.read(LONG, count)) + room > context:
            raise PromptTooLong(tokens, room, context)

    def close(self) -> None:
        """Begin nothing any more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
