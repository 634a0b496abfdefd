"""What is found once about a large table, kept between processes: its stand-ins take longer to find than its bytes to hash."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kernels.building import cache_folder

# Numbers of a table that is worth a file.
LARGE = 10**7
_BLOCK = 1 << 26


def kept(weight: Tensor, sources: Sequence[Path], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors that follow from a table and from how they are made: from a file, or made now and kept.

    Args:
        weight: the table, [V, D].
        sources: the files of the code that makes them.
        make: makes them.

    Returns:
        Them, on the table's device. A file that is damaged, or cannot be written, costs the time that it would have spared.
    """
    if weight.numel() < LARGE:
        return make()
    file = cache_folder() / f"stand-ins-{_digest(weight, sources)[:32]}.safetensors"
    # Whatever a damaged file raises.
    with suppress(Exception):
        return {name: tensor.to(weight.device) for name, tensor in load_file(file).items()}
    made = make()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may keep the same: each renames a complete file over the other's.
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            aside = Path(folder) / file.name
            save_file({name: tensor.cpu().contiguous() for name, tensor in made.items()}, aside)
            os.replace(aside, file)
    return made


def _digest(weight: Tensor, sources: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    digest.update(f"{weight.dtype} {list(weight.shape)}".encode())
    rows = max(1, _BLOCK // (weight.shape[1] * weight.element_size()))
    for block in torch.split(weight, rows):
        digest.update(block.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
