"""An embedding table with what is worth computing about it once."""

import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kernels import gpu, native, spectrum
from kernels.kept import kept

if TYPE_CHECKING:
    from kernels.nearest.cpu import PackedTable


# More would narrow the error little, for singular values fall slowly after the first, and take longer to sum; csrc/belief.cpp
# sums up to two.
_RANK = 2
# V D² of tables whose directions are found exactly, in a second or two.
_LARGE = 5 * 10**10
# After so many seconds of timing launches nothing more is compiled for it.
_TUNING_S = 30.0


@dataclass(frozen=True, eq=False)
class LowRank:
    """A table's best approximation by combinations of K rows, E ≈ A B, and how far it is off. V tokens, D width.

    For any q [V], Σ_v q_v E_v is within ‖E − A B‖ ‖q‖ of Σ_v q_v A_v B, with the spectral norm of the one and the Euclidean
    norm of the other: small, where q is spread over many tokens.
    """

    basis: Tensor  # [K, D] float32: B
    coordinates: Tensor  # [K, V] float32: A, token by token within a row
    scale: float  # ‖E − A B‖ / (2 max‖E_v‖)


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """The rows that tokens are looked up in, `weight [V, D]`, with lazily computed facts about them.

    `tolerance` is the table's `delta`. `lasts` says that many calls will use this object, so that what takes long to find
    pays: stand-ins.

    `weight` must not change afterwards: the facts are computed once. Hold one object per table for as long as the model
    lives, so that nothing is computed twice. V is the vocabulary, D the embedding width.
    """

    weight: Tensor
    tolerance: float | None = None
    lasts: bool = True
    # Whether all `neighbour_cosines` are there.
    knows_neighbours: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.weight.dim() != 2 or not self.weight.is_floating_point():
            raise ValueError(
                f"table must be a [V, D] tensor of floats, got {self.weight.dtype} {list(self.weight.shape)}"
            )

    @property
    def num_tokens(self) -> int:
        return self.weight.shape[0]

    @property
    def width(self) -> int:
        return self.weight.shape[1]

    @cached_property
    def delta(self) -> float:
        """What an encoder may leave out of a belief: `tolerance`, or eps / 32 of the table's dtype.

        The certified error of an expectation is at most 2 δ max‖E_v‖: at the default, what rounding to the dtype may cost a
        vector an eighth as long as the longest row. Where tokens are dropped and the others renormalised, δ is how much of
        the mass may go; with the `low_rank` table in their place it may be many times as much, for the same error.
        """
        return self.tolerance if self.tolerance is not None else torch.finfo(self.weight.dtype).eps / 32

    @cached_property
    def norms(self) -> Tensor:
        """Euclidean norm of each row, [V] float32."""
        norms = torch.empty(self.num_tokens, dtype=torch.float32, device=self.weight.device)
        for start in range(0, self.num_tokens, 8192):
            block = self.weight.detach()[start : start + 8192]
            norms[start : start + 8192] = block.double().norm(dim=1).float()
        return norms

    @cached_property
    def low_rank(self) -> LowRank | None:
        """What stands in for the rows of unlikely tokens.

        None for a table that does not last, has a NaN or an infinity in it, or no rows.
        Takes V D² multiplications in float64 and the eigenvectors of a D × D matrix, 0.5 s for SmolLM2; for tables where that
        would be minutes, a randomised method takes some seventeen reads of the table, and its bound fails once in 10^10. Those of
        a large table are kept in the cache folder, by its bytes.
        """
        if not self.lasts or not self.num_tokens or not math.isfinite(self.max_norm):
            return None
        found = kept(self.weight.detach(), [Path(spectrum.__file__), Path(__file__)], self._stand_ins)
        return LowRank(found["basis"], found["coordinates"], float(found["scale"]))

    def _stand_ins(self) -> dict[str, Tensor]:
        """The fields of a `LowRank`, as tensors."""
        rank = min(_RANK, self.width)
        find = spectrum.exact if self.num_tokens * self.width**2 <= _LARGE else spectrum.randomised
        directions, square, rest = find(self.weight.detach(), rank)
        # Coarser than what the number of threads changes, so that it changes nothing.
        basis = (directions * 2**20).round() / 2**20
        coordinates = torch.cat([block.double() @ basis.T for block in torch.split(self.weight.detach(), 4096)]).T
        # What the directions leave, and what the rounding of both factors may add.
        error = rest + 2**-18 * math.sqrt(self.width * square)
        scale = error / max(2 * self.max_norm, torch.finfo(torch.float32).tiny)
        return {
            "basis": basis.float().contiguous(),
            "coordinates": coordinates.float().contiguous(),
            "scale": torch.tensor(scale, dtype=torch.float64),
        }

    @cached_property
    def inverse_norms(self) -> Tensor:
        """1 / norm of each row, [V] float32; 0 for a zero row, whose cosine with anything is defined as 0."""
        return torch.where(self.norms > 0, 1 / self.norms.clamp_min(torch.finfo(torch.float32).tiny), 0.0)

    @cached_property
    def packed(self) -> "PackedTable":
        """The 8-bit copy that the compiled nearest-token search reads."""
        from kernels.nearest.cpu import pack

        return pack(self.weight)

    def prepare(self) -> None:
        """Make now what the operators would make at their first step; nothing where neither the compiled nor the GPU's serve.

        On the CPU the 8-bit copy is packed, the rows' low-rank stand-ins are made, and where the kernel lets us (Linux 6.1) both
        tables move to pages of 2 MiB in place. On a GPU the kernels' launches are timed, where that was not done before on such a
        device, the norms are taken, and each row's neighbour is found, so that nearest tokens are proven without a search: V² D
        multiplications by matrix instructions. Stand-ins are made there as well, where tokens are left out (`gpu.leaves_out`).
        """
        if gpu.refusal("auto", self.weight) is None and self.num_tokens:
            from kernels.nearest import triton

            self.tune()
            self.neighbour_cosines.copy_(triton.neighbour_cosines(self.weight.detach(), self.inverse_norms))
            object.__setattr__(self, "knows_neighbours", True)
            if gpu.leaves_out():
                _ = self.low_rank
        if native.refusal(self.weight) is None:
            _ = self.low_rank
            for tensor in (self.weight.detach(), self.packed.packed):
                native.library().use_huge_pages(native.pointer(tensor), tensor.numel() * tensor.element_size())

    def tune(self) -> None:
        """Time how the GPU's kernels are best launched on this table, for half a minute at most: what is not, is next time.

        Nothing where the table is on no GPU, or all was timed before.
        """
        if gpu.refusal("auto", self.weight) is not None or not self.num_tokens:
            return
        from kernels.expectation import triton as expectation
        from kernels.nearest import triton as nearest

        weight, end = self.weight.detach(), time.monotonic() + _TUNING_S
        for rows in (16, 32, 64):
            if weight.is_cuda and time.monotonic() < end:
                expectation.tune(weight, rows, gpu.seconds)
                nearest.tune(weight, self.inverse_norms, rows, gpu.seconds)
        gpu.free_flood()

    @cached_property
    def neighbour_cosines(self) -> Tensor:
        """The cosine of each row with the row closest to it, [V] float64, NaN where not yet known: filled in by searches."""
        return torch.full((self.num_tokens,), float("nan"), dtype=torch.float64, device=self.weight.device)

    @cached_property
    def max_norm(self) -> float:
        """The largest row norm: nothing in the hull is longer."""
        return float(self.norms.max()) if self.num_tokens else 0.0


def as_table(table: Tensor | EmbeddingTable) -> EmbeddingTable:
    """`table` itself, or the tensor wrapped for this one call."""
    return table if isinstance(table, EmbeddingTable) else EmbeddingTable(table, lasts=False)
