"""A scripted backend: deterministic, instant, without weights. It ships for tests, documentation and dry runs.

It speaks bytes: 256 tokens and an end token, with a small random table of its own, so that beliefs, encoders, messages
and fingerprints are all real. What it says is a rule over what it reads.
"""

import asyncio
import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence

import torch

from agents.backend import (
    Backend,
    Capabilities,
    Generation,
    Load,
    Pending,
    Request,
    TokenRead,
    Usage,
    likeliest,
    read_whole,
    refuse_decoding,
)
from agents.byte_tokens import END, ByteTokenizer
from agents.decoding.cipher_step import requested_encoder
from agents.decoding.thinking import thinking_tokens
from agents.errors import PromptTooLong, RequestError
from agents.fingerprint import ModelFingerprint, fingerprint
from agents.message import Cipher, Message
from agents.pretrained import Progress
from agents.rerender import rerender
from agents.tokenization import segments
from kernels import EmbeddingTable, nearest_token

SPACE = 32
Reply = Callable[[str, Request], str]


class MockBackend(Backend):
    """Replies by rule.

    Args:
        model: a name for the fingerprint.
        script: pattern → reply; the last pattern of the script that is found in what the agent reads answers.
        skill: without a script it answers arithmetic, rightly with this probability (drawn from question and seed).
        reply: a function of (what is read, request) instead of both; from Python only.
        seed: of its embedding table; two mocks of different seeds have different tables and one tokenizer.
        width: D.
        context: positions.
        dtype, max_num_seqs, progress: accepted as other backends do; the mock computes in float32, at once.
    """

    def __init__(
        self,
        model: str = "mock",
        *,
        script: Mapping[str, str] | None = None,
        skill: float = 0.7,
        reply: Reply | None = None,
        seed: int = 0,
        width: int = 16,
        context: int = 100_000,
        dtype: str = "float32",
        max_num_seqs: int = 16,
        progress: Progress = lambda _: None,
    ) -> None:
        self.tokenizer = ByteTokenizer()
        generator = torch.Generator().manual_seed(seed)
        self.table = self._table = EmbeddingTable(torch.randn(END + 1, width, generator=generator))
        self._fingerprint = fingerprint(model, self._table.weight, self.tokenizer)
        self._reply = reply or (scripted(script) if script else arithmetician(skill))
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self.load = Load()

    @property
    def capabilities(self) -> Capabilities:
        """Text and vectors, both ways."""
        return Capabilities(
            text=True, vectors_in=True, vectors_out=True, weighs=True, renders=True, context=self._context
        )

    @property
    def fingerprint(self) -> ModelFingerprint:
        """Of its own table and the byte tokenizer."""
        return self._fingerprint

    def submit(self, request: Request) -> Pending:
        """Queue a request; it is answered in the event loop's next turn."""
        refuse_decoding(request, "the mock")
        prompt = segments(request.prompt, self.tokenizer, self._fingerprint) if request.prompt.turns else []
        found = [list(request.tokens)] if request.tokens else prompt
        read, length = "", 0
        for segment in found:
            if isinstance(segment, Message):
                rerender(segment, self._table.weight, self._fingerprint)
                read += segment.text
                length += segment.num_tokens
            else:
                read += self.tokenizer.decode(segment)
                length += len(segment)
        room = 1 if request.tokens else request.sampling.max_tokens
        if length + room > self._context:
            raise PromptTooLong(length, room, self._context)
        if request.encoder is not None:
            requested_encoder(request.encoder)
        pending = Pending()
        self.load.prompt_tokens += length
        task = asyncio.get_running_loop().create_task(self._answer(request, read, length, pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return pending

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _answer(self, request: Request, read: str, length: int, pending: Pending) -> None:
        await asyncio.sleep(0)
        try:
            text = self._reply(read, request)
            if request.tokens:
                pending.finish(self._read(request, read, text))
                return
            if request.choices:
                pending.finish(self._weighed(request, text, length))
                return
            for stop in request.sampling.stop:
                text = text.split(stop)[0]
            ids = list(text.encode())[: request.sampling.max_tokens]
            finish = "length" if len(text.encode()) > request.sampling.max_tokens else "stop"
            message = self._message(request, ids)
        except Exception as error:  # a reply function's mistake must reach whoever waits
            pending.finish(error)
            return
        pending.push(message.text)
        self.load.generated_tokens += len(ids) + (finish == "stop")
        usage = Usage(prompt_tokens=length, cached_tokens=0, generated_tokens=len(ids) + (finish == "stop"))
        pending.finish(Generation(message, usage, "cancelled" if pending.is_cancelled else finish))  # type: ignore[arg-type]

    def _weighed(self, request: Request, text: str, length: int) -> Generation:
        """Return the choices weighed: those in whose last word the reply ends are likely, the others less."""
        said = text.rstrip(". ")
        likely = [math.log(0.7 if said.endswith(choice.split()[-1]) else 0.1) for choice in request.choices]
        best = likeliest(request.choices, likely)
        usage = Usage(length + sum(len(choice.encode()) for choice in request.choices), 0, 0)
        message = Message(best, self._fingerprint, request.sampling.temperature, tuple(best.encode()))
        return Generation(message, usage, "stop", tuple(likely))

    def _read(self, request: Request, read: str, text: str) -> Generation:
        """Return the tokens read: likely but for those of the last word, where the reply does not end in it; then a space."""
        words, said = read.split(), text.rstrip(". ")
        start = len(read.rstrip().encode()) - len(words[-1].encode()) if words else 0
        is_said = bool(words) and said.endswith(words[-1])
        after = []
        for place, token in enumerate((*request.tokens[1:], SPACE), start=1):
            is_likely = is_said or place < start or token == SPACE
            best = token if is_likely else (token + 1) % END
            after.append(TokenRead(token, math.log(0.7 if is_likely else 0.1), best, math.log(0.7)))
        found = read_whole(request.tokens, after)
        message = Message(self.tokenizer.decode([found[-1].token]), self._fingerprint, 0.0, (found[-1].token,))
        return Generation(message, Usage(len(request.tokens), 0, 1), "length", read=found)

    def _message(self, request: Request, ids: list[int]) -> Message:
        sampling = request.sampling
        if request.encoder is None:
            return self._said(ids, sampling.temperature)
        encoder = requested_encoder(request.encoder)
        logits = self._logits(ids)
        steps = torch.arange(len(ids))
        temperature, seeds = (torch.full((len(ids),), value) for value in (sampling.temperature, sampling.seed))
        top = min(sampling.top_beliefs, END + 1)
        said = encoder.encode(logits, self._table, temperature=temperature, seeds=seeds, steps=steps, top=top)
        rendered = {
            hearer.name: hearer.render(encoder, logits, temperature=temperature, seeds=seeds, steps=steps)
            for hearer in request.hearers
        }
        nearest = nearest_token(said.vectors, self._table).ids
        heard = tuple(int(i) for i in nearest)
        cipher = Cipher(
            said.vectors, nearest, said.entropy, said.max_probability, said.top_ids, said.top_probabilities, rendered
        )
        return self._said(heard, sampling.temperature, str(encoder), cipher)

    def _said(
        self, ids: Sequence[int], temperature: float, encoder: str | None = None, cipher: Cipher | None = None
    ) -> Message:
        thought = thinking_tokens(ids, self.tokenizer)
        text, thinking = (self.tokenizer.decode(list(part)) for part in (ids[thought:], ids[:thought]))
        return Message(text, self._fingerprint, temperature, tuple(ids), encoder, cipher, thinking, thought)

    def _logits(self, ids: list[int]) -> torch.Tensor:
        """Return beliefs [T, V] that prefer each byte, with some doubt about the bytes beside it."""
        logits = torch.full((len(ids), END + 1), -30.0)
        for step, byte in enumerate(ids):
            for doubt in range(-3, 4):
                logits[step, (byte + doubt) % 256] = 6.0 - 2.0 * abs(doubt)
        return logits


def scripted(script: Mapping[str, str]) -> Reply:
    """Return the reply rule of a script: pattern → reply, the last match wins."""
    rules = [(re.compile(pattern, re.DOTALL), reply) for pattern, reply in script.items()]

    def reply(read: str, request: Request) -> str:
        for pattern, answer in reversed(rules):
            if pattern.search(read):
                return answer
        raise RequestError(f"no pattern of the mock's script is in what it reads: …{read[-80:]!r}")

    return reply


def arithmetician(skill: float) -> Reply:
    """Return a rule that answers the last `a+b*c+d-e*f` it reads, rightly with probability `skill`."""
    expression = re.compile(r"(\d+)\+(\d+)\*(\d+)\+(\d+)-(\d+)\*(\d+)")

    def reply(read: str, request: Request) -> str:
        found = expression.findall(read)
        if not found:
            return f"I have no opinion on this. Answer: {len(read) % 10}"
        a, b, c, d, e, f = map(int, found[-1])
        draw = hashlib.sha256(f"{found[-1]}|{request.sampling.seed}".encode()).digest()[0] / 256
        answer = a + b * c + d - e * f + (0 if draw < skill else 1 + int(draw * 9))
        return f"{b}*{c}={b * c}, {e}*{f}={e * f}. Answer: {answer}"

    return reply
