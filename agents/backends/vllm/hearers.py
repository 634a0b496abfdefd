"""The tables of those who will hear what a worker says and have another than its own, and what was rendered on them.

Content controls are rendered here too, on the hearer's table, which may be one that the worker has already: it is held a second
time then.

A worker renders while it has the whole belief, step by step, as the transformers engine does (agents/hearing_table.py). Of
several ranks the first alone does: all have the logits, and it alone answers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.backends.vllm.store import Steps, Store
from agents.hearing_table import rendered_on
from kernels import EmbeddingTable
from kernels.encoders import Encoder


class Hearers:
    """Tables by their hash (`ModelFingerprint.table`), and what was rendered by its name (`HearingTable.name`).

    Args:
        device: where they are held.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # None: the first rank holds it.
        self._held: dict[str, EmbeddingTable | None] = {}
        # The vectors [D'] of each request and step.
        self._stores: dict[str, Store] = {}

    def hold(self, name: str, weight: Tensor | None) -> None:
        """Hold a table [V', D']; None on ranks that leave it to the first."""
        if weight is None:
            self._held[name] = None
            return
        self._held[name] = EmbeddingTable(weight.to(self._device))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the tables of some renderings that are not held."""
        return [table for _, table in map(_parts, names) if table not in self._held]

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
            content, table = _parts(name)
            held = self._held.get(table)
            if held is None:
                continue
            rows = [row for row, names in enumerate(hearers) if name in names]
            vectors = rendered_on(
                held,
                encoder,
                logits[rows],
                temperature=temperature[rows],
                seeds=seeds[rows],
                steps=steps[rows],
                content=content,
                deferred=deferred,
            )
            if name not in self._stores:
                self._stores[name] = Store(held.width, vectors.dtype, self._device, beliefs=0)
            self._stores[name].write([places[row] for row in rows], _vectors_alone(vectors))

    def take(self, request: str, names: Sequence[str], length: int) -> dict[str, Tensor]:
        """Return the first `length` vectors [T, D'] of a request of each rendering that this rank holds, by its name."""
        stores = {name: found for name in names if (found := self._stores.get(name)) is not None}
        return {name: store.take(request, length).vectors for name, store in stores.items()}

    def drop(self, request: str) -> None:
        """Forget a request."""
        for store in self._stores.values():
            store.drop(request)

    @property
    def bytes_held(self) -> int:
        """Bytes of what was rendered, without the tables."""
        return sum(store.bytes_held for store in self._stores.values())


def _parts(name: str) -> tuple[str, str]:
    """Return what is rendered, and the table's hash, of a rendering's name."""
    content, _, table = name.rpartition(":")
    return content or "intact", table


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
