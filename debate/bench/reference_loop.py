"""The decoding loop of CIPHER's published code (Pham et al., 2024; `models/agent.py` of its repository), to compare with.

All requests of an agent and a round make one static batch. The batch is as long as its longest prompt: the shortest prompts are
read at once, the rest of the longer ones a position a step, while the shorter ones decode. Every row decodes until the longest
prompt has `max_tokens` more; what lies behind an end token, or beyond `max_tokens`, is cut away afterwards, when every position's
vector has been compared with every row of the table by the Euclidean distance of unit vectors. Nothing of a prompt is kept.

Kinder than the published code in two things: only the last position's logits are made, and distances are taken for one row of the
batch at a time. It is written from what the published code does and shares none of its text.

B rows, P positions, V tokens, D embedding width.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.backend import Backend, Capabilities, Generation, Load, Pending, Request, Usage
from agents.backends.transformers.checkpoint import load_model
from agents.decoding.ending import stop_ids
from agents.errors import ConfigError, RequestError
from agents.fingerprint import ModelFingerprint, fingerprint
from agents.message import Cipher, Message
from agents.model_folder import read_config, read_tokenizer, weights_hash
from agents.pretrained import Progress, locate
from agents.tokenization import segments

# How long it decodes without a word of how far it is.
TELL_EVERY_S = 15.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Spent:
    """What the loop did.

    Attributes:
        batches, steps: static batches, and forward passes.
        rows: of all batches.
        prompt: positions of prompts.
        positions: that went through the model, of all rows.
        model_s, expectation_s, nearest_s: seconds in the model, in averages over the table, and in distances to it.
    """

    batches: int = 0
    steps: int = 0
    rows: int = 0
    prompt: int = 0
    positions: int = 0
    model_s: float = 0.0
    expectation_s: float = 0.0
    nearest_s: float = 0.0


class ReferenceLoop:
    """A model and the published loop around it, on the CPU.

    Args:
        model: a name or folder, as everywhere.
        dtype: of its weights.
        progress: called with a sentence where something takes time, and of how far a long batch is.
    """

    def __init__(self, model: str, dtype: str, progress: Progress) -> None:
        folder = locate(model, progress=progress)
        config = read_config(folder, name=model)
        self.config = config
        self.tokenizer: Any = read_tokenizer(folder, name=model)
        self.model: Any = load_model(
            folder, config, name=model, dtype=DTYPES[dtype], device=torch.device("cpu"), attention="sdpa"
        )
        self.table: Tensor = self.model.get_input_embeddings().weight.detach()
        self._unit = torch.nn.functional.normalize(self.table.float(), dim=-1)
        self.stop_ids = stop_ids(self.model.generation_config, self.model.config, self.tokenizer)
        self.fingerprint: ModelFingerprint = fingerprint(
            model, self.table, self.tokenizer, weights=weights_hash(folder, model)
        )
        self.spent = Spent()
        self._progress = progress

    @torch.inference_mode()
    def decode(self, prompts: Sequence[Tensor], temperature: float, max_tokens: int) -> Tensor:
        """Return prompts [P_i, D] and what follows them, [B, max P + max_tokens, D]; a message begins behind its prompt."""
        lengths = [len(prompt) for prompt in prompts]
        total, start = max(lengths) + max_tokens, min(lengths)
        everything = torch.zeros(len(prompts), total, prompts[0].shape[1], dtype=self.table.dtype)
        for row, prompt in enumerate(prompts):
            everything[row, : lengths[row]] = prompt
        current, before, cache = everything[:, :start], 0, None
        told = time.monotonic()
        for position in range(start, total):
            logits, cache = self._forward(current, before, cache)
            expected = self._expectation(logits, temperature)
            for row, length in enumerate(lengths):
                if position >= length:
                    everything[row, position] = expected[row]
            current, before = everything[:, position : position + 1], position
            if time.monotonic() - told >= TELL_EVERY_S:
                told = time.monotonic()
                self._progress(
                    f"the published code's loop: batch {self.spent.batches + 1}, step {position - start + 1} of {total - start}"
                )
        self.spent.batches += 1
        self.spent.rows += len(prompts)
        self.spent.prompt += sum(lengths)
        self.spent.positions += len(prompts) * (total - 1)
        return everything

    @torch.inference_mode()
    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the row of the table that is nearest to each of a sequence's vectors [P, D], [P] int64."""
        begun = time.perf_counter()
        unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
        found = torch.cdist(unit, self._unit).argmin(dim=-1)
        self.spent.nearest_s += time.perf_counter() - begun
        return found

    def embedded(self, request: Request) -> Tensor:
        """Return a request's prompt as vectors [P, D]."""
        found = []
        for segment in segments(request.prompt, self.tokenizer, self.fingerprint):
            if isinstance(segment, Message):
                if segment.cipher is None:
                    raise RequestError("the reference loop hears vectors and text, and this message has neither")
                found.append(segment.cipher.vectors.to(self.table.dtype))
            else:
                found.append(self.table[torch.tensor(segment, dtype=torch.int64)])
        return torch.cat(found)

    def say(self, requests: Sequence[Request]) -> list[Generation]:
        """Answer the requests of one agent and round as one batch.

        Raises:
            RequestError: they differ in temperature or length, or one is not for the expectation.
        """
        sampling = requests[0].sampling
        for request in requests:
            if (request.sampling.temperature, request.sampling.max_tokens) != (
                sampling.temperature,
                sampling.max_tokens,
            ):
                raise RequestError("a static batch has one temperature and one length")
            if request.encoder != "expectation":
                raise RequestError(
                    f"the published loop says expectations; the request asks for {request.encoder or 'text'}"
                )
        prompts = [self.embedded(request) for request in requests]
        everything = self.decode(prompts, sampling.temperature, sampling.max_tokens)
        return [
            self._generation(prompt, row, sampling.temperature, sampling.max_tokens)
            for prompt, row in zip(prompts, everything, strict=True)
        ]

    def _generation(self, prompt: Tensor, row: Tensor, temperature: float, max_tokens: int) -> Generation:
        ids = self.nearest(row)[len(prompt) : len(prompt) + max_tokens].tolist()
        kept = next((place for place, token in enumerate(ids) if token in self.stop_ids), len(ids))
        vectors = row[len(prompt) : len(prompt) + kept].clone()
        # What it does not say of its beliefs is left blank.
        blank = torch.zeros(kept)
        nearest = torch.tensor(ids[:kept], dtype=torch.int64)
        cipher = Cipher(vectors, nearest, blank, blank, torch.zeros(kept, 0, dtype=torch.int64), torch.zeros(kept, 0))
        message = Message(
            text=self.tokenizer.decode(ids[:kept]),
            model=self.fingerprint,
            temperature=temperature,
            token_ids=tuple(ids[:kept]),
            encoder="expectation",
            cipher=cipher,
        )
        return Generation(
            message, Usage(len(prompt), 0, len(row) - len(prompt)), "stop" if kept < len(ids) else "length"
        )

    def _forward(self, vectors: Tensor, before: int, cache: Any) -> tuple[Tensor, Any]:
        begun = time.perf_counter()
        places = torch.arange(before, before + vectors.shape[1])[None]
        outputs = self.model(
            inputs_embeds=vectors, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        self.spent.model_s += time.perf_counter() - begun
        self.spent.steps += 1
        return outputs.logits[:, -1], outputs.past_key_values

    def _expectation(self, logits: Tensor, temperature: float) -> Tensor:
        begun = time.perf_counter()
        # At temperature 0 the published code takes the belief at 1.
        probabilities = torch.softmax(logits.float() / (temperature or 1.0), dim=-1)
        found = probabilities.to(self.table.dtype) @ self.table
        self.spent.expectation_s += time.perf_counter() - begun
        return found


class StaticBatches(Backend):
    """One agent's engine: waits until all debates have asked for its turn of a round, and answers them in one batch.

    Args:
        loop: shared by the agents, which take turns.
        size: debates.
        turns: lets one batch run at a time.
    """

    def __init__(self, loop: ReferenceLoop, size: int, turns: asyncio.Lock) -> None:
        self._loop, self._size, self._turns = loop, size, turns
        self._waiting: list[tuple[Request, Pending]] = []
        self._batches: set[asyncio.Task[None]] = set()
        self.load = Load()
        self.tokenizer = loop.tokenizer

    @property
    def capabilities(self) -> Capabilities:
        """Vectors, both ways."""
        return Capabilities(text=False, vectors_in=True, vectors_out=True)

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The loop's model."""
        return self._loop.fingerprint

    def submit(self, request: Request) -> Pending:
        """Have a request wait for the others of its batch."""
        pending = Pending()
        self._waiting.append((request, pending))
        if len(self._waiting) == self._size:
            batch, self._waiting = self._waiting, []
            task = asyncio.ensure_future(self._answer(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
        return pending

    async def close(self) -> None:
        """End what waits."""
        for _, pending in self._waiting:
            pending.finish(ConfigError("the batch was never full"))
        self._waiting = []

    async def _answer(self, batch: Sequence[tuple[Request, Pending]]) -> None:
        async with self._turns:
            try:
                said = await asyncio.to_thread(self._loop.say, [request for request, _ in batch])
            except Exception as error:  # whoever waits must learn of it
                for _, pending in batch:
                    pending.finish(error)
                return
        for (_, pending), generation in zip(batch, said, strict=True):
            pending.finish(generation)
