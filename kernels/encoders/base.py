"""What an encoder is. B rows, V tokens, D embedding width."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from kernels.belief import as_temperature, scaled_logits
from kernels.table import EmbeddingTable, as_table


@dataclass(frozen=True, eq=False)
class Encoding:
    """What one step of an encoder yields, a row for each row of logits.

    `entropy` and `max_probability` are of the belief softmax(z / T); `top_ids` and `top_probabilities` of the
    distribution q that was really mixed, largest first, padded with probability 0 where q has fewer tokens than asked.
    """

    vectors: Tensor  # [B, D] in the table's dtype
    entropy: Tensor  # [B] float32, nats
    max_probability: Tensor  # [B] float32
    argmax: Tensor  # [B] int64, of the logits; the lowest id of equal ones
    top_ids: Tensor  # [B, top] int64
    top_probabilities: Tensor  # [B, top] float32


@dataclass(frozen=True)
class Encoder(ABC):
    """A rule from belief to vector: it chooses a distribution q over tokens, the vector is Σ q_v E_v.

    Frozen and stateless: equal encoders hash equally, and randomness comes in through (seed, step) of each row, so that a
    row's result does not depend on the rows beside it. A temperature of 0 means the argmax token's embedding, always.
    """

    name: ClassVar[str]

    @property
    def params(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.params.items())
        return f"{self.name}({given})" if given else self.name

    @abstractmethod
    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        """q [B, V] float32 from `scaled` = (z − max z) / T and the logits themselves."""

    def encode(
        self,
        logits: Tensor,
        table: EmbeddingTable | Tensor,
        *,
        temperature: Tensor | float,
        seeds: Tensor,
        steps: Tensor,
        top: int = 0,
    ) -> Encoding:
        """The encoding of each row of logits [B, V]; -inf marks tokens that must not be mixed in.

        temperature [B] float32, seeds and steps [B] int64, top: how many of q's tokens to report.

        Raises:
            InvalidBelief: a row holds a NaN or +inf, or nothing but -inf.
        """
        table = as_table(table)
        if logits.dim() != 2 or logits.shape[1] != table.num_tokens:
            raise ValueError(f"logits must be [B, {table.num_tokens}] for this table, got {list(logits.shape)}")
        temperatures = as_temperature(temperature, logits.shape[0], logits.device)
        scaled = scaled_logits(logits, temperatures)
        log_belief = scaled.log_softmax(dim=-1)
        belief = log_belief.exp()
        entropy = -(belief * log_belief.nan_to_num(neginf=0.0)).sum(dim=-1)
        q = self.weights(scaled, logits.float(), seeds, steps)
        q = torch.where((temperatures == 0)[:, None], belief, q)
        top_probabilities, top_ids = q.sort(dim=-1, descending=True, stable=True)
        return Encoding(
            vectors=(q @ table.weight.float()).to(table.weight.dtype),
            entropy=entropy.float(),
            max_probability=belief.amax(dim=-1),
            argmax=(scaled == 0).to(torch.uint8).argmax(dim=-1) if len(scaled) else scaled.new_zeros(0, dtype=torch.int64),
            top_ids=top_ids[:, :top],
            top_probabilities=top_probabilities[:, :top],
        )
