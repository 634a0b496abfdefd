"""State dicts of the shapes of CrossViT's and TNT's published files, so large that every part counts, and a picture for them."""

import torch
from support.random_models import generator


def _numbers(shapes):
    """Return random tensors of shapes; scales of norms lie around 1."""
    noise = generator()

    def scaled(name, value):
        if "norm" in name and name.endswith("weight"):
            return 1 + 0.2 * value
        # As many numbers are added up as a row has.
        return value * (0.2 if value.ndim < 2 else 1.5 / value[0].numel() ** 0.5)

    return {name: scaled(name, torch.randn(shape, generator=noise)) for name, shape in shapes.items()}


def _layer(shapes, name, *shape, bias=True):
    shapes[f"{name}.weight"] = shape
    if bias:
        shapes[f"{name}.bias"] = shape[:1]


def crossvit(widths=(64, 128), depths=(1, 2), stages=2, ratio=2, sides=(240, 224), classes=5, stem=False):
    """Return a state dict with timm's names: heads are 32 wide in the first branch."""
    shapes = {}
    for i, (width, patch) in enumerate(zip(widths, (12, 16), strict=True)):
        shapes[f"pos_embed_{i}"] = (1, 1 + (sides[i] // patch) ** 2, width)
        shapes[f"cls_token_{i}"] = (1, 1, width)
        if stem:
            _layer(shapes, f"patch_embed.{i}.proj.0", width // 4, 3, 7, 7)
            _layer(shapes, f"patch_embed.{i}.proj.2", width // 2, width // 4, 3, 3)
            _layer(shapes, f"patch_embed.{i}.proj.4", width, width // 2, 3, 3)
        else:
            _layer(shapes, f"patch_embed.{i}.proj", width, 3, patch, patch)
        _layer(shapes, f"norm.{i}", width)
        _layer(shapes, f"head.{i}", classes, width)
        for stage in range(stages):
            start, other = f"blocks.{stage}", widths[1 - i]
            for block in range(depths[i]):
                inside = f"{start}.blocks.{i}.{block}"
                _layer(shapes, f"{inside}.norm1", width)
                _layer(shapes, f"{inside}.norm2", width)
                _layer(shapes, f"{inside}.attn.qkv", 3 * width, width)
                _layer(shapes, f"{inside}.attn.proj", width, width)
                _layer(shapes, f"{inside}.mlp.fc1", ratio * width, width)
                _layer(shapes, f"{inside}.mlp.fc2", width, ratio * width)
            _layer(shapes, f"{start}.projs.{i}.0", width)
            _layer(shapes, f"{start}.projs.{i}.2", other, width)
            _layer(shapes, f"{start}.fusion.{i}.norm1", other)
            for name in ("wq", "wk", "wv", "proj"):
                _layer(shapes, f"{start}.fusion.{i}.attn.{name}", other, other)
            _layer(shapes, f"{start}.revert_projs.{i}.0", other)
            _layer(shapes, f"{start}.revert_projs.{i}.2", width, other)
    return _numbers(dict(sorted(shapes.items())))


def tnt(width=64, inner=8, depth=2, side=224, classes=5, legacy=False):
    """Return a state dict with timm's names: heads are 64 wide, a patch has 16 words."""
    words = 16 * inner
    shapes = {
        "cls_token": (1, 1, width),
        "patch_pos": (1, 1 + (side // 16) ** 2, width),
        "pixel_pos": (1, inner, 4, 4),
    }
    _layer(shapes, "pixel_embed.proj", inner, 3, 7, 7)
    _layer(shapes, "norm1_proj", words)
    _layer(shapes, "proj", width, words)
    _layer(shapes, "norm2_proj", width)
    _layer(shapes, "norm", width)
    _layer(shapes, "head", classes, width)
    for block in range(depth):
        start = f"blocks.{block}"
        for norm, attention, feed, mlp, size in (
            ("norm_in", "attn_in", "norm_mlp_in", "mlp_in", inner),
            ("norm_out", "attn_out", "norm_mlp", "mlp", width),
        ):
            _layer(shapes, f"{start}.{norm}", size)
            _layer(shapes, f"{start}.{attention}.qk", 2 * size, size, bias=False)
            _layer(shapes, f"{start}.{attention}.v", size, size, bias=False)
            _layer(shapes, f"{start}.{attention}.proj", size, size)
            _layer(shapes, f"{start}.{feed}", size)
            _layer(shapes, f"{start}.{mlp}.fc1", 4 * size, size)
            _layer(shapes, f"{start}.{mlp}.fc2", size, 4 * size)
        _layer(shapes, f"{start}.norm1_proj", inner if legacy else words)
        _layer(shapes, f"{start}.proj", width, words, bias=legacy)
        if not legacy:
            _layer(shapes, f"{start}.norm2_proj", width)
    return _numbers(dict(sorted(shapes.items())))


def waves(side):
    """Return a standardised picture [1, 3, side, side]."""
    down, right = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    colours = [torch.sin(down * (0.05 + 0.02 * n)) + torch.cos(right * right * 0.0004 * (n + 1)) for n in range(3)]
    return torch.stack(colours)[None].float()
