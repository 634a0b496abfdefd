"""`dsformer` and `svd`: every linear map of the blocks replaced by what factors of a share of its bytes stand for.

The folder holds the products, as ordinary weights: on disk it is no smaller than the base. What the factors take is
counted beside it. Chand et al. (2023, arXiv:2312.13211) fine-tune afterwards, with a straight-through estimator; here nothing
is trained.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.transforms.dsformer.factors import VALUE_BITS, factorise, nearest_sizes, truncated
from agents.transforms.subject import Outcome, Subject, layers_of, linears, relative_error


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
    for name, given, least in (("block", block, 1), ("rounds", rounds, 1), ("sampled", sampled, 0)):
        if given < least:
            raise ConfigError(f"dsformer: {name} must be at least {least}; got {given}")

    def replaced(matrix: Tensor) -> tuple[Tensor, int, int]:
        if sampled:
            of_rows, of_columns = (_tried(each, ratio, block, sampled) for each in (matrix, matrix.T))
            if of_rows[0] <= of_columns[0]:
                return _in_blocks(matrix, ratio, block, rounds, of_rows[1])
            made, bits, macs = _in_blocks(matrix.T, ratio, block, rounds, of_columns[1])
            return made.T, bits, macs
        across, along = (_in_blocks(each, ratio, block, rounds) for each in (matrix, matrix.T))
        return min((across, (along[0].T, *along[1:])), key=lambda one: float((one[0] - matrix).norm()))

    return _each(subject, "dsformer", ratio, replaced)


def svd(subject: Subject, *, ratio: float = 2.0) -> Outcome:
    """Replace the blocks' linear maps by their best approximations of a rank that fits: what `dsformer` is to beat.

    Args:
        subject: the model; its tables stay as they are.
        ratio: bits of the maps in 16 each, over those of the two factors.

    Raises:
        ConfigError: a ratio not above 1, or so high that no rank fits.
        ModelError: a family whose blocks are not known.
    """

    def replaced(matrix: Tensor) -> tuple[Tensor, int, int]:
        bits = int(matrix.numel() * VALUE_BITS / ratio)
        rank = bits // (VALUE_BITS * sum(matrix.shape))
        return truncated(matrix, bits), rank * VALUE_BITS * sum(matrix.shape), rank * sum(matrix.shape)

    return _each(subject, "svd", ratio, replaced)


def _tried(matrix: Tensor, ratio: float, columns: int, sampled: int) -> tuple[float, tuple[int, int]]:
    """Return the relative error and the sizes that are best for some blocks of a matrix, evenly spaced."""
    # The last one may be narrower.
    blocks = [part for part in torch.split(matrix, columns, 1) if part.shape[1] == min(columns, matrix.shape[1])]
    chosen = blocks[:: max(1, len(blocks) // sampled)][:sampled]
    error, sizes = nearest_sizes(chosen, int(chosen[0].numel() * VALUE_BITS / ratio))
    return error / float(torch.cat(chosen, 1).norm().clamp_min(torch.finfo(matrix.dtype).tiny)), sizes


def _in_blocks(
    matrix: Tensor, ratio: float, columns: int, rounds: int, sizes: tuple[int, int] | None = None
) -> tuple[Tensor, int, int]:
    """Return what factors of a matrix stand for, their bits, and their multiply-accumulates of one token.

    Sizes are of whole blocks; without them, and of a narrower last one, each block takes its own.
    """
    made, bits, macs = [], 0, 0
    for part in torch.split(matrix, columns, 1):
        own = sizes if part.shape[1] == min(columns, matrix.shape[1]) else None
        factors = factorise(part, int(part.numel() * VALUE_BITS / ratio), rounds=rounds, sizes=own)
        made.append(factors.product)
        bits += factors.bits
        macs += factors.basis.numel() + factors.values.numel()
    return torch.cat(made, 1), bits, macs


def _each(subject: Subject, name: str, ratio: float, replaced: Callable[[Tensor], tuple[Tensor, int, int]]) -> Outcome:
    """Replace every linear map of the blocks and say what that took."""
    if not ratio > 1:
        raise ConfigError(f"{name}: ratio is how many times fewer bits are stored, above 1; got {ratio:g}")
    whole = bits = macs = 0
    errors: dict[str, float] = {}
    for number, layer in enumerate(layers_of(subject, name)):
        for place, linear in linears(layer).items():
            matrix = linear.weight.detach()
            try:
                made, taken, spent = replaced(matrix)
            except ValueError as error:
                size = " x ".join(map(str, matrix.shape))
                raise ConfigError(f"{name}: ratio {ratio:g} is too high for a map of {size}: {error}") from error
            linear.weight.data = made.to(matrix)
            errors[f"{number}.{place}"] = relative_error(made, matrix)
            whole, bits, macs = whole + matrix.numel(), bits + taken, macs + spent
    # The products have more digits than 16 bits keep.
    subject.dtype = torch.float32
    facts: dict[str, Any] = {
        "ratio_stored": whole * VALUE_BITS / bits,
        "factor_bytes": bits // 8,
        "map_bytes": whole * VALUE_BITS // 8,
        "macs_kept": macs / whole,
        "error": sum(errors.values()) / len(errors),
        "worst_error": max(errors.values()),
    }
    return Outcome(
        facts,
        (
            f"The blocks' linear maps are products of factors that take {bits // 8:,} bytes, indices included, where the maps "
            f"take {whole * VALUE_BITS // 8:,} in 16 bits; this folder holds the products, and is no smaller. Relative error "
            f"of a map: {facts['error']:.3f} in the mean, {facts['worst_error']:.3f} at most.",
        ),
    )
