"""Fine-tuning of dense-sparse factors in which the places of the numbers may move (Chand et al., 2023, arXiv:2312.13211).

The sparse factor S [M, a] has a latent dense tensor. What is computed with is its projection, the k largest numbers of each
row by magnitude; a gradient goes from the projection to the latent tensor as if nothing had been left out, so that a number that
is left out grows until it takes the place of another. Whether the paper projects so could not be read; it is our reading.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.transforms.calibration import Rows, in_batches
from agents.transforms.dsformer.blocks import Blocks
from agents.transforms.dsformer.factors import Factors, rounded
from agents.transforms.subject import Subject

Supports = Literal["free", "fixed"]
Goal = Literal["beliefs", "tokens"]


@dataclass(frozen=True)
class Schedule:
    """How factors are trained.

    Attributes:
        steps: of Adam, whose rate falls to 0 linearly.
        batch: rows of a step.
        rate: of all factors.
        supports: `free`, straight through; `fixed`, the places of the numbers stay, and nothing else differs.
        goal: `beliefs`, KL(base ‖ copy) of each next token; `tokens`, the cross entropy of the texts' own, the paper's task loss.
        seed: of the order of rows.
    """

    steps: int
    batch: int
    rate: float
    supports: Supports
    goal: Goal
    seed: int


def projected(latent: Tensor, nonzeros: int) -> Tensor:
    """Return the k largest numbers of each row by magnitude, 0 elsewhere; its gradient passes on to all numbers alike.

    Args:
        latent: [M, a].
        nonzeros: k, at most a.
    """
    places = latent.detach().abs().topk(nonzeros, dim=1).indices
    kept = torch.zeros_like(latent, dtype=torch.bool).scatter_(1, places, True)
    # Not latent + (kept − latent): numbers that stay are the latent ones to the bit, and so are zeros.
    return _Passed.apply(latent, kept)  # type: ignore[no-any-return, no-untyped-call]


class _Passed(torch.autograd.Function):
    """A mask that gradients do not see."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, kept: Tensor) -> Tensor:
        return latent * kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class LatentBlock(nn.Module):
    """The factors of a block, to be trained.

    Args:
        factors: where training begins.
        supports: whether places may move.
    """

    fixed: Tensor | None

    def __init__(self, factors: Factors, supports: Supports) -> None:
        super().__init__()
        self.nonzeros = factors.places.shape[1]
        dense = factors.values.new_zeros(len(factors.places), len(factors.basis)).scatter_(
            1, factors.places, factors.values
        )
        self.latent, self.basis = nn.Parameter(dense), nn.Parameter(factors.basis.clone())
        # Of places, and not of numbers that are 0 by chance.
        fixed = torch.zeros_like(dense, dtype=torch.bool).scatter_(1, factors.places, True)
        self.register_buffer("fixed", fixed if supports == "fixed" else None)

    @property
    def sparse(self) -> Tensor:
        """S [M, a], k numbers in each row at most."""
        return projected(self.latent, self.nonzeros) if self.fixed is None else self.latent * self.fixed

    def forward(self) -> Tensor:
        """Return the product S D [M, n]."""
        return self.sparse @ self.basis

    @torch.no_grad()
    def factors(self) -> Factors:
        """Return what is stored."""
        magnitudes = self.latent.abs() if self.fixed is None else self.latent.abs().masked_fill(~self.fixed, -1.0)
        places = magnitudes.topk(self.nonzeros, dim=1).indices.sort(1).values
        return rounded(Factors(places, self.latent.gather(1, places), self.basis.detach().clone()))


class LatentMatrix(nn.Module):
    """The factors of a matrix, to be trained."""

    def __init__(self, blocks: Blocks, supports: Supports) -> None:
        super().__init__()
        self.transposed = blocks.transposed
        self._parts = [LatentBlock(part, supports) for part in blocks.parts]
        self.parts = nn.ModuleList(self._parts)

    def forward(self) -> Tensor:
        """Return the matrix [out, in]."""
        found = torch.cat([part() for part in self._parts], 1)
        return found.T if self.transposed else found

    def blocks(self) -> Blocks:
        """Return what is stored."""
        return Blocks(tuple(part.factors() for part in self._parts), self.transposed)


def tune(
    subject: Subject,
    matrices: Mapping[str, Blocks],
    rows: Rows,
    schedule: Schedule,
    *,
    watch: Callable[[int, float], None] = lambda *_: None,
) -> dict[str, Blocks]:
    """Return factors that were trained together; the subject stays as it is, and is what beliefs are held against.

    Args:
        subject: the base.
        matrices: by the name of the weight among the model's parameters.
        rows: the texts.
        schedule: how.
        watch: called with the number of each step and its loss in nats a token.
    """
    model = subject.model.requires_grad_(False)
    latent = {name: LatentMatrix(blocks, schedule.supports) for name, blocks in matrices.items()}
    generator = torch.Generator().manual_seed(schedule.seed)
    with torch.enable_grad():
        down = torch.optim.Adam([weight for each in latent.values() for weight in each.parameters()], schedule.rate)
        drawn = in_batches(rows, schedule.batch, generator)
        for step in range(schedule.steps):
            down.param_groups[0]["lr"] = schedule.rate * (1 - step / schedule.steps)
            loss = loss_of(model, {name: each() for name, each in latent.items()}, next(drawn), schedule.goal)
            down.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            down.step()
            watch(step, float(loss.detach()))
    return {name: each.blocks() for name, each in latent.items()}


def loss_of(model: Any, weights: Mapping[str, Tensor], batch: Rows, goal: Goal) -> Tensor:
    """Return the loss in nats a token of a model with other weights in the place of its own.

    Args:
        model: the base.
        weights: name of a parameter → another [out, in].
        batch: rows of text.
        goal: of the loss, as in `Schedule`.
    """
    logits = torch.func.functional_call(model, dict(weights), (batch.ids,), {"use_cache": False}).logits
    if goal == "tokens":
        follows = batch.is_text[:, 1:]
        return functional.cross_entropy(logits[:, :-1][follows], batch.ids[:, 1:][follows])
    with torch.no_grad():
        believed = functional.log_softmax(model(batch.ids, use_cache=False).logits[batch.is_text], -1)
    said = functional.log_softmax(logits[batch.is_text], -1)
    return functional.kl_div(said, believed, reduction="batchmean", log_target=True)
