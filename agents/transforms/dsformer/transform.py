"""`dsformer`, `dsformer_stf`, `svd`: every linear map of the blocks replaced by what factors of a share of its bytes stand for.

The folder holds the products, as ordinary weights: on disk it is no smaller than the base. What the factors take is
counted beside it. Chand et al. (2023, arXiv:2312.13211) fine-tune afterwards, with a straight-through estimator; that is
`dsformer_stf`, and in the other two nothing is trained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, get_args

import torch
from torch import Tensor, nn

from agents.errors import ConfigError, ModelError
from agents.transforms.calibration import OWN, calibration_rows, check_seed
from agents.transforms.dsformer.blocks import Blocks, nearest_blocks
from agents.transforms.dsformer.factors import VALUE_BITS, truncated
from agents.transforms.dsformer.straight_through import Goal, Schedule, Supports, tune
from agents.transforms.subject import Outcome, Subject, layers_of, linears, relative_error

MOST_STEPS = 100_000


class Stored(Protocol):
    """What is stored in place of a matrix."""

    @property
    def product(self) -> Tensor:
        """The matrix that is stood for."""

    @property
    def bits(self) -> int:
        """What is stored."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one token."""


S = TypeVar("S", bound=Stored)


@dataclass(frozen=True)
class LowRank:
    """Two factors of a matrix."""

    product: Tensor
    bits: int
    macs: int


def dsformer(subject: Subject, *, ratio: float = 2.0, block: int = 64, rounds: int = 8, sampled: int = 0) -> Outcome:
    """Replace the blocks' linear maps by dense-sparse factors.

    Args:
        subject: the model; its tables stay as they are.
        ratio: bits of the maps in 16 each, over those of the factors with their indices.
        block: n, adjacent columns that share a basis; where that is nearer, of the transposed matrix.
        rounds: turns of pursuit and least squares.
        sampled: blocks of a map, evenly spaced, on which sizes and the way (the matrix or its transpose) are tried for all of
            its blocks; 0 tries them on every block, which takes several times as long.

    Raises:
        ConfigError: a ratio not above 1, or so high that no factors fit; a block or rounds below 1; sampled below 0.
        ModelError: a family whose blocks are not known.
    """
    _check_blocks("dsformer", block, rounds, sampled)
    return _each(
        subject, "dsformer", ratio, lambda matrix: nearest_blocks(matrix, ratio, block, rounds, sampled=sampled)
    )


def dsformer_stf(
    subject: Subject,
    *,
    ratio: float = 2.0,
    block: int = 64,
    rounds: int = 8,
    steps: int = 100,
    supports: Supports = "free",
    goal: Goal = "beliefs",
    batch: int = 8,
    rate: float = 1e-3,
    rows: int = 64,
    length: int = 128,
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Replace the blocks' linear maps by dense-sparse factors, and train all of them together, straight through.

    Args:
        subject: the model; its tables and norms stay as they are.
        ratio, block, rounds: as of `dsformer`, whose factors training begins with; they take as many bytes after it.
        steps: of training; with 0 it is `dsformer`.
        supports: `free`, the numbers of a sparse factor may change their places; `fixed`, they stay where pursuit put them.
        goal: `beliefs`, to believe what the base does of each next token; `tokens`, to foretell the texts' own.
        batch: rows of a step.
        rate: of Adam; it falls to 0.
        rows, length, calibration, seed: texts to learn from (calibration.py); the seed also draws their order.

    Raises:
        ConfigError: a parameter out of range, or a ratio so high that no factors fit.
        ModelError: a family whose blocks are not known, or a training that came to no numbers.
    """
    schedule = Schedule(steps, batch, rate, supports, goal, seed)
    # Before texts are sampled, which takes its time.
    _check_ratio("dsformer_stf", ratio)
    _check_blocks("dsformer_stf", block, rounds)
    _check(schedule)
    layers_of(subject, "dsformer_stf")
    texts = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed) if steps else None
    losses: list[float] = []
    moved, numbers = 0.0, 0

    def trained(begun: dict[nn.Linear, Blocks]) -> dict[nn.Linear, Blocks]:
        nonlocal moved, numbers
        if texts is None:
            return begun
        names = {weight: name for name, weight in subject.model.named_parameters()}
        named = {names[linear.weight]: blocks for linear, blocks in begun.items()}
        ended = tune(subject, named, texts, schedule, watch=lambda _, loss: losses.append(loss))
        if not all(blocks.product.isfinite().all() for blocks in ended.values()):
            raise ModelError(
                f"dsformer_stf: the factors of {subject.name} are no finite numbers after {steps} steps; lower rate"
            )
        moved, numbers = share_moved(named, ended), sum(blocks.macs for blocks in ended.values())
        return {linear: ended[names[linear.weight]] for linear in begun}

    made = _each(subject, "dsformer_stf", ratio, lambda matrix: nearest_blocks(matrix, ratio, block, rounds), trained)
    if not steps:
        return made
    tenth = max(1, steps // 10)
    facts = {
        "trained_factors": numbers, "moved": moved, "loss_at_first": sum(losses[:tenth]) / tenth,
        "loss_at_last": sum(losses[-tenth:]) / tenth,
    }  # fmt: skip
    return Outcome(
        {**made.facts, **facts},
        (
            *made.remarks,
            f"All factors were trained together for {steps} steps, and no other weight was: the loss went from "
            f"{facts['loss_at_first']:.4f} to {facts['loss_at_last']:.4f} nats a token, and {moved:.1%} of the sparse factors' "
            "numbers stand in other places than before.",
        ),
    )


def share_moved(before: dict[str, Blocks], after: dict[str, Blocks]) -> float:
    """Return the share of the sparse factors' numbers whose place had none before."""
    stayed = whole = 0
    for name, blocks in before.items():
        for one, two in zip(blocks.parts, after[name].parts, strict=True):
            stayed += int((one.places[:, :, None] == two.places[:, None, :]).sum())
            whole += one.places.numel()
    return 1 - stayed / whole


def svd(subject: Subject, *, ratio: float = 2.0) -> Outcome:
    """Replace the blocks' linear maps by their best approximations of a rank that fits: what `dsformer` is to beat.

    Args:
        subject: the model; its tables stay as they are.
        ratio: bits of the maps in 16 each, over those of the two factors.

    Raises:
        ConfigError: a ratio not above 1, or so high that no rank fits.
        ModelError: a family whose blocks are not known.
    """

    def replaced(matrix: Tensor) -> LowRank:
        bits = int(matrix.numel() * VALUE_BITS / ratio)
        rank = bits // (VALUE_BITS * sum(matrix.shape))
        return LowRank(truncated(matrix, bits), rank * VALUE_BITS * sum(matrix.shape), rank * sum(matrix.shape))

    return _each(subject, "svd", ratio, replaced)


def _check_ratio(name: str, ratio: float) -> None:
    if not ratio > 1:
        raise ConfigError(f"{name}: ratio is how many times fewer bits are stored, above 1; got {ratio:g}")


def _check_blocks(name: str, block: int, rounds: int, sampled: int = 0) -> None:
    for what, given, least in (("block", block, 1), ("rounds", rounds, 1), ("sampled", sampled, 0)):
        if given < least:
            raise ConfigError(f"{name}: {what} must be at least {least}; got {given}")


def _check(schedule: Schedule) -> None:
    if not 0 <= schedule.steps <= MOST_STEPS:
        raise ConfigError(f"dsformer_stf: steps must be from 0 to {MOST_STEPS}; got {schedule.steps}")
    if schedule.batch < 1:
        raise ConfigError(f"dsformer_stf: batch must be at least 1; got {schedule.batch}")
    if not 0 < schedule.rate <= 1:
        raise ConfigError(f"dsformer_stf: rate must be above 0 and at most 1; got {schedule.rate:g}")
    for name, known in (("supports", get_args(Supports)), ("goal", get_args(Goal))):
        if (given := getattr(schedule, name)) not in known:
            raise ConfigError(f"dsformer_stf: {name} is {' or '.join(known)}; got {given!r}")
    check_seed(schedule.seed)


def _each(
    subject: Subject,
    name: str,
    ratio: float,
    replaced: Callable[[Tensor], S],
    finished: Callable[[dict[nn.Linear, S]], dict[nn.Linear, S]] = lambda begun: begun,
) -> Outcome:
    """Replace every linear map of the blocks, by what is finished with all of them in view, and say what that took."""
    _check_ratio(name, ratio)
    begun: dict[nn.Linear, S] = {}
    for layer in layers_of(subject, name):
        for linear in linears(layer).values():
            matrix = linear.weight.detach()
            try:
                begun[linear] = replaced(matrix)
            except ValueError as error:
                size = " x ".join(map(str, matrix.shape))
                raise ConfigError(f"{name}: ratio {ratio:g} is too high for a map of {size}: {error}") from error
    whole = bits = macs = 0
    errors: list[float] = []
    for linear, stored in finished(begun).items():
        matrix, made = linear.weight.detach(), stored.product
        errors.append(relative_error(made, matrix))
        linear.weight.data = made.to(matrix).contiguous()
        whole, bits, macs = whole + matrix.numel(), bits + stored.bits, macs + stored.macs
    # The products have more digits than 16 bits keep.
    subject.dtype = torch.float32
    facts: dict[str, Any] = {
        "ratio_stored": whole * VALUE_BITS / bits,
        "factor_bytes": bits // 8,
        "map_bytes": whole * VALUE_BITS // 8,
        "macs_kept": macs / whole,
        "error": sum(errors) / len(errors),
        "worst_error": max(errors),
    }
    return Outcome(
        facts,
        (
            f"The blocks' linear maps are products of factors that take {bits // 8:,} bytes, indices included, where the maps "
            f"take {whole * VALUE_BITS // 8:,} in 16 bits; this folder holds the products, and is no smaller. Relative error "
            f"of a map: {facts['error']:.3f} in the mean, {facts['worst_error']:.3f} at most.",
        ),
    )
