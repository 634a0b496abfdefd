"""What a worker does for its CIPHER requests at every step: logits → vector and nearest token, kept vectors → inputs.

Knows nothing of vLLM, so it is tested without it; the runners translate. n rows, V tokens, D embedding width.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.backends.vllm.directive import MAX_BELIEFS, Directive
from agents.backends.vllm.hearers import Hearers
from agents.backends.vllm.staged import Column, Staged
from agents.backends.vllm.store import Steps, Store
from agents.decoding.cipher_step import cipher_step
from agents.errors import BackendFailed
from agents.message_header import RENDERED
from kernels import EmbeddingTable, gpu
from kernels.belief import complaint
from kernels.encoders import Encoder, Encoding
from kernels.errors import InvalidBelief, InvalidVector

# Rows whose beliefs are taken together: of more, what is computed between would take gigabytes with a large vocabulary.
ROWS_AT_ONCE = 128
# Finished messages that nobody has asked for yet; a client that never asks must not fill the memory.
MAX_UNCLAIMED = 1024


class Vocabulary(ABC):
    """A table that beliefs are rendered on: whole, or one rank's shard.

    Args:
        table: the rows that this device holds, [V, D] or a part of them.
    """

    def __init__(self, table: EmbeddingTable) -> None:
        self._table = table

    @property
    def width(self) -> int:
        """D."""
        return self._table.width

    @property
    def dtype(self) -> torch.dtype:
        """Of the vectors."""
        return self._table.weight.dtype

    @property
    def defers(self) -> bool:
        """Whether rows that say nothing are told by the encoding's status and not raised: on a GPU, which nobody waits for."""
        return gpu.refusal("auto", self._table.weight) is None

    def prepare(self) -> None:
        """Make now what the first step would make."""
        self._table.prepare()

    @abstractmethod
    def encode(
        self, encoder: Encoder, logits: Tensor, temperature: Tensor, seeds: Tensor, steps: Tensor, top: int
    ) -> tuple[Encoding, Tensor]:
        """Return the encoding of logits [n, V] and the nearest token of each vector [n]."""

    @abstractmethod
    def rows(self, ids: Tensor) -> Tensor:
        """Return the rows of some tokens [n], [n, D]."""


class WholeTable(Vocabulary):
    """A table that one device holds."""

    def encode(
        self, encoder: Encoder, logits: Tensor, temperature: Tensor, seeds: Tensor, steps: Tensor, top: int
    ) -> tuple[Encoding, Tensor]:
        """See Vocabulary."""
        return cipher_step(
            encoder,
            logits,
            self._table,
            temperature=temperature,
            seeds=seeds,
            steps=steps,
            top=top,
            deferred=self.defers,
        )

    def rows(self, ids: Tensor) -> Tensor:
        """See Vocabulary."""
        return self._table.weight[ids]


@dataclass(frozen=True)
class Speaking:
    """A request under way."""

    directive: Directive
    encoder: Encoder
    temperature: float
    seed: int
    prompt_length: int


@dataclass(frozen=True)
class Plan:
    """A step of some requests, in the order of their encoders."""

    places: list[tuple[str, int]]
    speaking: list[Speaking]
    groups: list[tuple[Encoder, slice]]
    order: Column | None
    temperatures: Column
    seeds: Column
    steps: Column
    rows: Column


class Speaker:
    """The CIPHER requests of one worker.

    Requests go by the engine's own ids. `begin` when the engine starts one, `end` when the engine is through with it, `take`
    or `drop` when the client asks for what it said, by the key that the client gave; before or after `end`.
    """

    def __init__(self, vocabulary: Vocabulary, device: torch.device, *, num_tokens: int) -> None:
        self._vocabulary, self._device = vocabulary, device
        self._beliefs = min(MAX_BELIEFS, num_tokens)
        self.store = Store(vocabulary.width, vocabulary.dtype, device, beliefs=self._beliefs)
        self.hearers = Hearers(device)
        self._speaking: dict[str, Speaking] = {}
        # Ended and not asked for yet, oldest first.
        self._ended: OrderedDict[str, Speaking] = OrderedDict()
        self._ids: dict[str, list[str]] = {}
        self._failed: dict[str, str] = {}
        # Never taken up, and not asked for yet: request → key, oldest first.
        self._refused: OrderedDict[str, str] = OrderedDict()

    def begin(self, request: str, directive: Directive, *, temperature: float, seed: int, prompt_length: int) -> None:
        """Take up a request; temperature and seed are what the directive leaves open."""
        self._speaking[request] = Speaking(
            directive,
            directive.parsed(),
            temperature if directive.temperature is None else directive.temperature,
            seed if directive.seed is None else directive.seed,
            prompt_length,
        )
        self._ids.setdefault(directive.key, []).append(request)
        if missing := self.hearers.missing(directive.hearers):
            self._failed[request] = f"the worker was not given the table {missing[0][:8]} of one who hears it"

    def refuse(self, request: str, key: str | None, reason: str) -> None:
        """Note why a request is not followed: it goes on as text, and asking for its vectors gives the reason."""
        if key is not None:
            self._ids.setdefault(key, []).append(request)
            self._failed[request] = reason
            self._refused[request] = key
            if len(self._refused) > MAX_UNCLAIMED:
                self._forget(*next(iter(self._refused.items())))

    def end(self, request: str) -> None:
        """The engine is through with a request; what it said is kept until it is asked for."""
        speaking = self._speaking.pop(request, None)
        if speaking is None or request not in self._ids.get(speaking.directive.key, ()):
            return
        self._ended[request] = speaking
        if len(self._ended) > MAX_UNCLAIMED:
            oldest, forgotten = next(iter(self._ended.items()))
            self._forget(oldest, forgotten.directive.key)

    def __contains__(self, request: str) -> bool:
        return request in self._speaking

    def __bool__(self) -> bool:
        return bool(self._speaking)

    def kept(self, request: str, first: int, count: int) -> list[tuple[str, int, int]]:
        """Return (request, step, offset) for each of `count` positions from `first` on that a kept vector belongs to.

        Step s of a request is fed at position prompt_length + s.
        """
        start = self._speaking[request].prompt_length
        offsets = range(max(0, start - first), count)
        return [(request, first + offset - start, offset) for offset in offsets]

    def fill(self, inputs: Tensor, places: Sequence[tuple[str, int]], rows: Sequence[int]) -> None:
        """Write the kept vector of each (request, step) over a row of the inputs [N, D]."""
        if not places:
            return
        staged = Staged(inputs.device)
        target, kept = staged.integers(rows), staged.integers(self.store.rows_of(places))
        staged.send()
        inputs[target.tensor] = self.store.vectors_in(kept.tensor).to(inputs.dtype)

    def step_at(self, request: str, position: int) -> int:
        """Return which step of a request is fed at a position."""
        return position - self._speaking[request].prompt_length

    def say(self, logits: Tensor, requests: Sequence[str], steps: Sequence[int]) -> Tensor:
        """Encode logits [n, V], keep what was said, and return the nearest token of each row, [n] int64.

        A row whose logits are no belief (a NaN, or nothing left by the processors) fails alone: it gets its argmax, and
        asking for its vectors gives the reason.
        """
        staged = Staged(logits.device)
        plan = self.plan(staged, requests, steps)
        staged.send()
        return self.follow(plan, logits)

    def plan(self, staged: Staged, requests: Sequence[str], steps: Sequence[int]) -> Plan:
        """Return what `follow` has to know about a step of some requests, with the numbers that the device needs on their way."""
        by_encoder: dict[Encoder, list[int]] = {}
        for row, request in enumerate(requests):
            by_encoder.setdefault(self._speaking[request].encoder, []).append(row)
        order = [row for rows in by_encoder.values() for row in rows]
        places = [(requests[row], steps[row]) for row in order]
        speaking = [self._speaking[request] for request, _ in places]
        groups, start = [], 0
        for encoder, rows in by_encoder.items():
            for first in range(0, len(rows), ROWS_AT_ONCE):
                count = min(ROWS_AT_ONCE, len(rows) - first)
                groups.append((encoder, slice(start, start + count)))
                start += count
        return Plan(
            places=places,
            speaking=speaking,
            groups=groups,
            order=staged.integers(order) if len(by_encoder) > 1 else None,
            temperatures=staged.reals([one.temperature for one in speaking]),
            seeds=staged.integers([one.seed for one in speaking]),
            steps=staged.integers([step for _, step in places]),
            rows=staged.integers(self.store.lend(places)),
        )

    def follow(self, plan: Plan, logits: Tensor) -> Tensor:
        """Do what `say` does, for a plan that was sent."""
        order = None if plan.order is None else plan.order.tensor
        logits = logits if order is None else logits[order]
        found = torch.cat([self._say_together(encoder, plan, logits, rows) for encoder, rows in plan.groups])
        return found if order is None else torch.empty_like(found).scatter_(0, order, found)

    def _say_together(self, encoder: Encoder, plan: Plan, logits: Tensor, rows: slice) -> Tensor:
        try:
            return self._say(encoder, plan, logits, rows)
        except (InvalidBelief, InvalidVector):
            return torch.cat(
                [self._say_alone(encoder, plan, logits, slice(row, row + 1)) for row in range(rows.start, rows.stop)]
            )

    def _say_alone(self, encoder: Encoder, plan: Plan, logits: Tensor, row: slice) -> Tensor:
        try:
            return self._say(encoder, plan, logits, row)
        except (InvalidBelief, InvalidVector) as error:
            request, step = plan.places[row.start]
            self._failed.setdefault(request, f"step {step}: {error}")
            self.store.blank(plan.rows.tensor[row])
            return logits[row].nan_to_num(float("-inf")).argmax(dim=1)

    def _say(self, encoder: Encoder, plan: Plan, logits: Tensor, rows: slice) -> Tensor:
        logits, speaking, places = logits[rows], plan.speaking[rows], plan.places[rows]
        top = max(one.directive.beliefs for one in speaking)
        state = plan.temperatures.tensor[rows].float(), plan.seeds.tensor[rows], plan.steps.tensor[rows]
        said, nearest = self._vocabulary.encode(encoder, logits, *state, min(max(top, 1), self._beliefs))
        # Of what has failed nobody hears more.
        hearers = [
            () if name in self._failed else one.directive.hearers
            for (name, _), one in zip(places, speaking, strict=True)
        ]
        self.hearers.render(encoder, logits, places, hearers, *state, deferred=said.status is not None)
        status = torch.zeros(len(nearest), dtype=torch.int32, device=nearest.device)
        kept = Steps(
            vectors=said.vectors,
            nearest=nearest,
            entropy=said.entropy,
            max_probability=said.max_probability,
            top_ids=said.top_ids,
            top_probabilities=said.top_probabilities,
            status=status if said.status is None else said.status,
        )
        self.store.put(plan.rows.tensor[rows], kept)
        return nearest

    def take(self, key: str, length: int, index: int = 0) -> dict[str, Tensor]:
        """Return the first `length` steps of a request as tensors, those for other tables by `RENDERED` and hash; forget it.

        Args:
            key: the client's own.
            length: how many steps the client counts as said.
            index: which of the requests left with this key (`n` > 1 has several), in the engine's order.

        Raises:
            BackendFailed: no such request, or one that could not be followed; the text says why.
        """
        ids = sorted(self._ids.get(key, ()), key=lambda request: (len(request), request))
        if not 0 <= index < len(ids):
            raise BackendFailed(f"nothing is kept under the key {key!r}, index {index}")
        request = ids[index]
        reason = self._failed.get(request)
        if reason is None and length > self.store.length(request):
            reason = f"{length} steps were asked for and {self.store.length(request)} are kept"
        if reason is not None:
            self._forget(request, key)
            raise BackendFailed(reason)
        directive = (self._speaking.get(request) or self._ended[request]).directive
        taken = vars(self.store.take(request, length)).copy()
        rendered = self.hearers.take(request, directive.hearers, length)
        self._forget(request, key)
        for step, status in enumerate(taken.pop("status").tolist()):
            if status:
                raise BackendFailed(f"step {step}: {complaint(status)}")
        for name in ("top_ids", "top_probabilities"):
            taken[name] = taken[name][:, : directive.beliefs].contiguous()
        return {**taken, **{f"{RENDERED}{name}": vectors for name, vectors in rendered.items()}}

    def drop(self, key: str) -> None:
        """Forget what the requests of a key said."""
        for request in list(self._ids.get(key, ())):
            self._forget(request, key)

    def _forget(self, request: str, key: str) -> None:
        # An engine that learns late of the end may hold the request for some steps more: it is nobody's then, text to vLLM.
        self._speaking.pop(request, None)
        self.store.drop(request)
        self.hearers.drop(request)
        self._failed.pop(request, None)
        self._ended.pop(request, None)
        self._refused.pop(request, None)
        left = [other for other in self._ids.get(key, ()) if other != request]
        if left:
            self._ids[key] = left
        else:
            self._ids.pop(key, None)
