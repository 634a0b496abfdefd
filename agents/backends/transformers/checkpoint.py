"""A checkpoint → a model whose every weight is from it, or one sentence that says what is wrong with it."""

import itertools
from pathlib import Path
from typing import Any

import torch

from agents.backends.transformers.truth import check_embeddings_suffice
from agents.errors import ModelError
from agents.model_folder import refuse_not_finite
from agents.shards import refuse_damaged
from agents.whole_model import whole_model


def load_model(
    folder: Path,
    config: Any,
    *,
    name: str,
    dtype: torch.dtype,
    device: torch.device,
    attention: str,
    trust_remote_code: bool = False,
) -> Any:
    """Return the model of a folder, ready to compute.

    Args:
        folder: in transformers' layout, with safetensors.
        config: the folder's.
        name: what the user called it, for errors.
        dtype, device: of the weights.
        attention: the name of the implementation.
        trust_remote_code: run code that comes with it.

    Raises:
        ModelError: it cannot be loaded, weights are missing, left over or of another shape.
    """
    refuse_damaged(folder, config, name)
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{name}: {folder} holds a model and an adapter. Keep them apart, and give the adapter as the agent's adapter"
        )
    model = whole_model(folder, config, name, dtype=dtype, attention=attention, trust_remote_code=trust_remote_code)
    return model.to(device)


def refuse_unusable(model: Any, table: torch.Tensor, name: str) -> None:
    """Raise ModelError for a model with weights that are not finite, or that reads more of a token than its row of the table.

    Args:
        model: of `load_model`.
        table: [V, D], as it looks tokens up.
        name: what the user called it.
    """
    refuse_not_finite(itertools.chain(model.named_parameters(), model.named_buffers()), name)
    check_embeddings_suffice(model, table, name)
