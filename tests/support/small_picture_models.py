"""Random models that look at pictures, and pictures to look at."""

from pathlib import Path
from typing import Any

import torch

from agents.observation import Image, PartlyHidden
from agents.question import Question

THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def enlarged(model: torch.nn.Module) -> torch.nn.Module:
    """Return a model with weights so large that pictures differ; those of a training's beginning are all but 0."""
    for weights in model.parameters():
        weights.data += 0.3 * torch.randn(weights.shape)
    return model


def small_crossvit(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random CrossViT for pictures of 16 x 16."""
    from agents.models.crossvit.backend import CrossViTBackend
    from agents.models.crossvit.config import CrossViTConfig
    from agents.models.crossvit.model import CrossViT

    torch.manual_seed(seed)
    sizes = {"sides": (16, 16), "widths": (8, 16), "depths": (1, 1), "hidden": (8, 16), "stages": 1, "heads": 2}
    model = CrossViT(CrossViTConfig(labels, **sizes))
    CrossViTBackend(enlarged(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_tnt(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random TNT for pictures of 16 x 16."""
    from agents.models.tnt.backend import TNTBackend
    from agents.models.tnt.config import TNTConfig
    from agents.models.tnt.model import TNT

    torch.manual_seed(seed)
    model = TNT(TNTConfig(labels, side=16, width=16, depth=1, heads=2, inner_width=8, inner_heads=2))
    TNTBackend(enlarged(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_pluto(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random PLUTO for tiles of 16 x 16, of windows of 32."""
    from agents.models.pluto.backend import PLUTOBackend
    from agents.models.pluto.config import PLUTOConfig
    from agents.models.pluto.model import PLUTO

    torch.manual_seed(seed)
    sizes = {"side": 16, "width": 16, "depth": 1, "heads": 2, "hidden": 16, "attention": 8, "window": 32}
    model = PLUTO(PLUTOConfig(labels, **sizes))
    PLUTOBackend(enlarged(model), temperatures={"cell/8": 0.7, "slide/8": 0.5}).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_mp3(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random classifier of pictures of 16 x 16 with patches of 4."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.mp3.backend import MP3Backend
    from agents.models.mp3.config import MP3Config
    from agents.models.mp3.model import MP3

    torch.manual_seed(seed)
    model = MP3(MP3Config(labels, side=16, patch=4, encoder=EncoderConfig(16, 1, 2, 8, 16)))
    MP3Backend(enlarged(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_transkd(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random segmenter of pictures of 32 x 32."""
    from agents.models.transkd.backend import TransKDBackend
    from agents.models.transkd.config import SegmenterConfig
    from agents.models.transkd.model import Segmenter

    torch.manual_seed(seed)
    sizes = {"widths": (4, 4, 8, 8), "heads": (1, 1, 2, 2), "decoder": 8}
    model = Segmenter(SegmenterConfig(labels, 32, 32, **sizes))
    TransKDBackend(enlarged(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_put(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random PUT for pictures of 16 x 16, and an expert beside it."""
    from agents.models.checkpoint import save_model

    model = random_put(seed)
    save_model(folder, model, model.config.sizes)
    return {
        "checkpoint": str(folder),
        "expert": "crossvit",
        "expert_checkpoint": small_crossvit(folder / "seen", seed=seed)["checkpoint"],
    }


def small_put_completions(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the same random PUT, which tells completions apart."""
    from agents.models.put.choosing import PUTCompletions

    PUTCompletions(random_put(seed), temperatures={"likelihood": 5.0, "border": 0.1}).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def random_put(seed: int = 0, **sizes: Any) -> Any:
    """Return a random PUT for pictures of 16 x 16, whose codebook's vectors lie where features do."""
    from agents.models.put.config import PUTConfig
    from agents.models.put.model import PUT

    torch.manual_seed(seed)
    small = {
        "codes": 12,
        "hidden_codes": 4,
        "code_width": 6,
        "features": 8,
        "blocks": 1,
        "decoder_blocks": 1,
        "base": 4,
    }
    model = enlarged(PUT(PUTConfig(**{"side": 16, **small, "width": 8, "depth": 1, "heads": 2, **sizes}))).eval()
    own: Any = model.autoencoder
    with torch.no_grad():
        pictures = torch.rand(8, 3, own.config.side, own.config.side)
        own.codebook.vectors.copy_(
            own.features(pictures, pictures[:, 0] > 1).flatten(0, 1)[: len(own.codebook.vectors)]
        )
    return model


def hidden_cases() -> list[Question]:
    """Return pictures of several sizes of which a part is hidden, one that is whole, and a question that names some classes."""

    def of(shape: tuple[int, int, int], *hole: slice, **words: Any) -> Question:
        pixels = torch.rand(shape, generator=torch.Generator().manual_seed(shape[1]))
        hidden = torch.zeros(shape[1:], dtype=torch.bool)
        hidden[hole] = True
        return Question("case", "?", (PartlyHidden(pixels, hidden),), **words)

    return [
        of((3, 16, 16), slice(3, 10), slice(2, 9)),
        of((1, 20, 33), slice(0, 9), slice(10, 20)),
        of((3, 7, 5), slice(0, 7), slice(0, 5)),
        Question("case", "?", (Image(torch.full((3, 16, 16), 0.3)),)),
        of((3, 16, 16), slice(0, 8), slice(0, 16), labels=("A", "B", "C"), options=("horse", "airplane", "cat")),
    ]


def completion_cases() -> list[Question]:
    """Return completions that stand side by side: four, two of another size, and four of which nothing is hidden."""

    def of(side: int, count: int, depth: int) -> Question:
        generator = torch.Generator().manual_seed(side)
        hidden = torch.zeros(side, side, dtype=torch.bool)
        hidden[2 : 2 + depth, 3:9] = True
        own = torch.rand(3, side, side, generator=generator)
        panels = [torch.where(hidden, torch.rand(3, side, side, generator=generator), own) for _ in range(count)]
        return Question(
            "case", "?", (PartlyHidden(torch.cat(panels, 2), hidden.repeat(1, count)),), tuple("ABCD"[:count])
        )

    return [of(16, 4, 8), of(16, 2, 3), of(32, 4, 12)]


def picture_cases() -> list[Question]:
    """Return pictures of several sizes, one of one colour, and questions that name some of the classes."""
    shapes = ((3, 16, 16), (1, 20, 33), (3, 7, 5), (3, 40, 16))
    pictures = [torch.rand(shape, generator=torch.Generator().manual_seed(shape[1])) for shape in shapes]
    options = ("horse", "airplane", "cat")
    return [
        *(Question("case", "?", (Image(pixels),)) for pixels in pictures),
        Question("case", "?", (Image(pictures[0]),), ("A", "B", "C"), options),
        Question("case", "?", (Image(pictures[1]),), options),
        # An option that is no class of its own: its belief is over all classes.
        Question("case", "?", (Image(pictures[2]),), ("A", "B"), ("cat", "castle")),
    ]
