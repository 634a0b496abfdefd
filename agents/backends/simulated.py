"""An engine's time without a model: requests take as long as rates and a batch limit say. For measuring what is around it.

The model of time is that of a decoding GPU below its compute limit: up to `max_num_seqs` sequences run, each at its own
rate whatever the others do; prompts are read one after the other; who finds no place waits in order.
"""

import asyncio
import hashlib
import json
import os
import time
from collections import deque
from pathlib import Path

from agents.backend import Backend, Capabilities, Generation, Load, Pending, Request, Usage, refuse_decoding
from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.pretrained import Progress

FILLING, OTHERS = "so ", 4


def tokens_of(text: str) -> int:
    """Return how many tokens an answer of the simulated engine is counted as."""
    return OTHERS + text.count(FILLING.strip())


class SimulatedBackend(Backend):
    """Answers `Answer: N` and filling, of a length drawn from the request's seed.

    Args:
        model: a name for the fingerprint.
        prefill_tokens_per_s: of the engine; 0 reads prompts at once.
        decode_tokens_per_s: of each sequence; 0 writes answers at once.
        max_num_seqs: sequences at once.
        shortest, longest: tokens of an answer, drawn evenly between them; cut at the request's max_tokens.
        report: a folder into which it writes, when closed, how busy it was.
        dtype, progress: accepted as other backends do.
    """

    def __init__(
        self,
        model: str = "simulated",
        *,
        prefill_tokens_per_s: float = 0.0,
        decode_tokens_per_s: float = 0.0,
        max_num_seqs: int = 64,
        shortest: int = 32,
        longest: int = 32,
        report: str | None = None,
        dtype: str = "float32",
        progress: Progress = lambda _: None,
    ) -> None:
        if not 1 <= shortest <= longest:
            raise ConfigError(
                f"answers of {shortest} to {longest} tokens are impossible; need 1 <= shortest <= longest"
            )
        self._prefill, self._decode, self._places = prefill_tokens_per_s, decode_tokens_per_s, max_num_seqs
        self._lengths, self._report = (shortest, longest), report
        self._fingerprint = ModelFingerprint(model, "", hashlib.sha256(b"simulated").hexdigest(), 1, 0)
        self._waiting: deque[tuple[Request, Pending]] = deque()
        self._running = 0
        self._prompts_read_at = 0.0
        self.busy = Busy()
        self.load = Load()

    @property
    def capabilities(self) -> Capabilities:
        """Text."""
        return Capabilities(text=True)

    @property
    def fingerprint(self) -> ModelFingerprint:
        """A name, and a tokenizer that nothing else has."""
        return self._fingerprint

    def submit(self, request: Request) -> Pending:
        """Queue a request."""
        refuse_decoding(request, "the simulated engine")
        pending = Pending()
        self._waiting.append((request, pending))
        asyncio.get_running_loop().call_soon(self._admit)
        return pending

    async def close(self) -> None:
        """Write the report."""
        if self._report is not None:
            path = Path(self._report)
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{os.getpid()}-{id(self)}.json").write_text(json.dumps(self.busy.figures(self._places)))

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._running < self._places:
            request, pending = self._waiting.popleft()
            self.busy.change(self._running, self._running + 1)
            self._running += 1
            sampling = request.sampling
            prompt = request.expected_tokens - sampling.max_tokens
            low, high = self._lengths
            tokens = min(sampling.max_tokens, low + sampling.seed % (high - low + 1))
            read = prompt / self._prefill if self._prefill else 0.0
            written = tokens / self._decode if self._decode else 0.0
            self._prompts_read_at = max(self._prompts_read_at, loop.time()) + read
            self.load.prompt_tokens += prompt
            if read or written:
                loop.call_at(self._prompts_read_at + written, self._finish, request, pending, prompt, tokens)
            else:
                loop.call_soon(self._finish, request, pending, prompt, tokens)

    def _finish(self, request: Request, pending: Pending, prompt: int, tokens: int) -> None:
        self.busy.change(self._running, self._running - 1)
        self._running -= 1
        self.load.generated_tokens += tokens
        text = f"Answer: {request.sampling.seed % 100}. " + FILLING * max(0, tokens - OTHERS)
        message = Message(text, self._fingerprint, request.sampling.temperature)
        pending.finish(Generation(message, Usage(prompt, 0, tokens), "stop"))
        self._admit()


class Busy:
    """How long how many sequences ran, between the first request and the last answer."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._sequence_s = self._none_s = 0.0

    def change(self, before: int, after: int) -> None:
        """Note that the number of running sequences changes now."""
        now = time.perf_counter()
        if self._first is None:
            self._first = now
        else:
            self._sequence_s += before * (now - self._last)
            self._none_s += 0.0 if before else now - self._last
        self._last = now

    def figures(self, places: int) -> dict[str, float]:
        """Return the share of time with nothing running, the share of places that were empty, and the seconds in all."""
        whole = self._last - (self._first or self._last)
        if not whole:
            return {"seconds": 0.0, "idle": 0.0, "empty": 0.0}
        return {"seconds": whole, "idle": self._none_s / whole, "empty": 1 - self._sequence_s / (whole * places)}
