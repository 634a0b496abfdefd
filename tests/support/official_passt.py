"""State dicts of the shapes of PaSST's published files, and a sound for them."""

import math

import torch
from support.random_models import generator


def official(width=768, depth=12, rows=12, columns=99, classes=527):
    """Return a state dict with the names and shapes of passt-s-f128-p16-s10, of small random numbers."""
    shapes = {
        "cls_token": (1, 1, width),
        "dist_token": (1, 1, width),
        "new_pos_embed": (1, 2, width),
        "freq_new_pos_embed": (1, width, rows, 1),
        "time_new_pos_embed": (1, width, 1, columns),
        "patch_embed.proj.weight": (width, 1, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.0.weight": (width,),
        "head.0.bias": (width,),
        "head.1.weight": (classes, width),
        "head.1.bias": (classes,),
        "head_dist.weight": (classes, width),
        "head_dist.bias": (classes,),
    }
    layers = {"norm1": (width,), "norm2": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    for block in range(depth):
        for name, shape in layers.items():
            shapes |= {f"blocks.{block}.{name}.weight": shape, f"blocks.{block}.{name}.bias": shape[:1]}
    noise = generator()
    return {name: 0.02 * torch.randn(shape, generator=noise) for name, shape in shapes.items()}


def lively(columns):
    """Return official weights of width 64, so large that every patch counts."""

    def scaled(name, value):
        if name == "head.0.weight" or ("norm" in name and name.endswith("weight")):
            return 1 + value
        return (20 if name == "patch_embed.proj.weight" else 8) * value

    return {name: scaled(name, value) for name, value in official(64, 1, 12, columns, 3).items()}


def chirp(seconds):
    t = torch.arange(seconds * 32_000, dtype=torch.float64) / 32_000
    rising = torch.sin(2 * math.pi * (220 + 330 * t) * t)
    return (0.5 * rising * torch.sin(3 * t) + 0.2 * torch.sin(2 * math.pi * 3000 * t)).float()
