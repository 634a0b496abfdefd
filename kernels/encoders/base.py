"""What an encoder is. B rows, V tokens, D embedding width."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from kernels import gpu, native, noise
from kernels.belief import as_temperature, largest, raise_for, scaled_logits
from kernels.dispatch import choose, never
from kernels.errors import ImplementationUnavailable
from kernels.scan import Scan, scan
from kernels.table import EmbeddingTable, as_table


@dataclass(frozen=True, eq=False)
class Encoding:
    """What one step of an encoder yields, a row for each row of logits.

    Where q has fewer than `top` tokens the rest has probability 0, and its ids mean nothing.
    `entropy` and `max_probability` are of the belief softmax(z / T); `top_ids` and `top_probabilities` of the
    distribution q that was really mixed, largest first; of a q that sums to more than 1 they are shares of it.
    """

    vectors: Tensor  # [B, D] in the table's dtype
    entropy: Tensor  # [B] float32, nats
    max_probability: Tensor  # [B] float32
    argmax: Tensor  # [B] int64, of the logits; the lowest id of equal ones
    top_ids: Tensor  # [B, top] int64
    top_probabilities: Tensor  # [B, top] float32
    status: Tensor | None = None  # [B] int32, of `encode(deferred=True)` alone: 0, or why the row is no belief

    def with_vectors(self, vectors: Tensor) -> "Encoding":
        """The same encoding with these vectors [B, D]."""
        return replace(self, vectors=vectors)


@dataclass(frozen=True, eq=False)
class RowKeys:
    """What a row's randomness depends on, both [B] int64."""

    seeds: Tensor
    steps: Tensor

    @property
    def keys(self) -> Tensor:
        return noise.row_keys(self.seeds, self.steps)


@dataclass(frozen=True, eq=False)
class Mixed:
    """What a rule made of scanned beliefs: the vectors, and q's likeliest tokens."""

    vectors: Tensor  # [B, D] float32, or the table's dtype where rows were copied
    top_ids: Tensor  # [B, <= top] int64
    top_probabilities: Tensor  # [B, <= top] float32


@dataclass(frozen=True)
class Encoder(ABC):
    """A rule from belief to vector: it chooses a distribution q over tokens, the vector is Σ q_v E_v.

    Frozen and stateless: equal encoders hash equally, and randomness comes in through (seed, step) of each row, so that a
    row's result does not depend on the rows beside it. A temperature of 0 means the argmax token's embedding, always.
    """

    # As a config writes it; of a class that does not say it, its dotted path.
    name: ClassVar[str]
    # What a scan has to find out for `mix`: sums at temperature 1, and at least so many of the largest logits.
    needs_plain: ClassVar[bool] = False
    # Whether `mix` averages the scanned belief itself, so that the table's stand-ins may serve for its unlikely tokens.
    averages: ClassVar[bool] = False
    # Whether q is the belief itself.
    weighs_plainly: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # Never that of the class which it varies: `parse` would make that one.
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    @property
    def needs_top(self) -> int:
        return 0

    @property
    def draws(self) -> bool:
        """Whether the vector depends on the row's seed and step, where the temperature is above 0."""
        return False

    @property
    def may_exceed(self) -> bool:
        """Whether q may sum to more than 1, so that it is no distribution."""
        return False

    def reported(self, largest: Tensor, q: Tensor) -> Tensor:
        """Some of q's weights [B, K] as they are reported: of a q [B, V] that sums to more than 1, as shares of it."""
        return largest / q.sum(dim=-1, keepdim=True).clamp_min(1) if self.may_exceed else largest

    @property
    def params(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.params.items())
        return f"{self.name}({given})" if given else self.name

    @abstractmethod
    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        """q [B, V] float32 from `scaled` = (z − max z) / T and the logits themselves."""

    @abstractmethod
    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        """The same from scanned beliefs, without writing q out; it may leave out what `table.delta` allows."""

    def encode(
        self,
        logits: Tensor,
        table: EmbeddingTable | Tensor,
        *,
        temperature: Tensor | float,
        seeds: Tensor,
        steps: Tensor,
        top: int = 0,
        impl: str = "auto",
        deferred: bool = False,
    ) -> Encoding:
        """The encoding of each row of logits [B, V]; -inf marks tokens that must not be mixed in.

        temperature [B] float32, seeds and steps [B] int64, top: how many of q's tokens to report. `impl` is "triton" (GPUs),
        "native" (the compiled CPU code, which leaves out what `table.delta` allows), "reference" (q written out) or "auto". None
        of them records gradients.

        `deferred` looks at no value, so that nobody waits for a GPU ("triton" only): a row that is no belief gets the embedding
        of its largest logit, and `status` says what was wrong (`belief.complaint`). The temperatures must be right.

        Raises:
            InvalidBelief: a row holds a NaN or +inf, or nothing but -inf, and it is not `deferred`.
        """
        table = as_table(table)
        if logits.dim() != 2 or logits.shape[1] != table.num_tokens:
            raise ValueError(f"logits must be [B, {table.num_tokens}] for this table, got {list(logits.shape)}")
        temperatures = as_temperature(temperature, logits.shape[0], logits.device, trusted=deferred)
        chosen = choose(
            "encode",
            impl,
            {
                "triton": lambda: gpu.refusal(impl, logits, table.weight),
                "native": lambda: _refusal(logits, table.weight),
                "reference": never,
            },
        )
        with torch.no_grad():
            if chosen == "triton":
                return self._on_gpu(logits, table, temperatures, RowKeys(seeds, steps), top, deferred)
            if deferred:
                raise ImplementationUnavailable("encode", chosen, "it looks at its results; deferred needs the GPU's")
            if chosen == "native":
                return self._from_scan(logits, table, temperatures, RowKeys(seeds, steps), top)
            found, q = self.distribution(logits, temperature=temperatures, seeds=seeds, steps=steps, top=top)
            return found.with_vectors((q @ table.weight.float()).to(table.weight.dtype))

    def _on_gpu(
        self, logits: Tensor, table: EmbeddingTable, temperatures: Tensor, keys: RowKeys, top: int, deferred: bool
    ) -> Encoding:
        from kernels.expectation import triton

        if type(self).weighs_plainly:
            if gpu.leaves_out():
                from kernels.expectation import sparse

                vectors, facts, _, _ = sparse.mean(
                    logits, table.weight, temperatures, delta=table.delta, low_rank=table.low_rank
                )
            else:
                vectors, facts = triton.mean(logits, table.weight, temperatures)
            if not deferred:
                raise_for(facts.status)
            values, ids = largest(logits.float(), min(top, logits.shape[1]))
            frozen = (temperatures == 0)[:, None]
            shares = ((values - facts.maximum[:, None]) / torch.where(frozen, 1.0, temperatures[:, None])).exp()
            shares = torch.where(frozen, (ids == facts.argmax[:, None]).float(), shares / facts.total[:, None])
            found = Encoding(
                vectors, facts.entropy, facts.max_probability, facts.argmax, *_padded(ids, shares, top), facts.status
            )
        else:
            found, q = self.distribution(
                logits, temperature=temperatures, seeds=keys.seeds, steps=keys.steps, top=top, deferred=True
            )
            if not deferred:
                raise_for(found.status)
            found = found.with_vectors(triton.weighted_rows(q, table.weight).to(table.weight.dtype))
        return found if deferred else replace(found, status=None)

    def _from_scan(
        self, logits: Tensor, table: EmbeddingTable, temperatures: Tensor, keys: RowKeys, top: int
    ) -> Encoding:
        looked_at = max(top, self.needs_top)
        low_rank = table.low_rank if self.averages else None
        scanned = scan(
            logits, temperatures, delta=table.delta, low_rank=low_rank, top=looked_at, plain=self.needs_plain
        )
        mixed = self.mix(scanned, table, keys, top)
        top_ids, top_probabilities = mixed.top_ids, mixed.top_probabilities
        top_ids, top_probabilities = _padded(top_ids, top_probabilities, top)
        return Encoding(
            vectors=mixed.vectors.to(table.weight.dtype),
            entropy=scanned.entropy,
            max_probability=scanned.max_probability,
            argmax=scanned.argmax,
            top_ids=top_ids,
            top_probabilities=top_probabilities,
        )

    def distribution(
        self,
        logits: Tensor,
        *,
        temperature: Tensor | float,
        seeds: Tensor,
        steps: Tensor,
        top: int = 0,
        deferred: bool = False,
    ) -> tuple[Encoding, Tensor]:
        """What `encode` finds out about each row of logits [B, V] short of the vectors, and q [B, V] float32 itself.

        For callers whose table is in parts: the vectors are Σ_v q_v E_v, summed over the parts. The encoding's vectors are
        empty, [B, 0]; everything else is as `encode(impl="reference")` gives it. `deferred` is as there; of a row that is no
        belief q means nothing.

        Raises:
            InvalidBelief: a row holds a NaN or +inf, or nothing but -inf, and it is not `deferred`.
        """
        temperatures = as_temperature(temperature, logits.shape[0], logits.device, trusted=deferred)
        with torch.no_grad():
            status: Tensor | None = None
            if deferred:
                from kernels.expectation import triton

                _, _, status = triton.leaders(logits)
                logits = torch.where((status == 0)[:, None], logits, 0.0)
            scaled = scaled_logits(logits, temperatures, trusted=deferred)
            log_belief = scaled.log_softmax(dim=-1)
            belief = log_belief.exp()
            entropy = -(belief * log_belief.nan_to_num(neginf=0.0)).sum(dim=-1)
            q = self.weights(scaled, logits.float(), seeds, steps)
            q = torch.where((temperatures == 0)[:, None], belief, q)
            likeliest, top_ids = _likeliest(q, min(top, q.shape[1]))
            top_ids, top_probabilities = _padded(top_ids, self.reported(likeliest, q), top)
            found = Encoding(
                vectors=q.new_empty(len(q), 0),
                entropy=entropy.float(),
                max_probability=belief.amax(dim=-1),
                argmax=(scaled == 0).to(torch.uint8).argmax(dim=-1)
                if len(scaled)
                else scaled.new_zeros(0, dtype=torch.int64),
                top_ids=top_ids,
                top_probabilities=top_probabilities,
                status=status,
            )
        return found, q


def _likeliest(q: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of q [B, V], of equal ones the lowest ids first, and their ids."""
    if q.dtype == torch.float32:
        return largest(q, count)
    ordered, ids = q.sort(dim=-1, descending=True, stable=True)
    return ordered[:, :count], ids[:, :count]


def _padded(ids: Tensor, probabilities: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Both [B, <= top], filled up with token 0 of probability 0."""
    missing = top - ids.shape[1]
    if not missing:
        return ids, probabilities
    return torch.nn.functional.pad(ids, (0, missing)), torch.nn.functional.pad(probabilities, (0, missing))


def _refusal(logits: Tensor, weight: Tensor) -> str | None:
    if logits.dtype == torch.float64:
        return "it computes in float32, got float64 logits"
    return native.refusal(weight)
