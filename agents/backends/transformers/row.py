"""One request inside the engine: what it reads, what it has said, when it ends."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from agents.backend import FinishReason, Generation, Request, TokenRead, Usage, likeliest, read_whole
from agents.backends.transformers.heard import HeardVectors
from agents.decoding.acbs import ConditionalBeam
from agents.decoding.ending import kept_before_stop, text_to_show
from agents.decoding.future_blocks import FutureBlocks
from agents.decoding.thinking import thinking_tokens
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.tokenization import Key
from kernels.encoders import Encoder


@dataclass(eq=False)
class Row:
    """A request and its state.

    Attributes:
        request: what was asked.
        encoder: None for text.
        keys: of each prompt position.
        prompt: [P, D], the prompt's input embeddings; dropped after prefill.
        heard: vectors of the prompt that are adapted before it is read; None of other requests.
        beam: what its text is searched for by; None of rows that are generated step by step.
        blocks: what its message is said by; None, likewise.
        choices: the tokens of each choice, of a request that weighs them.
        read: what stands behind each token, of a request that has its tokens read.
        closing: the tag that ends its thinking, where its prompt opened one.
        slot: its place in the cache; -1 while it waits.
        cached: prompt positions taken from another row's cache.
        ids: sampled or nearest tokens so far.
        vectors: per step [D], for CIPHER; so are `entropy`, `max_probability`, `top_ids` [K], `top_probabilities` [K].
        rendered: `HearingTable.name` → per step [D'].
        next_input: [D], what is fed at the next position.
        forced: [n, D], what is fed step by step, of a request that forces a message; None of others.
        beliefs: per step [V], log softmax(z) before each forced step.
        likely: per step the log-likelihood of the sampled token at temperature 1, of a request that asks for it.
        decoded: prefixes that a search looked at; 0 of rows that are generated step by step.
        failure: why it cannot be answered; None where it can.
    """

    request: Request
    encoder: Encoder | None
    keys: list[Key]
    prompt: torch.Tensor
    heard: HeardVectors | None = None
    beam: ConditionalBeam | None = None
    blocks: FutureBlocks | None = None
    choices: list[list[int]] = field(default_factory=list)
    closing: str | None = None
    log_likelihoods: list[float] = field(default_factory=list)
    read: tuple[TokenRead, ...] = ()
    slot: int = -1
    cached: int = 0
    ids: list[int] = field(default_factory=list)
    vectors: list[torch.Tensor] = field(default_factory=list)
    entropy: list[torch.Tensor] = field(default_factory=list)
    max_probability: list[torch.Tensor] = field(default_factory=list)
    top_ids: list[torch.Tensor] = field(default_factory=list)
    top_probabilities: list[torch.Tensor] = field(default_factory=list)
    rendered: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    next_input: torch.Tensor | None = None
    forced: torch.Tensor | None = None
    beliefs: list[torch.Tensor] = field(default_factory=list)
    likely: list[float] = field(default_factory=list)
    decoded: int = 0
    finish: FinishReason | None = None
    failure: str | None = None
    kept: int = 0
    pushed: int = 0

    @property
    def step(self) -> int:
        """Steps generated so far."""
        return len(self.ids)

    @property
    def position(self) -> int:
        """Where the next input goes."""
        return len(self.keys) + len(self.ids) - 1

    def advance(self, token: int, stop_ids: frozenset[int], tokenizer: Any) -> None:
        """Take one more step's token, and end the row if the token, a stop string or the limit says so."""
        self.ids.append(token)
        self.kept = len(self.ids)
        if token in stop_ids and not self.request.sampling.ignore_eos:
            self.finish, self.kept = "stop", len(self.ids) - 1
            return
        if (kept := kept_before_stop(self.ids, self.request.sampling.stop, tokenizer)) is not None:
            self.finish, self.kept = "stop", kept
        if self.finish is None and len(self.ids) >= self.request.sampling.max_tokens:
            self.finish = "length"

    def force(self, belief: torch.Tensor) -> None:
        """Take the next step of the forced message, before which the model believed so: log softmax(z) [V]."""
        assert self.forced is not None
        assert self.request.forced is not None
        self.beliefs.append(belief)
        self.next_input = self.forced[self.step]
        self.ids.append(self.request.forced.token_ids[self.step])
        self.kept = len(self.ids)
        if self.step == len(self.forced):
            self.finish = "length"

    def fail(self, reason: str) -> None:
        """End without an answer."""
        self.failure, self.finish = reason, "cancelled"

    def choose(self, log_likelihoods: list[float]) -> None:
        """End with the likeliest choice, the first of equals."""
        self.log_likelihoods = log_likelihoods
        self.ids = likeliest(self.choices, log_likelihoods)
        if self.read:
            after = self.read[-1]
            self.ids = [after.likeliest] if after.likeliest is not None else []
        self.kept, self.finish = len(self.ids), "stop"

    def new_text(self, tokenizer: Any) -> str:
        """Return the text since the last call, without what may yet be part of a character or of a stop string."""
        ids = self.ids[: self.kept]
        stops = self.request.sampling.stop
        text: str = text_to_show(ids, stops, tokenizer) if self.finish is None else tokenizer.decode(ids)
        piece, self.pushed = text[self.pushed :], max(self.pushed, len(text))
        return piece

    def generation(self, model: ModelFingerprint, tokenizer: Any) -> Generation:
        """Return the finished request as a value."""
        assert self.finish is not None
        ids = self.ids[: self.kept]
        thought = 0 if self.choices else thinking_tokens(ids, tokenizer, self.closing)
        message = Message(
            text=tokenizer.decode(ids[thought:]),
            model=model,
            temperature=self.request.sampling.temperature,
            token_ids=tuple(ids),
            encoder=None if self.encoder is None else str(self.encoder),
            cipher=None if self.encoder is None else self._cipher(model),
            thinking=tokenizer.decode(ids[:thought]) if thought else "",
            thinking_tokens=thought,
        )
        # What is weighed, or forced, is read and not generated.
        read = len(self.ids) if self.forced is not None else sum(map(len, self.choices))
        said = 0 if self.choices or self.forced is not None else self.decoded or len(self.ids)
        if self.read:
            return Generation(
                message, Usage(read, self.cached, 1), "length", read=read_whole(self.request.tokens, self.read)
            )
        usage = Usage(len(self.keys) + read, self.cached, said)
        beliefs = torch.stack(self.beliefs).cpu() if self.beliefs else None
        likelihood = math.fsum(self.likely) if self.likely else None
        return Generation(
            message,
            usage,
            self.finish,
            tuple(self.log_likelihoods),
            log_likelihood=likelihood,
            beliefs=beliefs,
        )

    def _cipher(self, model: ModelFingerprint) -> Cipher:
        n, k = self.kept, min(self.request.sampling.top_beliefs, model.vocabulary)
        dtype = self.vectors[0].dtype if self.vectors else self.prompt.dtype
        return Cipher(
            vectors=_stacked(self.vectors[:n], (0, model.width), dtype),
            nearest=torch.tensor(self.ids[:n], dtype=torch.int64),
            entropy=_stacked(self.entropy[:n], (0,), torch.float32),
            max_probability=_stacked(self.max_probability[:n], (0,), torch.float32),
            top_ids=_stacked(self.top_ids[:n], (0, k), torch.int64),
            top_probabilities=_stacked(self.top_probabilities[:n], (0, k), torch.float32),
            rendered={
                hearer.name: _stacked(
                    self.rendered.get(hearer.name, [])[:n], (0, hearer.model.width), hearer.table.weight.dtype
                )
                for hearer in self.request.hearers
            },
        )


def take_ended(waiting: deque[Row]) -> list[Row]:
    """Take the rows that have ended out of a queue to which another thread may add meanwhile, and return them."""
    # A copy is made in one go, and each row is taken out by itself: a queue that was made anew would lack what came in between.
    ended = [row for row in tuple(waiting) if row.finish is not None]
    for row in ended:
        waiting.remove(row)
    return ended


def _stacked(steps: list[torch.Tensor], empty: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return the steps as one tensor of its own memory on the CPU."""
    return torch.stack(steps).cpu() if steps else torch.zeros(empty, dtype=dtype)
