"""What a PLUTO learns without labels: the sum of DINO, iBOT, MAE and a term of frequencies.

DINO (Caron et al., 2021, arXiv:2104.14294), iBOT (Zhou et al., 2021, arXiv:2111.07832), MAE (He et al., 2021, arXiv:2111.06377).
The paper's weights and its Fourier term could not be read; that all weights are 1, and the form of `fourier_loss`, are ours.

B pictures, N patches, p side of a patch, K prototypes, D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.pluto.resizing import resize_matrix, resized_positions
from agents.models.vision.layers import Block, begin, start


class Prototypes(nn.Module):
    """Scores of prototypes [..., K] of tokens [..., D], as cosines; class tokens and patches share it, as in iBOT."""

    def __init__(self, width: int, hidden: int, count: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.prototypes = nn.Linear(width, count, bias=False)
        begin(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [..., K] of [..., D]."""
        seen = functional.normalize(self.second(functional.gelu(self.first(tokens))), dim=-1)
        return functional.linear(seen, functional.normalize(self.prototypes.weight, dim=-1))


class Decoder(nn.Module):
    """Pixels of all patches of those that were kept: one block over them and the token of masked ones.

    Pixels are said at the largest patch, 3 · largest² a token, and brought down to the patch that was drawn.
    """

    def __init__(self, width: int, heads: int, hidden: int, grid: int, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self.masked, self.positions = start(1, 1, width), start(1, grid**2, width)
        self.block, self.norm = Block(width, heads, hidden), nn.LayerNorm(width)
        self.pixels = nn.Linear(width, 3 * largest**2)
        begin(self)

    def forward(self, tokens: Tensor, kept: Tensor, patch: int, places: int) -> Tensor:
        """Return pixels of patches [B, N, 3 p²], each channel by channel.

        Args:
            tokens: [B, 1 + M, D] of the encoder.
            kept: [B, M] places of the patches that it saw.
            patch: p.
            places: patches in a row, √N.
        """
        whole = self.masked.expand(len(tokens), places**2, -1)
        whole = whole.scatter(1, kept[..., None].expand(-1, -1, tokens.shape[-1]), tokens[:, 1:])
        whole = torch.cat([tokens[:, :1], whole + resized_positions(self.positions, places)], 1)
        said: Tensor = self.pixels(self.norm(self.block(whole))[:, 1:])
        large = said.reshape(*said.shape[:2], 3, -1)
        if patch == self.largest:
            return large.flatten(-2)
        return (large @ resize_matrix(self.largest, patch).to(large).T).flatten(-2)


def centred_targets(scores: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return what a teacher's scores [..., K] ask for: softmax((scores − centre) / temperature) (DINO, section 3.1)."""
    return torch.softmax((scores.detach() - centre) / temperature, -1)


def balanced_targets(scores: Tensor, temperature: float, *, rounds: int = 3) -> Tensor:
    """Return what a teacher's scores [n, K] ask for, all prototypes about equally often (Sinkhorn and Knopp, as in SwAV).

    exp(scores / temperature), columns and rows in turn brought to equal sums; rows last, each a distribution (Caron et al., 2020,
    arXiv:2006.09882, section 3.1; DINOv2: Oquab et al., 2023, arXiv:2304.07193, section 4). So not all rows can ask for one.
    """
    # A common factor, so that the largest is 1; scores are cosines, and none vanishes.
    highest = scores.detach().amax() if scores.numel() else 0.0
    found = torch.exp((scores.detach() - highest) / temperature)
    for _ in range(rounds):
        found = found / found.sum(0, keepdim=True).clamp(min=LEAST)
        found = found / found.sum(1, keepdim=True).clamp(min=LEAST)
    return found


def dino_loss(student: Sequence[Tensor], targets: Sequence[Tensor], temperature: float) -> Tensor:
    """Return the mean cross-entropy between what the teacher asks of one view and the student says of another (equation 3).

    Args:
        student: scores [B, K] of each view, the teacher's views first.
        targets: distributions [B, K] of each large view.
        temperature: the student's.
    """
    losses = [
        -(target * torch.log_softmax(said / temperature, -1)).sum(-1).mean()
        for place, target in enumerate(targets)
        for other, said in enumerate(student)
        if other != place
    ]
    return torch.stack(losses).mean()


def ibot_loss(student: Tensor, targets: Tensor, hidden: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of hidden patches: of a picture their mean, then of all pictures (iBOT, equation 2).

    A picture without hidden patches counts with 0, as in iBOT's code.

    Args:
        student: scores [B, N, K] of views of which the hidden patches were not seen.
        targets: distributions [B, N, K] of the same views, whole.
        hidden: [B, N], bool.
        temperature: the student's.
    """
    each = -(targets * torch.log_softmax(student / temperature, -1)).sum(-1)
    return ((each * hidden).sum(1) / hidden.sum(1).clamp(min=1)).mean()


def moved_centre(centre: Tensor, teacher: Tensor, momentum: float) -> Tensor:
    """Return a centre [K] moved towards the mean of the teacher's scores [..., K] (DINO, equation 4)."""
    return centre * momentum + teacher.detach().flatten(0, -2).mean(0) * (1 - momentum)


def patches_of(pictures: Tensor, patch: int) -> Tensor:
    """Return the pixels of patches [B, N, 3 p²], each channel by channel, of pictures [B, 3, H, H]."""
    return functional.unfold(pictures, patch, stride=patch).transpose(1, 2)


def pictures_of(patches: Tensor, patch: int) -> Tensor:
    """Return the pictures [B, 3, H, H] of the pixels of their patches [B, N, 3 p²]."""
    side = round(patches.shape[1] ** 0.5) * patch
    return functional.fold(patches.transpose(1, 2), (side, side), patch, stride=patch)


def mae_loss(said: Tensor, pixels: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean squared error of the pixels [B, N, 3 p²] of hidden patches [B, N]; 0 where none is hidden."""
    each = (said - pixels).square().mean(-1)
    return (each * hidden).sum() / hidden.sum().clamp(min=1)


def fourier_loss(said: Tensor, pictures: Tensor) -> Tensor:
    """Return how far pictures [B, 3, H, H] are from those that are said, in low and in high frequencies alike.

    Our reading. With F the unitary Fourier transform of a channel, a band's error is mean |F(said) − F(picture)| over
    mean |F(picture)|, and the loss is the mean of two bands: frequencies up to a quarter of a cycle a pixel, and those above. A
    squared error would be that of the pixels once more (Parseval), of which low frequencies have nearly all.
    """
    side = pictures.shape[-1]
    wanted = torch.fft.fft2(pictures, norm="ortho")
    missed = (torch.fft.fft2(said, norm="ortho") - wanted).abs()
    cycles = torch.fft.fftfreq(side)
    is_low = (cycles[:, None].square() + cycles.square()).sqrt() <= LOW
    bands = [missed[..., band].mean() / wanted.abs()[..., band].mean().clamp(min=1e-6) for band in (is_low, ~is_low)]
    return torch.stack(bands).mean()


LEAST = 1e-30
"""What a sum that is divided by is at least."""
LOW = 0.25
"""Cycles a pixel up to which a frequency is low."""
