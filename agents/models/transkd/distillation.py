"""What a student is taught by: TransKD's four modules and its losses (Liu et al., 2022, arXiv:2202.13393), and scores alone.

They stand beside the student in training and are not part of it afterwards. Features are those that stages end with, fused
from the last to the first; patches are those that stages begin with, before any block.

B batch, h x w a stage's positions, N = hw, C the student's width, D the teacher's, M the width in which features are fused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError, UnknownName
from agents.models.transkd.model import Looked
from agents.models.vision.layers import Attention

FUSED, SQUEEZED = 64, 32
"""Widths in which features are fused, and in which their shares are made."""
STAGE_WEIGHTS = (0.1, 0.1, 0.5, 1.0)
"""Of the losses of patches, by stage."""
POOLED = (4, 2, 1)
"""Sides of the grids in which features are compared as well, the first at half the weight of all positions."""
SIDES, APART = (7, 3, 3, 3), (4, 2, 2, 2)
"""Of the patches that the stages of a SegFormer begin with, in pixels or positions."""
EMBEDDINGS = ("", "aligned", "mixed", "assisted")


@dataclass(frozen=True)
class Method:
    """What of the teacher a student is taught.

    Attributes:
        scores: softened scores (Hinton et al., 2015), pixel by pixel.
        features: by cross selective fusion (CSF).
        embeddings: patches: `aligned` (PEA), with a global and local mixer (`mixed`, GL-Mixer), or with an assistant (`assisted`,
            EA).
    """

    scores: bool = False
    features: bool = False
    embeddings: str = ""

    def __post_init__(self) -> None:
        if self.embeddings not in EMBEDDINGS:
            raise UnknownName("way to teach patches", self.embeddings, EMBEDDINGS)


METHODS = {
    "student": Method(),
    "scores": Method(scores=True),
    "features": Method(features=True),
    "patches": Method(embeddings="aligned"),
    "base": Method(features=True, embeddings="aligned"),
    "mixer": Method(features=True, embeddings="mixed"),
    "assistant": Method(features=True, embeddings="assisted"),
}
"""TransKD-Base is `base`, TransKD-GL `mixer`, TransKD-EA `assistant`."""


class Fusion(nn.Module):
    """One stage of CSF: features to M, fused with what comes from the stage after it, then to D.

    Args:
        own, taught: C and D.
        fuses: whether a stage comes after it.
    """

    def __init__(self, own: int, taught: int, *, fuses: bool) -> None:
        super().__init__()
        self.entry = _normed(own, FUSED, 1)
        self.exit = _normed(FUSED, taught, 3)
        self.fuses = fuses
        if fuses:
            self.squeeze = nn.Sequential(nn.Conv2d(FUSED, SQUEEZED, 1, bias=False), nn.BatchNorm2d(SQUEEZED), nn.ReLU())
            self.shares = nn.ModuleList(nn.Conv2d(SQUEEZED, FUSED, 1) for _ in range(2))

    def forward(self, features: Tensor, after: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return what is held against the teacher [B, D, h, w] and what goes on to the stage before [B, M, h, w].

        Args:
            features: [B, C, h, w].
            after: from the stage after it, [B, M, ., .]; None where there is none.
        """
        found: Tensor = self.entry(features)
        if self.fuses:
            assert after is not None
            other = functional.interpolate(after, found.shape[-2:], mode="nearest")
            squeezed = self.squeeze((found + other).mean((2, 3), keepdim=True))
            # Of each channel, how much of it is its own.
            own, others = torch.stack([share(squeezed) for share in self.shares]).softmax(0)
            found = own * found + others * other
        return self.exit(found), found


class CrossSelectiveFusion(nn.Module):
    """CSF: features of all stages, fused from the last to the first, each at the teacher's width."""

    def __init__(self, own: Sequence[int], taught: Sequence[int]) -> None:
        super().__init__()
        last = len(own) - 1
        self.stages = nn.ModuleList(
            Fusion(*widths, fuses=place < last) for place, widths in enumerate(zip(own, taught, strict=True))
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return [B, D, h, w] of the features [B, C, h, w] of each stage.

        Raises:
            ConfigError: one picture in training: channels' shares are normalised over a batch, and one has no deviation.
        """
        if self.training and len(features[0]) == 1:
            raise ConfigError(
                "features are fused by shares that are normalised over the pictures of a batch, and this has one: take a batch "
                "size that leaves none by itself"
            )
        found: list[Tensor] = []
        after = None
        for stage, each in zip(reversed(self.stages), reversed(features), strict=True):
            made, after = stage(each, after)
            found.insert(0, made)
        return found


class AlignedPatches(nn.Module):
    """PEA: patches of each stage, linearly at the teacher's width."""

    def __init__(self, own: Sequence[int], taught: Sequence[int]) -> None:
        super().__init__()
        self.to_taught = nn.ModuleList(nn.Linear(*widths) for widths in zip(own, taught, strict=True))

    def forward(self, looked: Looked, pixels: Tensor) -> list[Tensor]:
        """Return [B, N, D] of the patches [B, N, C] of each stage; pixels are those that the student saw."""
        return [layer(each) for layer, each in zip(self.to_taught, looked.embeddings, strict=True)]


class Mixer(nn.Module):
    """GL-Mixer: attention among all patches beside a gated convolution of neighbours, each with a learned weight.

    Both weights begin at 1; the published code leaves them as memory happened to be.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.values, self.gates = (nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.of_all, self.of_neighbours = (nn.Parameter(torch.ones(1)) for _ in range(2))

    def forward(self, patches: Tensor) -> Tensor:
        """Return [B, N, C] of [B, N, C]; neighbours are those in the order of reading."""
        across = patches.transpose(1, 2)
        near = (self.values(across) * self.gates(across).sigmoid()).transpose(1, 2)
        found: Tensor = self.of_all * self.attention(patches) + self.of_neighbours * near
        return found


class MixedPatches(AlignedPatches):
    """PEA with the last stage's patches mixed before (TransKD-GL)."""

    def __init__(self, own: Sequence[int], taught: Sequence[int], heads: int) -> None:
        super().__init__(own, taught)
        self.mixer = Mixer(own[-1], heads)

    def forward(self, looked: Looked, pixels: Tensor) -> list[Tensor]:
        """Return [B, N, D] of the patches [B, N, C] of each stage."""
        *others, last = looked.embeddings
        return super().forward(looked._replace(embeddings=[*others, self.mixer(last)]), pixels)


class Patches(nn.Module):
    """Overlapping patches, as a SegFormer's stage begins with them."""

    def __init__(self, channels: int, width: int, *, side: int, apart: int) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, width, side, apart, padding=side // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, seen: Tensor) -> Tensor:
        """Return [B, N, D] of what a stage sees, [B, channels, H, W]."""
        found: Tensor = self.norm(self.cut(seen).flatten(2).transpose(1, 2))
        return found


class AssistedPatches(AlignedPatches):
    """PEA with an assistant: patches at the teacher's width of what each stage of the student sees, mixed in (TransKD-EA)."""

    def __init__(self, own: Sequence[int], taught: Sequence[int]) -> None:
        super().__init__(own, taught)
        self.assistants = nn.ModuleList(
            Patches(channels, width, side=side, apart=apart)
            for channels, width, side, apart in zip((3, *own[:-1]), taught, SIDES, APART, strict=True)
        )
        count = len(taught)
        # Published: 0.1 (i + 1) over all of them in turn.
        self.of_student = nn.Parameter(0.1 * torch.arange(1.0, count + 1))
        self.of_assistant = nn.Parameter(0.1 * torch.arange(count + 1.0, 2 * count + 1))

    def forward(self, looked: Looked, pixels: Tensor) -> list[Tensor]:
        """Return [B, N, D] of the patches [B, N, C] of each stage and of what the stage sees: pixels, or features before it."""
        own = super().forward(looked, pixels)
        seen = (pixels, *looked.features[:-1])
        return [
            self.of_student[place] * each + self.of_assistant[place] * self.assistants[place](seen[place])
            for place, each in enumerate(own)
        ]


def hierarchical_loss(features: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Return the distance of features from the teacher's, [B, D, h, w] each, summed over stages (HCL).

    Chen et al., 2021, arXiv:2104.09044, section 3.4: the mean square of all positions, and of means over grids of 4 x 4, 2 x 2
    and 1 x 1 with 1/2, 1/4 and 1/8 of its weight; grids that are not coarser than the features are left out, and the weights
    sum to 1.
    """
    found = features[0].new_zeros(())
    for own, wanted in zip(features, taught, strict=True):
        loss, weight, total = functional.mse_loss(own, wanted), 1.0, 1.0
        for side in (each for each in POOLED if each < own.shape[-2]):
            weight /= 2
            coarse, taught_coarse = (functional.adaptive_avg_pool2d(each, side) for each in (own, wanted))
            loss, total = loss + weight * functional.mse_loss(coarse, taught_coarse), total + weight
        found = found + loss / total
    return found


def patches_loss(patches: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Return the weighted mean squares of patches [B, N, D] and the teacher's, over the stages."""
    parts = zip(STAGE_WEIGHTS, patches, taught, strict=True)
    return torch.stack([weight * functional.mse_loss(own, wanted) for weight, own, wanted in parts]).sum()


def scores_loss(scores: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return the divergence of a student's softened scores [B, K, h, w] from the teacher's, a pixel's mean, at the scale of 1.

    Hinton, Vinyals and Dean, 2015, arXiv:1503.02531, section 2: KL of both at a temperature, times its square.
    """
    wanted, own = ((each / temperature).log_softmax(1) for each in (taught, scores))
    return temperature**2 * (wanted.exp() * (wanted - own)).sum(1).mean()


class Lessons(nn.Module):
    """All that stands beside a student in training, and what it adds to the loss.

    Args:
        method: what is taught.
        own, taught: widths of the student's and of the teacher's stages.
        heads: of the mixer's attention.
        temperature: at which scores are taught.
    """

    def __init__(
        self, method: Method, own: Sequence[int], taught: Sequence[int], *, heads: int, temperature: float = 2.0
    ) -> None:
        super().__init__()
        self.method, self.temperature = method, temperature
        if method.features:
            self.fusion = CrossSelectiveFusion(own, taught)
        if method.embeddings == "mixed":
            self.patches: nn.Module = MixedPatches(own, taught, heads)
        elif method.embeddings:
            self.patches = (AssistedPatches if method.embeddings == "assisted" else AlignedPatches)(own, taught)

    def forward(self, looked: Looked, taught: Looked, pixels: Tensor) -> Tensor:
        """Return what the loss of pictures grows by, of what student and teacher make of them."""
        loss = looked.scores.new_zeros(())
        if self.method.scores:
            loss = loss + scores_loss(looked.scores, taught.scores, self.temperature)
        if self.method.features:
            loss = loss + hierarchical_loss(self.fusion(looked.features), taught.features)
        if self.method.embeddings:
            loss = loss + patches_loss(self.patches(looked, pixels), taught.embeddings)
        return loss


def _normed(channels: int, width: int, side: int) -> nn.Sequential:
    layer = nn.Conv2d(channels, width, side, padding=side // 2, bias=False)
    nn.init.kaiming_uniform_(layer.weight, a=1)
    return nn.Sequential(layer, nn.BatchNorm2d(width))
