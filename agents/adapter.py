"""LoRA adapters in peft's layout: adapter_config.json beside adapter_model.safetensors (Hu et al., 2021, arXiv:2106.09685).

r is the rank, D_in and D_out the widths of a layer.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agents.errors import RequestError
from agents.json_text import parse_json
from agents.ordinary_file import check_ordinary, read_ordinary

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
LARGEST_CONFIG, LARGEST_ALPHA = 10_000_000, 1e9
# What an adapter may ask for beyond y + scale * B A x, and what of it is no more than that.
PLAIN: dict[str, tuple[Any, ...]] = {
    "use_dora": (None, False),
    "bias": (None, "none"),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "trainable_token_indices": (None, [], {}),
}


@dataclass(frozen=True, eq=False)
class LoraPair:
    """What an adapter adds to one linear layer: scale * B A x."""

    a: Tensor  # [r, D_in]
    b: Tensor  # [D_out, r]
    scale: float


def find_adapter(folder: str) -> Path:
    """Return an adapter's folder, its config checked.

    Raises:
        RequestError: no such folder, a kind that is not plain LoRA, or one that changes the embeddings.
    """
    path = Path(os.path.expanduser(folder))
    if not os.path.isfile(path / CONFIG):
        raise RequestError(f"the adapter {folder!r} is no folder with an {CONFIG} (peft's layout)")
    config = _config(path)
    if str(config.get("peft_type", "")).upper() != "LORA":
        raise RequestError(f"the adapter {folder!r} is of type {config.get('peft_type')!r}; only LORA is supported")
    targets: list[Any] = []
    for key in ("target_modules", "modules_to_save"):
        given = config.get(key) or []
        targets += given if isinstance(given, list) else [given]
    if any("embed" in str(name) for name in targets):
        raise RequestError(
            f"the adapter {folder!r} changes the embeddings, so its messages would be on a table of its own; merge it into the "
            "weights and load them as a model"
        )
    return path


def read_adapter(folder: str) -> dict[str, LoraPair]:
    """Return what an adapter adds, by the name of the layer in the model.

    Raises:
        RequestError: see `find_adapter`; or its files do not fit each other, or it asks for more than plain LoRA.
    """
    path = find_adapter(folder)
    config = _config(path)
    for key, plain in PLAIN.items():
        if config.get(key) not in plain:
            raise RequestError(
                f"the adapter {folder!r} sets {key}: {config[key]!r}; plain LoRA is supported, without it"
            )
    alpha = config.get("lora_alpha")
    if alpha is not None and (type(alpha) not in (int, float) or not abs(alpha) < LARGEST_ALPHA):
        raise RequestError(f"the adapter {folder!r} sets lora_alpha: {str(alpha)[:60]}; it is a finite number")
    try:
        tensors = load_file(check_ordinary(path / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise RequestError(f"cannot read {path / WEIGHTS}: {error}") from error
    found: dict[str, LoraPair] = {}
    for name, a in tensors.items():
        layer, _, kind = name.removeprefix(PREFIX).rpartition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            raise RequestError(f"{path / WEIGHTS}: {name} is not a lora_A or lora_B weight")
        if kind == "B.weight":
            continue
        b = tensors.get(name.replace(".lora_A.", ".lora_B."))
        if b is None or a.ndim != 2 or not len(a) or b.ndim != 2 or b.shape[1] != len(a):
            raise RequestError(f"{path / WEIGHTS}: {name} {list(a.shape)} has no lora_B of its rank")
        if not all(low.is_floating_point() and bool(low.isfinite().all()) for low in (a, b)):
            raise RequestError(f"{path / WEIGHTS}: {name} or its lora_B holds what is no finite number")
        rank = len(a)
        root = rank**0.5 if config.get("use_rslora") else rank
        found[layer] = LoraPair(a, b, float(rank if alpha is None else alpha) / root)
    if not found:
        raise RequestError(f"{path / WEIGHTS} holds no lora_A weights")
    return found


def _config(path: Path) -> dict[str, Any]:
    try:
        config = parse_json(read_ordinary(path / CONFIG, most=LARGEST_CONFIG))
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read {path / CONFIG}: {error}") from error
    if not isinstance(config, dict):
        raise RequestError(f"{path / CONFIG}: expected a mapping")
    return config
