"""The tables of those who will hear what a worker says and have another than its own, and what was rendered on them.

A worker renders while it has the whole belief, step by step, as the transformers engine does (agents/hearing_table.py). Of
several ranks the first alone does: all have the logits, and it alone answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.backends.vllm.store import Steps, Store
from agents.hearing_table import rendered_on
from kernels import EmbeddingTable
from kernels.encoders import Encoder


@dataclass(frozen=True)
class _Held:
    """A table, and the vectors [D'] of each request and step that were rendered on it."""

    table: EmbeddingTable
    store: Store


class Hearers:
    """Tables by their hash (`ModelFingerprint.table`).

    Args:
        device: where they are held.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # None: the first rank holds it.
        self._held: dict[str, _Held | None] = {}

    def hold(self, name: str, weight: Tensor | None) -> None:
        """Hold a table [V', D']; None on ranks that leave it to the first."""
        if weight is None:
            self._held[name] = None
            return
        table = EmbeddingTable(weight.to(self._device))
        self._held[name] = _Held(table, Store(table.width, weight.dtype, self._device, beliefs=0))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of some tables that are not held."""
        return [name for name in names if name not in self._held]

    def render(
        self,
        encoder: Encoder,
        logits: Tensor,
        places: Sequence[tuple[str, int]],
        hearers: Sequence[Sequence[str]],
        temperature: Tensor,
        seeds: Tensor,
        steps: Tensor,
        *,
        deferred: bool,
    ) -> None:
        """Keep what logits [n, V] render to on the tables of each row's hearers, by (request, step).

        Rows that are no belief are looked for by the caller where that is `deferred`.
        """
        for name in dict.fromkeys(name for names in hearers for name in names):
            held = self._held.get(name)
            if held is None:
                continue
            rows = [row for row, names in enumerate(hearers) if name in names]
            vectors = rendered_on(
                held.table,
                encoder,
                logits[rows],
                temperature=temperature[rows],
                seeds=seeds[rows],
                steps=steps[rows],
                deferred=deferred,
            )
            held.store.write([places[row] for row in rows], _vectors_alone(vectors))

    def take(self, request: str, names: Sequence[str], length: int) -> dict[str, Tensor]:
        """Return the first `length` vectors [T, D'] of a request on each table that this rank holds, by its hash."""
        held = {name: found for name in names if (found := self._held.get(name)) is not None}
        return {name: found.store.take(request, length).vectors for name, found in held.items()}

    def drop(self, request: str) -> None:
        """Forget a request."""
        for held in self._held.values():
            if held is not None:
                held.store.drop(request)

    @property
    def bytes_held(self) -> int:
        """Bytes of what was rendered, without the tables."""
        return sum(held.store.bytes_held for held in self._held.values() if held is not None)


def _vectors_alone(vectors: Tensor) -> Steps:
    n, device = len(vectors), vectors.device
    nothing = torch.zeros(n, device=device)
    return Steps(
        vectors=vectors,
        nearest=torch.zeros(n, dtype=torch.int64, device=device),
        entropy=nothing,
        max_probability=nothing,
        top_ids=torch.zeros(n, 0, dtype=torch.int64, device=device),
        top_probabilities=torch.zeros(n, 0, device=device),
        status=torch.zeros(n, dtype=torch.int32, device=device),
    )
