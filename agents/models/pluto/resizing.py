"""One kernel and one grid of positions for patches of several sizes (FlexiViT: Beyer et al., 2022, arXiv:2212.08013, 3.4).

P side of the kernel, p of a patch, D width, g places in a row.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import UnknownName

PSEUDO_INVERSE, BILINEAR = KINDS = ("pseudo_inverse", "bilinear")


@cache
def resize_matrix(old: int, new: int) -> Tensor:
    """Return B [new², old²] in float64: a square of old² numbers, row by row, to one of new² by bilinear interpolation.

    Corners of pixels meet, and nothing is smoothed when it becomes smaller, as in FlexiViT's code.
    """
    basis = torch.eye(old * old, dtype=torch.float64).reshape(1, old * old, old, old)
    return functional.interpolate(basis, size=(new, new), mode="bilinear").reshape(old * old, new * new).T.contiguous()


@cache
def kernel_matrix(old: int, new: int, kind: str) -> Tensor:
    """Return what brings a kernel [old²] to patches of another size [new²], in float64.

    `pseudo_inverse` minimises E (⟨x, w⟩ − ⟨B x, w'⟩)² over white x, w' = (Bᵀ)⁺ w (FlexiViT, equation 3), so that enlarged
    patches give the tokens of those before; `bilinear` is w' = B w, whose tokens grow with the area of the patch.

    Raises:
        UnknownName: no such kind.
    """
    if kind not in KINDS:
        raise UnknownName("resizing of a kernel", kind, KINDS)
    matrix = resize_matrix(old, new)
    return torch.linalg.pinv(matrix.T) if kind == PSEUDO_INVERSE else matrix


def resized_kernel(kernel: Tensor, patch: int, kind: str = PSEUDO_INVERSE) -> Tensor:
    """Return a kernel [D, 3, p, p] of one of [D, 3, P, P]; the same where sizes are equal."""
    if kernel.shape[-1] == patch:
        return kernel
    matrix = kernel_matrix(kernel.shape[-1], patch, kind).to(kernel)
    return (kernel.flatten(2) @ matrix.T).reshape(*kernel.shape[:2], patch, patch)


def resized_positions(positions: Tensor, places: int) -> Tensor:
    """Return positions [1, places², D] of those of a square grid [1, g², D], bilinear; the same where sizes are equal."""
    grid = round(positions.shape[1] ** 0.5)
    if grid == places:
        return positions
    return (resize_matrix(grid, places).to(positions) @ positions[0])[None]
